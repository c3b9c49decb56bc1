"""A rate with a burst, as one time (GCRA): the moment at which the bucket would be full again."""

from __future__ import annotations


class Pace:
    """`rate` a second, `burst` at once. Pure: `now` is an argument, in seconds of any clock that does not go back."""

    def __init__(self, rate: float, burst: int) -> None:
        self._full_at = 0.0
        self._step = self._room = 0.0
        self.set(rate, burst)

    def set(self, rate: float, burst: int) -> None:
        """Another rate from now on; what was used stays used."""
        self._step = 1 / rate
        self._room = burst / rate

    def wait(self, now: float) -> float:
        """Seconds until the next may go; 0: it may go now."""
        return max(0.0, max(self._full_at, now) + self._step - self._room - now)

    def take(self, now: float) -> None:
        """One goes."""
        self._full_at = max(self._full_at, now) + self._step
