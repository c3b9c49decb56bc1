"""The table of blocks and the life of each.

```
finding of a rule --> first step of its ladder --persists--> next step ... --over--> stays `duration` --> expired
operator --> until its time is over, or it is removed
```
A finding is over when it falls below the lower thresholds of its rule (hysteresis): what swings around the threshold
does not begin and end with each swing. After `longest` a block of a detector is lifted even so, because what it stops
can't be measured while it does.

The table is bounded: when it is full the weakest block of a detector makes room for a stronger one, and what finds no
room is counted. Blocks of operators never give way.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from filters.detectors import Finding, parse_subject, read_name
from filters.errors import FilterError
from filters.settings.blocks import DynamicBlock
from gateway.blocks.exempt import Exempt
from gateway.blocks.values import Block, BlockError, BlockRequest
from proxy.values import Emit

LONGEST_REASON = 200
_NEW_AT_ONCE = 1000
"""Blocks that one second's findings may add; the strongest come first."""

_TOLD_AT_ONCE = 50
"""Events of one name that one second may have; the others are told as a number."""

_STRENGTH = {"warn": 0, "truncate": 1, "drop": 2}

Key = tuple[str | None, str]
"""The rule (None: the operator) and the subject: one block of each."""


class BlockTable:
    """All blocks. `clock` gives the seconds since 1970."""

    def __init__(self, clock: Callable[[], float], emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._blocks: dict[int, Block] = {}
        self._by_key: dict[Key, int] = {}
        self._next = 1
        # What an operator has removed is not set again by its rule before its time is over.
        self._quiet: dict[Key, float] = {}
        self._rules: dict[str, DynamicBlock] = {}
        self._most = 1
        self._exempt = Exempt()
        # Blocks of detectors, the weakest first, while they make room.
        self._weakest: list[tuple[int, float, int]] | None = None
        self._told: Counter[str] = Counter()
        self.overflowed = 0
        self.serial = 0
        """Raised by every change of what is in force."""

        self.dirty = False
        """Whether there is anything to save since it was last set to False."""

    def configure(self, rules: Iterable[DynamicBlock], most: int, exempt: Exempt) -> None:
        """Take new settings. Blocks of rules that are gone, and of what is exempt now, expire."""
        self._rules = {rule.name: rule for rule in rules}
        self._most, self._exempt = most, exempt
        self.serial += 1
        for block in list(self._blocks.values()):
            if block.rule is not None and block.rule not in self._rules:
                self._drop(block, "block.expired", "its rule is gone")
            elif self._is_exempt(block):
                self._drop(block, "block.expired", "it is exempt now")
            elif block.rule is not None:
                self._bound(block, self._rules[block.rule])

    def _bound(self, block: Block, rule: DynamicBlock) -> None:
        """The ladder of its rule may have become shorter, or gentler."""
        step = min(block.step, len(rule.steps) - 1)
        if block.step != step or block.action != rule.steps[step]:
            block.step, block.action = step, rule.steps[step]
            self.dirty = True

    def list(self) -> Sequence[Block]:
        """All, the strongest first."""
        return sorted(self._blocks.values(), key=lambda block: (-_STRENGTH[block.action], -block.times, block.id))

    def get(self, number: int) -> Block | None:
        """The block of this number."""
        return self._blocks.get(number)

    def in_force(self) -> Iterable[Block]:
        """Those that stop anything."""
        return (block for block in self._blocks.values() if block.action != "warn")

    def presumed(self) -> dict[tuple[str, str], float]:
        """The mix of each block in force, by rule and subject, for the detectors."""
        return {(block.rule, block.subject): block.mix for block in self.in_force() if block.rule is not None}

    # The operator.

    def add(self, request: BlockRequest) -> Block:
        """Set a block of an operator, in the place of one that he set for the same subject.

        Raises:
            BlockError: it can't be set; the text says what would be right.
        """
        try:
            kind, subject = parse_subject(request.subject)
        except FilterError as error:
            raise BlockError(f"{request.subject[:64]!r}: {error}") from None
        seconds = request.seconds
        if seconds is not None and not 0 < seconds <= 366 * 86_400:
            raise BlockError(f"{seconds:g} seconds; write more than 0 and at most a year, or none at all")
        now = self._clock()
        block = Block(
            id=0,
            kind=kind,
            subject=subject,
            action=request.action,
            reason=request.reason[:LONGEST_REASON] or "set by an operator",
            since=now,
            until=None if seconds is None else now + seconds,
            who="operator",
        )
        if self._is_exempt(block):
            raise BlockError(f"{subject} is exempt: a backend, a primary, our own address, or named in filters.blocks")
        self._weakest = None
        old = self._by_key.get((None, subject))
        if old is not None:
            self._forget(self._blocks[old])
        elif len(self._blocks) >= self._most and not self._make_room(None):
            raise BlockError(f"there are {self._most} blocks of operators; raise filters.blocks.most, or remove some")
        self._keep(block)
        self._tell("block.added", block)
        return block

    def remove(self, number: int) -> Block | None:
        """Remove a block; the one that it was."""
        block = self._blocks.get(number)
        if block is not None:
            if block.rule is not None and block.rule in self._rules:
                self._quiet[block.rule, block.subject] = self._clock() + self._rules[block.rule].duration
            self._drop(block, "block.removed", "by an operator")
        return block

    # The detectors.

    def take(self, findings: Iterable[Finding]) -> None:
        """One second's findings: new blocks, steps up the ladder, and those that go on."""
        now = self._clock()
        self._expire(now)
        new: list[Finding] = []
        for finding in findings:
            number = self._by_key.get((finding.rule, finding.subject))
            if number is not None:
                self._go_on(self._blocks[number], finding, now)
            elif finding.over and self._quiet.get((finding.rule, finding.subject), 0.0) <= now:
                new.append(finding)
        for finding in heapq.nlargest(_NEW_AT_ONCE, new, key=lambda finding: finding.times):
            self._begin(finding, now)
        self._weakest = None
        for event, count in self._told.items():
            if count > _TOLD_AT_ONCE:
                self._emit("block.more", {"name": event, "number": count - _TOLD_AT_ONCE})
        self._told.clear()

    def _begin(self, finding: Finding, now: float) -> None:
        rule = self._rules.get(finding.rule)
        if rule is None:
            return
        block = Block(
            id=0,
            kind=finding.kind,
            subject=finding.subject,
            action=rule.steps[0],
            reason=finding.reason,
            since=now,
            until=now + rule.duration,
            who="detector",
            rule=rule.name,
            stepped=now,
            times=finding.times,
            mix=finding.mix,
        )
        if self._is_exempt(block):
            return
        if len(self._blocks) >= self._most and not self._make_room(block):
            self.overflowed += 1
            return
        self._keep(block)
        self._tell("block.added", block)

    def _go_on(self, block: Block, finding: Finding, now: float) -> None:
        rule = self._rules[finding.rule]
        if now - block.since >= rule.longest:
            self._drop(block, "block.expired", f"lifted after {rule.longest:g} s, to measure without it")
            return
        block.until = now + rule.duration
        block.times = finding.times
        self.dirty = True
        if not finding.over:
            block.stepped = now  # only what stays above the threshold all the time goes up
        elif block.step + 1 < len(rule.steps) and now - block.stepped >= rule.escalate_after:
            block.step += 1
            block.action, block.stepped, block.reason = rule.steps[block.step], now, finding.reason
            self.serial += 1
            self._tell("block.escalated", block)

    def _expire(self, now: float) -> None:
        self._follow(now)
        for block in [block for block in self._blocks.values() if block.until is not None and block.until <= now]:
            self._drop(block, "block.expired", "its time is over")
        self._quiet = {key: until for key, until in self._quiet.items() if until > now}

    def _follow(self, now: float) -> None:
        """A clock that was set back must not make longer what detectors have set, nor what they leave alone."""
        for block in self._blocks.values():
            rule = self._rules.get(block.rule) if block.rule is not None else None
            if rule is not None and block.until is not None and block.until > now + rule.duration:
                block.until = now + rule.duration
                block.since, block.stepped = min(block.since, now), min(block.stepped, now)
        for key, until in self._quiet.items():
            if key[0] in self._rules:
                self._quiet[key] = min(until, now + self._rules[key[0]].duration)

    # What both use.

    def hit(self, hits: Iterable[tuple[int, int]]) -> None:
        """Count messages that blocks stopped: number of the block, hits."""
        for number, count in hits:
            block = self._blocks.get(number)
            if block is not None:
                block.hits += count
                self.dirty = True

    def restore(self, blocks: Iterable[Block], next_number: int) -> None:
        """Take over what was saved, as far as it still holds."""
        self._next = max(next_number, self._next)
        now = self._clock()
        for block in blocks:
            known = block.rule is None or block.rule in self._rules
            alive = block.until is None or block.until > now
            if known and alive and not self._is_exempt(block) and len(self._blocks) < self._most:
                self._keep(block, number=block.id)
                if block.rule is not None:
                    self._bound(block, self._rules[block.rule])

    @property
    def next_number(self) -> int:
        """The number of the next block: none is ever given twice."""
        return self._next

    def _keep(self, block: Block, number: int | None = None) -> None:
        block.id = self._next if number is None else number
        self._next = max(self._next, block.id + 1)
        self._blocks[block.id] = block
        self._by_key[block.rule, block.subject] = block.id
        self.serial += 1
        self.dirty = True

    def _forget(self, block: Block) -> None:
        del self._blocks[block.id]
        del self._by_key[block.rule, block.subject]
        self.serial += 1
        self.dirty = True

    def _drop(self, block: Block, event: str, why: str) -> None:
        self._forget(block)
        self._tell(event, block, why)

    def _tell(self, event: str, block: Block, why: str | None = None) -> None:
        self._told[event] += 1
        if self._told[event] > _TOLD_AT_ONCE:
            return
        fields: dict[str, object] = {
            "id": block.id,
            "subject": block.subject,
            "action": block.action,
            "reason": block.reason,
            "who": block.who,
            "rule": block.rule,
            "until": None if block.until is None else round(block.until),
            "hits": block.hits,
            "why": why,
        }
        self._emit(event, {name: value for name, value in fields.items() if value is not None})

    def _make_room(self, new: Block | None) -> bool:
        """Let the weakest block of a detector go, if it is weaker than the new one (None: an operator's)."""
        if self._weakest is None:
            self._weakest = [(*_strength(block), block.id) for block in self._blocks.values() if block.rule is not None]
            heapq.heapify(self._weakest)
        while self._weakest:
            strength, times, number = self._weakest[0]
            if new is not None and _strength(new) <= (strength, times):
                return False
            heapq.heappop(self._weakest)
            if number in self._blocks:
                self._drop(self._blocks[number], "block.removed", "it made room for a stronger one")
                return True
        return False

    def _is_exempt(self, block: Block) -> bool:
        if block.kind == "prefix":
            return self._exempt.holds_prefix(ipaddress.ip_network(block.subject))
        return self._exempt.holds_name(read_name(block.subject))


def _strength(block: Block) -> tuple[int, float]:
    return _STRENGTH[block.action], block.times


def rows(
    blocks: Iterable[Block], exempt: Exempt
) -> tuple[list[tuple[str, int, str, int]], list[tuple[bytes, str, int]]]:
    """Blocks in force as the data plane takes them (`dataplane.Blocks`), with what is exempt as holes in them."""
    prefixes: list[tuple[str, int, str, int]] = []
    names: list[tuple[bytes, str, int]] = []
    for block in blocks:
        if block.kind == "prefix":
            prefix = ipaddress.ip_network(block.subject)
            prefixes.append((str(prefix.network_address), prefix.prefixlen, block.action, block.id))
        else:
            names.append((read_name(block.subject), block.action, block.id))
    if prefixes:
        exempted = (*exempt.ours, *exempt.prefixes)
        prefixes += [(str(prefix.network_address), prefix.prefixlen, "pass", 0) for prefix in exempted]
    if names:
        names += [(name, "pass", 0) for name in exempt.names]
    return prefixes, names
