"""The simulated world of bench/failover, and what it shows of our choice beside the model of shadowsocks-rust's."""

from __future__ import annotations

import pytest

from bench.failover.balancers import Ours, ShadowsocksRust
from bench.failover.world import Outcome, flapping, lossy, play, scenarios, silent_from, steady


def outcomes(place: int) -> tuple[Outcome, Outcome]:
    ours, theirs = scenarios()[place], scenarios()[place]
    return play(ours, Ours(len(ours.delays))), play(theirs, ShadowsocksRust(len(theirs.delays)))


@pytest.mark.parametrize("place", range(4))
def test_no_query_is_lost_that_another_tunnel_can_carry_and_no_more_changes_are_made(place: int) -> None:
    ours, theirs = outcomes(place)
    assert ours.lost == 0
    assert ours.changes <= theirs.changes
    assert ours.slowest < 5


def test_a_silent_tunnel_costs_one_query_its_patience_and_no_more() -> None:
    ours, theirs = outcomes(0)
    assert ours.noticed is not None
    assert theirs.noticed is not None
    assert float(ours.noticed) < float(theirs.noticed)
    assert ours.elsewhere <= 2
    assert theirs.lost >= 1


def test_two_that_are_nearly_equal_cause_no_change() -> None:
    ours, theirs = outcomes(1)
    assert ours.changes == 0
    assert theirs.changes > 1


def test_the_parts_of_the_world() -> None:
    assert 0 < (steady(0.02)(0) or 0) < 1
    assert silent_from(5, steady(1), until=7)(6) is None
    assert silent_from(5, steady(1), until=7)(7) is not None
    assert [flapping(2, steady(1))(second) is None for second in range(4)] == [False, False, True, True]
    many = lossy(0.5, steady(1))
    assert 300 < [many(second) for second in range(1000)].count(None) < 700
