"""Counts of each subject over the last seconds: sums that gain the newest second and lose the oldest, exactly."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from msgspec import Struct


class Counts(Struct):
    """What was counted of a subject: by counter, from how many samples, and hashes of different names."""

    counts: dict[str, int]
    samples: int
    hashes: list[int]


class Window:
    """The last `seconds` of one view."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._past: deque[Mapping[str, Counts]] = deque()
        self._sums: dict[str, Counts] = {}

    def push(self, second: Mapping[str, Counts]) -> None:
        """One second more."""
        self._past.append(second)
        for subject, new in second.items():
            held = self._sums.setdefault(subject, Counts({}, 0, []))
            held.samples += new.samples
            for counter, count in new.counts.items():
                held.counts[counter] = held.counts.get(counter, 0) + count
        if len(self._past) > self._seconds:
            for subject, old in self._past.popleft().items():
                self._forget(subject, old)

    def _forget(self, subject: str, old: Counts) -> None:
        held = self._sums[subject]
        held.samples -= old.samples
        for counter, count in old.counts.items():
            left = held.counts[counter] - count
            if left:
                held.counts[counter] = left
            else:
                del held.counts[counter]
        if not held.samples:
            del self._sums[subject]

    def sums(self) -> Iterator[tuple[str, Counts]]:
        """Each subject with its counts. Their hashes are asked for apart, because few need them."""
        return iter(self._sums.items())

    def hashes(self, subject: str) -> list[int]:
        """Of all seconds, in no order."""
        return [number for second in self._past if subject in second for number in second[subject].hashes]
