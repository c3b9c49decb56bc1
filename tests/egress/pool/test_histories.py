"""Long random histories of tunnels, on a clock that is moved: no flapping, and no query lost that could be carried."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.egress.pool.breaker import State
from proxy.settings import Failover
from tests.egress.pool.simulated import REFUSED, SILENCE, Simulated

RULES = Failover(failures=2, successes=2, rest=5, longest_rest=80, hold=30, margin=0.5)
DOUBLINGS = ceil(log2(RULES.longest_rest / RULES.rest))

# How long it lasts, and what tunnels a and b do meanwhile; c always works.
SPELLS = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.sampled_from(["good", "slow", "silent", "refuses"]),
        st.sampled_from(["good", "slow", "silent", "refuses"]),
    ),
    min_size=1,
    max_size=20,
)


def ask(pool: Simulated, doing: dict[str, str]) -> bool:
    """A query that goes from tunnel to tunnel until one answers."""
    for tunnel in pool.route.order("tcp"):
        what = doing[tunnel.counters.name]
        if what in {"good", "slow"}:
            pool.route.worked(tunnel, "tcp", 0.02 if what == "good" else 0.2)
            return True
        pool.route.failed(tunnel, "tcp", REFUSED if what == "refuses" else SILENCE)
    return False


@settings(max_examples=20, deadline=None)
@given(SPELLS, st.sampled_from(["ordered", "scored"]))
def test_changes_are_bounded_and_nothing_is_lost(spells: list[tuple[int, str, str]], kind: str) -> None:
    pool = Simulated(3, RULES, kind=kind)
    began = pool.clock.now
    for length, a, b in spells:
        doing = {"a": a, "b": b, "c": "good"}
        for _ in range(length):
            assert ask(pool, doing)
            pool.clock.now += 1
    passed = pool.clock.now - began
    changes = pool.events.named("tunnel.chosen")
    by_choice = [each for each in changes if each["why"] == "better for a while"]
    trips = [way.breaker.trips for way in pool.route.ways if way.transport == "tcp"]
    assert len(by_choice) <= passed / RULES.hold
    assert len(changes) - len(by_choice) <= sum(trips)
    assert trips[2] == 0
    # Each rest is twice as long as the one before, until the longest; all begins anew after a good time as long.
    assert max(trips) <= (DOUBLINGS + 1) * (passed / RULES.longest_rest + 1)


@settings(max_examples=20, deadline=None)
@given(SPELLS)
def test_a_chosen_tunnel_that_works_is_kept(spells: list[tuple[int, str, str]]) -> None:
    pool = Simulated(3, RULES)
    for length, a, b in spells:
        for _ in range(length):
            before = pool.route.status()[1].chosen
            doing = {"a": a, "b": b, "c": "good"}
            worked = doing[before] in {"good", "slow"}
            told = len(pool.events.named("tunnel.chosen"))
            ask(pool, doing)
            changes = pool.events.named("tunnel.chosen")[told:]
            assert not worked or not changes or changes[0]["why"] == "better for a while"
            pool.clock.now += 1


@settings(max_examples=20, deadline=None)
@given(SPELLS)
def test_after_the_last_change_of_the_world_the_first_tunnel_that_works_is_found(
    spells: list[tuple[int, str, str]],
) -> None:
    pool = Simulated(3, RULES)
    for length, a, b in spells:
        for _ in range(length):
            ask(pool, {"a": a, "b": b, "c": "good"})
            pool.clock.now += 1
    for _ in range(int(RULES.longest_rest + RULES.hold) + 10):
        ask(pool, {"a": "refuses", "b": "good", "c": "good"})
        pool.clock.now += 1
    way = next(way for way in pool.route.ways if way.name == "b" and way.transport == "tcp")
    assert way.state is State.CLOSED
    assert pool.route.status()[1].chosen == "b"
