"""The lists between supervisor and workers: once a second their sources are looked at, and what changed goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.lists.keeper import ListKeeper

INTERVAL = 1.0


class Listing:
    """The lists of a running gateway. `swap` gives all workers the new ones in one step."""

    def __init__(self, keeper: ListKeeper, swap: Callable[[], Awaitable[None]]) -> None:
        self.keeper = keeper
        self._swap = swap

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            if await self.keeper.look():
                await self._swap()
