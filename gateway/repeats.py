"""Keep a flood of equal events from filling a disk or a queue: each may come often for a moment, then once a second.

What is left out is counted, and the count goes with the next one that passes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

SUBJECTS = ("process", "worker", "backend", "tunnel", "primary", "forwarder", "zone")
"""Fields that make two events of one name different ones. None of them is a client's choice."""

BURST = 20
"""Events of one key that pass at once; after them one a second."""

_KEYS = 1024


class EventLimiter:
    """Limits events by name and subject, and all of them together."""

    def __init__(self) -> None:
        self._each = RepeatLimiter()
        self._all = RepeatLimiter(burst=500, rate=50.0)

    def passes(self, name: str, fields: Mapping[str, object], now: float) -> int | None:
        """How many events this one stands for; None: leave this one out. See `RepeatLimiter.passes`."""
        key = (name, *(str(fields[subject]) for subject in SUBJECTS if subject in fields))
        count = self._each.passes(key, now)
        return None if count is None else self._all.passes(None, now, count)


class RepeatLimiter:
    """Token buckets by key, at most 1024 of them; the one unused for longest makes room."""

    def __init__(self, burst: int = BURST, rate: float = 1.0) -> None:
        self._burst = burst
        self._rate = rate
        self._buckets: dict[Hashable, tuple[float, float, int]] = {}

    def passes(self, key: Hashable, now: float, count: int = 1) -> int | None:
        """How many events this one stands for, itself and those left out before it; None: leave this one out.

        `now` is in seconds, of any clock that doesn't go back. `count` is how many this one stands for already.
        """
        tokens, since, left_out = self._buckets.pop(key, (float(self._burst), now, 0))
        tokens = min(float(self._burst), tokens + max(0.0, now - since) * self._rate)
        if len(self._buckets) >= _KEYS:
            del self._buckets[next(iter(self._buckets))]
        if tokens < 1.0:
            self._buckets[key] = (tokens, now, left_out + count)
            return None
        self._buckets[key] = (tokens - 1.0, now, 0)
        return left_out + count
