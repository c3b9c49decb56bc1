"""Where two policies decide differently about the same messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from gateway.trial.messages import Message
from gateway.trial.outcome import Outcome
from gateway.trial.tally import Examples


class Change(Struct, frozen=True, kw_only=True):
    """Messages that the old policy decided so and the new one otherwise."""

    old_verdict: str
    old_reason: str
    old_by: str
    new_verdict: str
    new_reason: str
    new_by: str
    count: int
    share: float
    examples: Sequence[str]


class Difference:
    """The messages about which two policies differ. Another rule with the same verdict and reason is no difference of
    what clients see, but it is counted: the operator may have meant to write it.
    """

    def __init__(self) -> None:
        self._changes: Counter[tuple[Outcome, Outcome]] = Counter()
        self._examples = Examples()
        self._messages = 0

    def take(self, message: Message, old: Outcome, new: Outcome) -> None:
        """Compare what became of one."""
        self._messages += 1
        if old != new:
            self._changes[old, new] += 1
            self._examples.take((old, new), message)

    @property
    def count(self) -> int:
        """Messages that are decided differently."""
        return sum(self._changes.values())

    def changes(self) -> list[Change]:
        """The most frequent first."""
        return [
            Change(
                old_verdict=old.verdict,
                old_reason=old.reason,
                old_by=old.by,
                new_verdict=new.verdict,
                new_reason=new.reason,
                new_by=new.by,
                count=count,
                share=count / self._messages,
                examples=self._examples.of((old, new)),
            )
            for (old, new), count in self._changes.most_common()
        ]
