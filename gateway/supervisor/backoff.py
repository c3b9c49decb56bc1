"""How long to wait before a process is started again: not at all at first, then longer while it keeps crashing."""

from __future__ import annotations

STABLE = 10.0
"""Seconds of life after which a crash counts as the first again."""

_FIRST = 0.1
_LONGEST = 2.0
"""Not longer: the kernel goes on giving the worker its share of the clients (SO_REUSEPORT), and they wait."""


class Backoff:
    """Gives the delays 0, 0.1, 0.2, 0.4 … 2 seconds for crashes in quick succession."""

    def __init__(self) -> None:
        self._quick = 0

    def delay(self, lived: float) -> float:
        """Seconds to wait after a life of `lived` seconds."""
        if lived >= STABLE:
            self._quick = 0
        delay = min(_FIRST * 2.0 ** (self._quick - 1), _LONGEST) if self._quick else 0.0
        self._quick = min(self._quick + 1, 32)
        return delay
