"""All lists of the configuration: looks at their sources and builds what is new.

Sources are looked at once a second (inode, size and time of change), and a version is built when it was the same
twice: a file that is being written does not load half. Polling, because it sees files that are replaced by renaming,
links that are switched, and network file systems, of which a watch on a file sees none reliably; a look costs
microseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from filters.settings import FilterList
from gateway.config.directory import make_state_directory
from gateway.lists.values import ListState
from gateway.lists.watched import Watched
from proxy.values import Emit

FOLDER = "lists"
"""Below the state directory."""


class ListKeeper:
    """The lists. `base` is where the configuration file is, `state` the state directory."""

    def __init__(self, *, state: Path, base: Path, emit: Emit) -> None:
        self._state = state
        self._base = base
        self._emit = emit
        self._lists: dict[str, Watched] = {}
        # A reload looks, too: two would build one file at the same time.
        self._looking = asyncio.Lock()

    @property
    def folder(self) -> Path:
        """Where the lists are."""
        return self._state / FOLDER

    def prepare(self, lists: Sequence[FilterList]) -> None:
        """Make the place for these lists.

        Raises:
            StartError: the state directory can't be made.
        """
        if lists:
            make_state_directory(self._state)
            make_state_directory(self.folder)

    async def configure(self, lists: Sequence[FilterList]) -> None:
        """Keep these from now on; what is new among them is built when this returns. Those that stay as they are keep
        what they know. At the start, and for what a reload brings, nothing is waited for to settle.

        Raises:
            StartError: the state directory can't be made.
        """
        self.prepare(lists)
        async with self._looking:
            kept: dict[str, Watched] = {}
            for settings in lists:
                known = self._lists.get(settings.name)
                kept[settings.name] = (
                    known
                    if known is not None and known.settings == settings
                    else Watched(settings, base=self._base, folder=self.folder, emit=self._emit)
                )
            self._lists = kept
            await self._look(settle=False)

    async def look(self) -> bool:
        """Build what is new and was the same a look ago; whether any list has changed."""
        async with self._looking:
            return await self._look(settle=True)

    async def _look(self, *, settle: bool) -> bool:
        changed = False
        for watched in list(self._lists.values()):
            wanted = watched.due(settle=settle)
            if wanted is not None:
                changed |= watched.finish(await asyncio.to_thread(watched.build, wanted))
        return changed

    def files(self) -> dict[str, str]:
        """The file of each list that there is."""
        return {name: str(watched.file) for name, watched in self._lists.items() if watched.is_there}

    def states(self) -> Sequence[ListState]:
        """How they are."""
        return [watched.state for watched in self._lists.values()]
