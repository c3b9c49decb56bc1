"""A timer for "nothing has moved for so long". Movement costs one clock reading; no timer is moved for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class IdleTimer:
    """Calls `expired` once, when `touch` was not called for `timeout` seconds."""

    def __init__(self, timeout: float, expired: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._expired = expired
        self._last = self._loop.time()
        self._handle: asyncio.TimerHandle | None = self._loop.call_later(timeout, self._look)

    def touch(self) -> None:
        """Something moved."""
        self._last = self._loop.time()

    def restart(self) -> None:
        """After `expired` was called: watch again from now on."""
        self.stop()
        self.touch()
        self._handle = self._loop.call_later(self._timeout, self._look)

    def stop(self) -> None:
        """No call any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        left = self._last + self._timeout - self._loop.time()
        if left > 0.001:  # the loop's timers have a resolution of a millisecond
            self._handle = self._loop.call_later(left, self._look)
        else:
            self._handle = None
            self._expired()
