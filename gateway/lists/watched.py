"""One list: its source, the file that it is built into, and how it went.

The list in use is a file `NAME.list` in the state directory, written whole and renamed. It holds a stamp of the source
that it was built from, so a restart builds nothing that is there already, and what was good last stays when the source
is gone or bad.
"""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import msgspec
from msgspec import Struct

from dataplane import List
from filters.errors import FilterError
from filters.lists import reading, stamp
from filters.settings import FilterList
from gateway.lists.values import ListState
from proxy.values import Emit

Version = tuple[int, ...]

NO_FILE = "not a regular file"

_LOOKS_BETWEEN = 60
"""Looks at a source before an error of the system, such as a full disk, is tried again."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of building a list: the list, when its file was written, what its source held besides; or else
    the error."""

    built: List | None = None
    written: float = 0.0
    error: Exception | None = None
    garbage: int = 0
    first: tuple[tuple[int, str], ...] = ()
    triggers: int = 0
    local: int = 0


class Watched:
    """A list of the configuration. `built` is the stamp of the version in use."""

    def __init__(self, settings: FilterList, *, base: Path, folder: Path, emit: Emit) -> None:
        self.settings = settings
        self.source = folder / f"{settings.name}.body" if settings.is_remote else base / str(settings.file)
        self.file = folder / f"{settings.name}.list"
        self.state = ListState(name=settings.name)
        self._emit = emit
        self._built: int | None = None
        self._tried: int | None = None
        self._rest: int | None = None
        self._seen: Version | None = None
        self._missing = False
        self._recall()

    def due(self, *, settle: bool) -> int | None:
        """The stamp of a version that should be built now. With `settle` only one that was the same a look ago."""
        version = self._version()
        if version is None:
            return None
        wanted = stamp(self.settings, version)
        if wanted == self._built or (wanted == self._tried and not self._tries_again()):
            return None
        if settle and version != self._seen:
            self._seen = version
            return None
        return wanted

    def build(self, wanted: int) -> Outcome:
        """Build the list. Takes seconds: call it in a thread, and `finish` behind it."""
        self._tried = wanted
        try:
            _, _, garbage, first, triggers, local = List.build(self.source, self.file, reading(self.settings), wanted)
            built, written = List.open(self.file), self.file.stat().st_mtime
        except (OSError, ValueError, FilterError) as error:
            return Outcome(error=error)
        return Outcome(
            built=built, written=written, garbage=garbage, first=tuple(first), triggers=triggers, local=local
        )

    def finish(self, outcome: Outcome) -> bool:
        """Take what was built and tell of it; on any error the one before stays. Whether there is a new one."""
        if outcome.built is None:
            error = outcome.error
            mend = 'mend it, or set garbage = "skip"'
            remedy = "make room, or make it readable; it is tried again" if isinstance(error, OSError) else mend
            self._rest = _LOOKS_BETWEEN if isinstance(error, OSError) else None
            self.fail(error.strerror if isinstance(error, OSError) and error.strerror else str(error), remedy)
            return False
        self._take(outcome.built, outcome.written)
        name = self.settings.name
        self._emit("list.loaded", {"list": name, "names": self.state.names, "prefixes": self.state.prefixes})
        if outcome.garbage:
            lines = [f"{self.source}:{line}: {why}" for line, why in outcome.first]
            self._emit("list.lines-skipped", {"list": name, "lines": outcome.garbage, "first": lines})
        if outcome.triggers or outcome.local:
            unused = {"other_triggers": outcome.triggers, "local_data": outcome.local}
            self._emit("list.not-applicable", {"list": name, **unused})
        return True

    def fail(self, error: str, remedy: str) -> None:
        """Say that no new version can be had."""
        self.state = msgspec.structs.replace(self.state, failures=self.state.failures + 1, error=error)
        stays = "the last good one stays" if self._built is not None else "there is none: it holds nothing"
        fields = {"list": self.settings.name, "source": str(self.source), "error": error}
        self._emit("list.failed", {**fields, "remedy": remedy, "meanwhile": stays})

    def _tries_again(self) -> bool:
        """A source that was bad stays bad until it changes; a disk that was full may have room again."""
        if self._rest is None:
            return False
        self._rest -= 1
        return self._rest <= 0

    @property
    def is_there(self) -> bool:
        """Whether there is a version to use."""
        return self._built is not None

    def _version(self) -> Version | None:
        try:
            known = self.source.stat()
            if not stat.S_ISREG(known.st_mode):
                raise OSError(errno.EINVAL, NO_FILE)  # a pipe would be waited for, maybe for ever
        except OSError as error:
            # What is fetched may not have come yet; the transfer process tells of its failures.
            if not self._missing and not self.settings.is_remote:
                self.fail(error.strerror or str(error), "put the file there, or correct `file`")
            self._missing = True
            return None
        self._missing = False
        return known.st_ino, known.st_size, known.st_mtime_ns

    def _recall(self) -> None:
        """Take what was built before a restart."""
        try:
            self._take(List.open(self.file), self.file.stat().st_mtime)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._emit("list.failed", {"list": self.settings.name, "error": str(error), "remedy": "it is built anew"})

    def _take(self, built: List, written: float) -> None:
        self._built = built.stamp
        self.state = ListState(
            name=self.settings.name,
            names=built.names,
            prefixes=built.prefixes,
            skipped=built.garbage,
            not_applicable=built.not_applicable,
            failures=self.state.failures,
            loaded=written,
        )
