"""Joins samples, detectors, table and file, second by second; what the supervisor has of dynamic blocks.

```
workers --samples, hits--> keeper --once a second--> detectors -> table -> workers, file
                              `-> traffic of the last minute, for `zonegate top`
```
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from filters.detectors import Detectors
from gateway import ipc
from gateway.blocks.exempt import exempt_of
from gateway.blocks.store import BlockStore
from gateway.blocks.table import BlockTable, rows
from gateway.blocks.traffic import Traffic
from gateway.blocks.values import Block, BlockList, BlockRequest
from gateway.settings import GatewaySettings
from proxy.values import Emit

_BATCHES = 256
"""Batches that may wait for the next second; workers send two each."""

_SAVE_EVERY = 10
"""Seconds between two saves while only times and hits change; what is in force is saved at once."""


class BlockKeeper:
    """The dynamic blocks of one gateway. `clock` gives seconds since 1970, `timer` measures our own time."""

    def __init__(
        self,
        settings: GatewaySettings,
        directory: Path | None,
        emit: Emit,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._timer = timer
        self._table = BlockTable(clock, emit)
        self._store = BlockStore(directory, emit)
        self._batches: list[bytes] = []
        self._seconds = 0
        self._saved = 0
        self.detector_seconds = 0.0
        self.hits: Counter[tuple[str, str]] = Counter()
        """Messages that blocks stopped since the start, by rule ("operator" for those without) and action."""

        self.traffic = Traffic()
        self.configure(settings)
        found, number = self._store.load()
        self._table.restore(found, number)
        self._saved = self._table.serial

    def configure(self, settings: GatewaySettings) -> None:
        """Take new settings; blocks go on as far as they still hold."""
        self._settings = settings
        self._exempt = exempt_of(settings)
        rules = settings.filters.dynamic_blocks if settings.filters.blocks.samples else ()
        self._detectors = Detectors(settings.filters, self._exempt.ours) if rules else None
        self._table.configure(rules, settings.filters.blocks.most, self._exempt)
        self.traffic.configure(settings.filters)

    @property
    def serial(self) -> int:
        """The number of what is in force; workers tell theirs."""
        return self._table.serial

    def message(self) -> ipc.Blocks:
        """What is in force, for the workers."""
        prefixes, names = rows(self._table.in_force(), self._exempt)
        return ipc.Blocks(serial=self.serial, prefixes=prefixes, names=names)

    def samples(self, message: ipc.Samples) -> None:
        """What a worker says of the last second."""
        self._batches += message.batches[: max(0, _BATCHES - len(self._batches))]
        for number, count in message.hits:
            block = self._table.get(number)
            if block is not None:
                self.hits[block.rule or "operator", block.action] += count
        self._table.hit(message.hits)

    def tick(self) -> None:
        """One second has passed: look at what came."""
        begun = self._timer()
        batches, self._batches = self._batches, []
        self.traffic.add(batches)
        findings = [] if self._detectors is None else self._detectors.look(batches, self._table.presumed())
        self._table.take(findings)
        self.detector_seconds += self._timer() - begun
        self._seconds += 1
        self.save(soon=True)

    def save(self, *, soon: bool = False) -> None:
        """Write the file if it is due; with `soon`, what only counts may wait."""
        changed = self._table.serial != self._saved
        if changed or (self._table.dirty and (not soon or self._seconds % _SAVE_EVERY == 0)):
            self._table.dirty = not self._store.save(self._table.list(), self._table.next_number)
            self._saved = self._table.serial

    @property
    def overflowed(self) -> int:
        """Findings that found no place in a full table."""
        return self._table.overflowed

    @property
    def samples_kept(self) -> int:
        """Samples that were looked at."""
        return self.traffic.seen

    # The operator.

    def list(self) -> BlockList:
        """All blocks."""
        most = self._settings.filters.blocks.most
        return BlockList(blocks=tuple(self._table.list()), most=most, overflowed=self._table.overflowed)

    def add(self, request: BlockRequest) -> Block:
        """Set a block of an operator.

        Raises:
            BlockError: it can't be set; the text says what would be right.
        """
        block = self._table.add(request)
        self.save()
        return block

    def remove(self, number: int) -> Block | None:
        """Remove a block; the one that it was."""
        block = self._table.remove(number)
        self.save()
        return block

    def counts(self) -> Sequence[tuple[str, int]]:
        """How many blocks there are, by action."""
        found = Counter(block.action for block in self._table.list())
        return [(action, found[action]) for action in ("warn", "truncate", "drop")]
