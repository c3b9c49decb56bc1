"""Which of the tunnels a primary sees: one stays chosen until it fails, or until another is better for good.

Access lists, response rate limits and firewalls of a primary know the exit's address; so an exit is kept (sticky).
Another takes its place

- at once, when the breaker of the chosen one is not closed and another's is;
- when another was better at every look for `hold` seconds. Better is, for "ordered", named earlier in the
  configuration; for "scored", cheaper by the margin.

So a tunnel that comes and goes, or two that are nearly equal, cause no changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from proxy.egress.pool.breaker import State
from proxy.settings.failover import Failover

Kind = Literal["ordered", "scored"]


class Candidate(Protocol):
    """What is looked at."""

    @property
    def state(self) -> State: ...

    @property
    def cost(self) -> float: ...


class Choice:
    """Remembers who is chosen, by the place in `candidates`; best place first."""

    def __init__(self, kind: Kind, rules: Failover) -> None:
        self._kind = kind
        self._rules = rules
        self.chosen = 0
        self._better_since: dict[int, float] = {}

    def look(self, candidates: Sequence[Candidate], now: float) -> int:
        """The chosen one, now."""
        usable = [place for place, each in enumerate(candidates) if each.state is State.CLOSED]
        if not usable:
            self._better_since.clear()
        elif self.chosen not in usable:
            self._choose(min(usable, key=lambda place: self._rank(place, candidates)))
        else:
            self._weigh(usable, candidates, now)
        return self.chosen

    def order(self, candidates: Sequence[Candidate]) -> list[int]:
        """The places of all that are closed: the chosen one, then the others as they would be chosen."""
        usable = [place for place, each in enumerate(candidates) if each.state is State.CLOSED]
        return sorted(usable, key=lambda place: (place != self.chosen, self._rank(place, candidates)))

    def _weigh(self, usable: Sequence[int], candidates: Sequence[Candidate], now: float) -> None:
        better = [place for place in usable if self._is_better(place, candidates)]
        self._better_since = {place: self._better_since.get(place, now) for place in better}
        ripe = [place for place in better if now - self._better_since[place] >= self._rules.hold]
        if ripe:
            self._choose(min(ripe, key=lambda place: self._rank(place, candidates)))

    def _choose(self, place: int) -> None:
        self.chosen = place
        self._better_since.clear()

    def _is_better(self, place: int, candidates: Sequence[Candidate]) -> bool:
        if self._kind == "ordered":
            return place < self.chosen
        return candidates[place].cost * (1 + self._rules.margin) < candidates[self.chosen].cost

    def _rank(self, place: int, candidates: Sequence[Candidate]) -> tuple[float, int]:
        return (candidates[place].cost if self._kind == "scored" else 0.0, place)
