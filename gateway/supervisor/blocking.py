"""The dynamic blocks between supervisor and workers: once a second the detectors look, and what changed goes out.

Each worker says with its samples which blocks it has. One that has others, because it was just starting when they
changed, gets them again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from gateway import ipc
from gateway.blocks.keeper import BlockKeeper
from gateway.blocks.traffic import SECONDS
from gateway.blocks.values import Block, BlockList, BlockRequest, LimitRate, Top
from gateway.settings import GatewaySettings
from gateway.supervisor.child import Child

INTERVAL = 1.0


class Counted(Protocol):
    """What the supervisor counts, or names, besides samples."""

    def over_limits(self) -> Mapping[str, int]:
        """Queries over each rate limit since the start."""

    def backend_names(self) -> Mapping[int, str]:
        """The backends by their slots."""


class Blocking:
    """The dynamic blocks of a running gateway. `children` are all its processes, as they come."""

    def __init__(self, keeper: BlockKeeper, children: Iterable[Child], counted: Counted) -> None:
        self.keeper = keeper
        self._counted = counted
        self._over: deque[Mapping[str, int]] = deque([counted.over_limits()], maxlen=SECONDS + 1)
        self._children = children
        self._spread = keeper.serial

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.keeper.tick()
            self._over.append(self._counted.over_limits())
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

    def top(self, seconds: int, most: int) -> Top:
        """What passed in the last seconds, and what is blocked: `most` rows of each kind."""
        now, then = self._over[-1], self._over[-min(seconds, len(self._over) - 1) - 1]
        length = max(1, min(seconds, len(self._over) - 1))
        rates = [LimitRate(name=name, rate=(n - then.get(name, 0)) / length) for name, n in now.items()]
        blocks = self.keeper.list().blocks
        return Top(
            sampled=self.keeper.traffic.last(seconds, most, self._counted.backend_names()),
            limits=tuple(sorted((limit for limit in rates if limit.rate > 0), key=lambda limit: -limit.rate)[:most]),
            blocks=blocks[:most],
            blocks_in_all=len(blocks),
        )
