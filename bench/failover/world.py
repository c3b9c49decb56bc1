"""A simulated world: tunnels that come, go and get slow by a schedule, one query a second, and a clock of its own.

Only the deciding code runs here, without a network: the same code that runs in the gateway, with the clock as an
argument. A node gives a query up after five seconds, as BIND does with a primary over UDP in all tries together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

NODE_PATIENCE = 5.0  # seconds

Delay = Callable[[float], float | None]  # of an answer at that second; None: silence


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, for `length` seconds; `event` is the second at which the chosen tunnel falls silent, if it does."""

    name: str
    delays: Sequence[Delay]
    length: int
    event: int | None = None


class Balancer(Protocol):
    """Who is judged."""

    @property
    def chosen(self) -> int:
        """The tunnel that the next query is sent to."""

    def tick(self, now: float, delays: Sequence[float | None]) -> None:
        """Make the probes that are due; `delays` is what each tunnel would show now."""

    def query(self, now: float, delays: Sequence[float | None]) -> tuple[int, float | None]:
        """A node's query: the tunnel that it ended with, and after how many seconds it was answered, if it was."""


@dataclass(slots=True)
class Outcome:
    """What came of it.

    `elsewhere`: queries that another tunnel than the chosen one answered. `changes`: of the chosen one. `noticed`:
    seconds from the event to the first answer after it.
    """

    lost: int = 0
    elsewhere: int = 0
    changes: int = 0
    slowest: float = 0.0
    noticed: float | None = None


def play(scenario: Scenario, balancer: Balancer) -> Outcome:
    """Run the scenario: one query a second."""
    outcome = Outcome()
    before: int | None = None
    for second in range(scenario.length):
        now = float(second)
        delays = [each(now) for each in scenario.delays]
        balancer.tick(now, delays)
        chosen = balancer.chosen
        outcome.changes += before is not None and chosen != before
        before = chosen
        tunnel, waited = balancer.query(now, delays)
        outcome.elsewhere += tunnel != chosen and waited is not None
        outcome.slowest = max(outcome.slowest, NODE_PATIENCE if waited is None else waited)
        outcome.lost += waited is None
        late = scenario.event is not None and second >= scenario.event
        if late and outcome.noticed is None and waited is not None and scenario.event is not None:
            outcome.noticed = second - scenario.event + waited
    return outcome


def steady(mean: float, jitter: float = 0.1, seed: int = 1) -> Delay:
    """A tunnel that works; `jitter` is the deviation as a share of the mean."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    return lambda _: max(0.001, chance.gauss(mean, mean * jitter))


def silent_from(second: float, delay: Delay, until: float = float("inf")) -> Delay:
    """The same, silent for a time."""
    return lambda now: None if second <= now < until else delay(now)


def lossy(share: float, delay: Delay, seed: int = 2) -> Delay:
    """The same, with packets lost."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    return lambda now: None if chance.random() < share else delay(now)


def flapping(period: float, delay: Delay) -> Delay:
    """The same, silent every other period."""
    return lambda now: None if int(now / period) % 2 else delay(now)


def scenarios() -> tuple[Scenario, ...]:
    """All of them, from the beginning of their dice."""
    return (
        Scenario("falls silent after 20 min", (silent_from(1203, steady(0.02)), steady(0.04, seed=3)), 1800, 1203),
        Scenario("two nearly equal", (steady(0.030, 0.3), steady(0.031, 0.3, seed=3)), 3600),
        Scenario("comes and goes every 33 s", (flapping(33, steady(0.02)), steady(0.04, seed=3)), 3600),
        Scenario("loses 1 % of packets", (lossy(0.01, steady(0.02)), steady(0.04, seed=3)), 3600),
    )
