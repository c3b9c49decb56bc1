"""Places of backends, rate limits and rules in the shared counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dataplane import SharedMemory
from proxy.settings import Backend

# As many as the shared memory has cells for; the settings allow no more backends.
SLOTS = 64
# The same for rate limits.
LIMIT_SLOTS = 32
# And for rules.
RULE_SLOTS = 1024


class Seat(NamedTuple):
    """A worker's place in the shared memory."""

    memory: SharedMemory
    worker: int


class Slots:
    """Gives each name a slot, which it keeps over every reload. The supervisor assigns: all workers agree.

    A slot that was never used is taken before one that was given up, so that counters of an old one are not shown
    as those of a new one until there is no other way.
    """

    def __init__(self, count: int = SLOTS) -> None:
        self._count = count
        self._by_name: dict[str, int] = {}
        self._next = 0

    def assign(self, backends: Sequence[Backend]) -> Mapping[str, int]:
        """The slots of exactly these backends, at most 64."""
        return self.assign_names([backend.name for backend in backends])

    def assign_names(self, names: Sequence[str]) -> Mapping[str, int]:
        """The slots of exactly these names, at most as many as there are slots."""
        kept = {name: slot for name, slot in self._by_name.items() if name in names}
        for name in names:
            if name not in kept:
                kept[name] = self._free_slot(set(kept.values()))
        self._by_name = kept
        return dict(kept)

    def _free_slot(self, taken: set[int]) -> int:
        if self._next < self._count:
            self._next += 1
            return self._next - 1
        return next(slot for slot in range(self._count) if slot not in taken)
