"""Fair turns of the loop for what is heavy: the answers of transfers on their way through the guard.

One read may bring 256 KiB, ten thousand records. With two hundred transfers, each turn of the loop would then belong
to them for a quarter of a second, and an SOA check would wait for it. So a read is put aside, and every turn of the
loop takes a slice of one connection after the other, up to a budget; then sockets and timers have their turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

BUDGET = 128 << 10  # bytes a turn: half a millisecond of the guard, with the smallest records
SLICE = 64 << 10  # bytes of one connection


class Worker(Protocol):
    """Who has work."""

    def work(self, limit: int) -> int:
        """Do about `limit` bytes; returns how many were done."""

    @property
    def has_work(self) -> bool:
        """Whether there is more that can be done now."""


class Turns:
    """Shared by all connections of a process."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Worker] = deque()
        self._members: set[Worker] = set()
        self._scheduled = False

    def add(self, worker: Worker) -> None:
        """It has work; harmless if it is known already."""
        if worker in self._members:
            return
        self._members.add(worker)
        self._queue.append(worker)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        left = BUDGET
        self._scheduled = False
        try:
            while self._queue and left > 0:
                worker = self._queue.popleft()
                self._members.discard(worker)
                left -= max(worker.work(SLICE), 1)
                if worker.has_work:
                    self._members.add(worker)
                    self._queue.append(worker)
        finally:  # whatever went wrong with one, the others go on
            if self._queue and not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._turn)
