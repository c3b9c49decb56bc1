"""What was fetched, on its way into the file that the supervisor watches: written aside, then renamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Self

import msgspec
from msgspec import Struct


class FetchError(Exception):
    """A source could not be fetched; the text says why."""


class Known(Struct, frozen=True, kw_only=True):
    """What is known of the version that we have, to ask whether there is another."""

    source: str = ""
    etag: str | None = None
    modified: str | None = None
    serial: int | None = None


class Body:
    """The file `NAME.body`, and `NAME.known` beside it. As a context it is a new version until `keep`."""

    def __init__(self, folder: Path, name: str, most: int) -> None:
        self._file, self._known = folder / f"{name}.body", folder / f"{name}.known"
        self._part = folder / f"{name}.part"
        self._most = most
        self._length = 0

    def known(self, source: str) -> Known:
        """What is known of the version from this source; nothing if there is none."""
        try:
            known = msgspec.json.decode(self._known.read_bytes(), type=Known)
            return known if known.source == source and self._file.exists() else Known(source=source)
        except (OSError, msgspec.MsgspecError):  # it is fetched whole then
            return Known(source=source)

    def __enter__(self) -> Self:
        self._length = 0
        self._out = _private(self._part)
        return self

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            FetchError: it is longer than it may be.
        """
        self._length += len(data)
        if self._length > self._most:
            raise FetchError(f"longer than max_bytes = {self._most}")
        self._out.write(data)

    def keep(self, known: Known) -> None:
        """It is whole: put it in place."""
        self._out.flush()
        os.fsync(self._out.fileno())
        self._part.replace(self._file)
        with _private(self._known) as out:
            out.write(msgspec.json.encode(known))

    def __exit__(self, *_: object) -> None:
        self._out.close()
        self._part.unlink(missing_ok=True)


def _private(path: Path) -> BinaryIO:
    """A file for us alone: a list of servers holds keys, and so may its URL."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
