"""What a policy did with many messages: counts and a few names for each rule, list, limit, and outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from msgspec import Struct

from dataplane import Explanation
from gateway.trial.messages import Message
from gateway.trial.outcome import Outcome, asked_name
from gateway.trial.trial import Trial

EXAMPLES = 3
_LOOKS = 64
"""Messages that are looked at for different names, for each thing that is counted."""


class Row(Struct, frozen=True, kw_only=True):
    """A rule, list or limit: what it is, how many messages it matched (`hits`), and names that they asked for.
    `note` says more, such as the action.
    """

    name: str
    note: str
    hits: int
    share: float
    examples: Sequence[str]


class OutcomeRow(Struct, frozen=True, kw_only=True):
    """What became of messages: the verdict in words, its reason, and which rule, list or limit it was."""

    verdict: str
    reason: str
    by: str
    count: int
    share: float
    examples: Sequence[str]


class Report(Struct, frozen=True, kw_only=True):
    """All that is said of one policy."""

    policy: str
    messages: int
    seconds: float
    verdicts: dict[str, int]
    outcomes: Sequence[OutcomeRow]
    rules: Sequence[Row]
    never_matched: Sequence[str]
    lists: Sequence[Row]
    limits: Sequence[Row]
    observed: dict[str, int]
    cookies: dict[str, int]
    transports: dict[str, int]
    without_listener: int
    remarks: Sequence[str]


class Examples:
    """A few different names for each key."""

    def __init__(self) -> None:
        self._names: dict[Hashable, list[str]] = {}
        self._looks: Counter[Hashable] = Counter()

    def take(self, key: Hashable, message: Message) -> None:
        """Look whether the message has another name."""
        names = self._names.setdefault(key, [])
        if len(names) >= EXAMPLES or self._looks[key] >= _LOOKS:
            return
        self._looks[key] += 1
        name = asked_name(message.wire) or f"{len(message.wire)} bytes without a name"
        if name not in names:
            names.append(name)

    def of(self, key: Hashable) -> list[str]:
        """The names of a key."""
        return self._names.get(key, [])


class Tally:
    """The counts of one policy."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._examples = Examples()
        self._counts: dict[str, Counter[Hashable]] = {
            kind: Counter()
            for kind in ("outcome", "rule", "what", "list", "limit", "observed", "cookie", "transport", "verdict")
        }
        self.messages = 0
        self._strays = 0
        self._first: int | None = None
        self._last = 0

    def take(self, message: Message, told: Explanation, outcome: Outcome) -> None:
        """Count one."""
        counts = self._counts
        self.messages += 1
        self._first = message.clock if self._first is None else self._first
        self._last = message.clock
        self._strays += not self._trial.door(message.asker)[2]
        counts["transport"][message.asker.transport] += 1
        counts["verdict"][told.verdict] += 1
        self._count("outcome", outcome, message)
        for rule, what in told.rules:
            self._count("rule", rule, message)
            counts["what"][rule, what] += 1
        for place in told.over_limits:
            self._count("limit", place, message)
        if told.listed is not None:
            self._count("list", told.listed, message)
        if told.observed is not None:
            counts["observed"][told.observed] += 1
        if told.cookie is not None:
            counts["cookie"][told.cookie] += 1

    def _count(self, kind: str, key: Hashable, message: Message) -> None:
        self._counts[kind][key] += 1
        self._examples.take((kind, key), message)

    def report(self, remarks: Sequence[str] = ()) -> Report:
        """All of it."""
        filters, counts = self._trial.filters, self._counts
        names = [rule.name for rule in filters.rules]
        return Report(
            policy=str(self._trial.path),
            messages=self.messages,
            seconds=(self._last - (self._first or 0)) / 1e9,
            verdicts=_plain(counts["verdict"]),
            outcomes=self._outcomes(),
            rules=[
                self._row("rule", rule.name, rule.name, self._did(rule.name, rule.action)) for rule in filters.rules
            ],
            never_matched=[name for name in names if not counts["rule"][name]],
            lists=[
                self._row("list", place, each.name, each.action or "as the zone says")
                for place, each in enumerate(filters.lists)
            ],
            limits=[
                self._row("limit", place, name, filters.rate_limits[place].action)
                for place, name in enumerate(self._trial.limits)
            ],
            observed=_plain(counts["observed"]),
            cookies=_plain(counts["cookie"]),
            transports=_plain(counts["transport"]),
            without_listener=self._strays,
            remarks=[*self._trial.remarks, *remarks],
        )

    def _outcomes(self) -> list[OutcomeRow]:
        rows = []
        for outcome, count in self._counts["outcome"].most_common():
            assert isinstance(outcome, Outcome)
            examples = self._examples.of(("outcome", outcome))
            verdict, reason, by = outcome
            share = count / self.messages
            rows.append(OutcomeRow(verdict=verdict, reason=reason, by=by, count=count, share=share, examples=examples))
        return rows

    def _row(self, kind: str, key: Hashable, name: str, note: str) -> Row:
        hits = self._counts[kind][key]
        examples = self._examples.of((kind, key))
        return Row(name=name, note=note, hits=hits, share=hits / (self.messages or 1), examples=examples)

    def _did(self, rule: str, action: str) -> str:
        over = self._counts["what"][rule, "over-limit"]
        return f"{action}, {over:,} over it" if action == "limit" else action


def _plain(counter: Counter[Hashable]) -> dict[str, int]:
    return {str(key): count for key, count in counter.most_common()}
