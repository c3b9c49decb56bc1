"""The circuit breaker: its three states, and its bounds over any history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.egress.pool.breaker import Breaker, State
from proxy.settings import Failover

RULES = Failover(failures=2, successes=2, rest=5, longest_rest=40)


def test_silences_in_a_row_open_it_and_an_answer_between_forgives() -> None:
    breaker = Breaker(RULES)
    assert not breaker.failed(0, hard=False)
    breaker.worked(1)
    assert not breaker.failed(2, hard=False)
    assert breaker.failed(3, hard=False)
    assert (breaker.state, breaker.until) == (State.OPEN, 8)


def test_a_hard_failure_opens_it_at_once() -> None:
    breaker = Breaker(RULES)
    assert breaker.failed(0, hard=True)
    assert breaker.state is State.OPEN


def test_one_trial_at_a_time_and_a_growing_rest() -> None:
    breaker = Breaker(RULES)
    breaker.failed(0, hard=True)
    now, rests = 0.0, []
    for _ in range(5):
        rests.append(breaker.until - now)
        now = breaker.until
        assert breaker.due(now)
        breaker.try_once(now, 10)
        assert breaker.state is State.HALF_OPEN
        assert not breaker.due(now + 9)
        breaker.failed(now, hard=False)
    assert rests == [5, 10, 20, 40, 40]
    assert breaker.trips == 1


def test_a_trial_that_nobody_reports_on_makes_room_for_the_next() -> None:
    breaker = Breaker(RULES)
    breaker.failed(0, hard=True)
    breaker.try_once(5, 10)
    assert breaker.due(15)


def test_answers_in_a_row_close_it() -> None:
    breaker = Breaker(RULES)
    breaker.failed(0, hard=True)
    breaker.try_once(5, 10)
    assert not breaker.worked(6)
    assert breaker.due(6)
    breaker.try_once(6, 10)
    assert breaker.worked(7)
    assert (breaker.state, breaker.closed_since, breaker.failures) == (State.CLOSED, 7, 0)


def test_where_there_is_nothing_else_one_answer_closes_it() -> None:
    breaker = Breaker(RULES)
    breaker.failed(0, hard=True)
    assert breaker.worked(1, alone=True)


def test_the_rest_begins_anew_after_a_long_good_time_and_only_then() -> None:
    breaker = Breaker(RULES)
    now = 0.0
    for good, rest in [(0, 5), (39, 10), (1, 20), (40, 5)]:
        now += good
        breaker.failed(now, hard=True)
        assert breaker.until - now == rest
        now = breaker.until
        breaker.worked(now)
        breaker.worked(now)


STEPS = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(["worked", "silence", "hard", "trial", "absolve"])), max_size=200
)


@given(STEPS)
def test_over_any_history_it_keeps_its_bounds(steps: list[tuple[int, str]]) -> None:
    breaker, now, opened = Breaker(RULES), 0.0, list[float]()
    for wait, what in steps:
        now += wait
        before = breaker.state
        if what == "trial":
            if breaker.due(now):
                breaker.try_once(now, 3)
        elif what == "worked":
            assert breaker.worked(now) is (before is not State.CLOSED and breaker.state is State.CLOSED)
        elif what == "absolve":
            breaker.absolve(now)
        else:
            assert breaker.failed(now, hard=what == "hard") is (before is State.CLOSED and breaker.state is State.OPEN)
        if breaker.state is State.OPEN and before is not State.OPEN:
            opened.append(now)
            assert RULES.rest <= breaker.until - now <= RULES.longest_rest
        assert breaker.state is not State.HALF_OPEN or breaker.until <= now + 3
    assert breaker.trips <= len(opened)
