"""The dynamic blocks between supervisor and workers: once a second the detectors look, and what changed goes out.

Each worker says with its samples which blocks it has. One that has others, because it was just starting when they
changed, gets them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gateway import ipc
from gateway.blocks.keeper import BlockKeeper
from gateway.blocks.values import Block, BlockList, BlockRequest
from gateway.settings import GatewaySettings
from gateway.supervisor.child import Child

INTERVAL = 1.0


class Blocking:
    """The dynamic blocks of a running gateway. `children` are all its processes, as they come."""

    def __init__(self, keeper: BlockKeeper, children: Iterable[Child]) -> None:
        self.keeper = keeper
        self._children = children
        self._spread = keeper.serial

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.keeper.tick()
            self.spread()

    def heard(self, child: Child, message: ipc.Samples) -> None:
        """A worker told what it saw."""
        self.keeper.samples(message)
        if message.blocks != self._spread:
            child.send(self.keeper.message())

    def spread(self) -> None:
        """Tell the workers what is in force, if it changed."""
        if self._spread != self.keeper.serial:
            self._spread = self.keeper.serial
            message = self.keeper.message()
            for child in self._children:
                if child.role.kind == "ingress":
                    child.send(message)

    def configure(self, settings: GatewaySettings) -> None:
        """Take new settings."""
        self.keeper.configure(settings)
        self.spread()

    # What the admin API asks.

    def list(self) -> BlockList:
        """All blocks."""
        return self.keeper.list()

    def add(self, request: BlockRequest) -> Block:
        """Set a block.

        Raises:
            BlockError: it can't be set; the text says what would be right.
        """
        block = self.keeper.add(request)
        self.spread()
        return block

    def remove(self, number: int) -> Block | None:
        """Remove a block; the one that it was."""
        block = self.keeper.remove(number)
        self.spread()
        return block
