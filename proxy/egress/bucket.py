"""A token bucket: so much a second, and so much at once. Whoever takes more owes it, and is told how long to wait."""

from __future__ import annotations


class Bucket:
    """`rate` is in units a second, `burst` in units; `now` is any clock that never goes back, in seconds."""

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at = now

    def take(self, amount: float, now: float) -> float:
        """Take it, on credit if need be. Returns the seconds until the debt is paid; 0 if there is none."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self.rate)

    def take_now(self, amount: float, now: float) -> bool:
        """Take it if it is there; what is larger than the whole bucket takes all of a full one."""
        self._fill(now)
        if self._level < min(amount, self.burst):
            return False
        self._level -= amount
        return True

    def give_back(self, amount: float) -> None:
        """What was taken was not used."""
        self._level = min(self.burst, self._level + amount)

    def _fill(self, now: float) -> None:
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
