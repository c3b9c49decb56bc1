"""The route: order, failover, trials, whose fault it is, and what is told."""

from __future__ import annotations

from proxy.egress.pool.board import Board
from proxy.egress.route import TRIAL, Route
from proxy.settings import Failover
from tests.egress.pool.simulated import GONE, REFUSED, SILENCE, Clock, Simulated, tunnels

RULES = Failover(failures=2, successes=2, rest=5, longest_rest=40, hold=60, margin=0.25)


def test_what_failed_comes_last_and_transports_are_apart() -> None:
    pool = Simulated(3, RULES)
    a, b, _ = pool.tunnels
    assert pool.names() == "abc"
    pool.route.failed(a, "tcp", REFUSED)
    assert pool.names() == "bca"
    assert [each.counters.name for each in pool.route.order("udp")] == ["a", "b", "c"]
    pool.clock.now += 1
    pool.route.failed(b, "tcp", REFUSED)
    assert pool.names() == "cab"


def test_one_silence_is_a_lost_packet_two_are_a_failure() -> None:
    pool = Simulated(2, RULES)
    doubts = []
    pool.route.doubted = lambda: doubts.append(1)
    pool.route.failed(pool.tunnels[0], "tcp", SILENCE)
    assert pool.names() == "ab"
    assert len(doubts) == 1
    pool.route.failed(pool.tunnels[0], "tcp", SILENCE)
    assert pool.names() == "ba"
    assert pool.named("tunnel.failed") == ["a"]
    assert pool.named("tunnel.chosen") == ["b"]


def test_after_its_rest_exactly_one_query_is_the_trial() -> None:
    pool = Simulated(2, RULES)
    a, _ = pool.tunnels
    pool.route.failed(a, "tcp", REFUSED)
    pool.clock.now += 5
    assert [pool.names() for _ in range(3)] == ["ab", "ba", "ba"]
    pool.route.failed(a, "tcp", SILENCE)
    pool.clock.now += 9
    assert pool.names() == "ba"
    pool.clock.now += 1
    assert [pool.names() for _ in range(2)] == ["ab", "ba"]
    pool.route.worked(a, "tcp")
    assert [pool.names() for _ in range(2)] == ["ab", "ba"]  # the second of the two answers that it takes
    pool.route.worked(a, "tcp")
    assert pool.named("tunnel.recovered") == ["a"]
    pool.clock.now += TRIAL
    assert pool.names() == "ba"  # the exit stays what it is now


def test_with_a_prober_no_query_is_a_trial() -> None:
    pool = Simulated(2, RULES)
    pool.route.probed = True
    pool.route.failed(pool.tunnels[0], "tcp", REFUSED)
    pool.clock.now += 5
    assert {pool.names() for _ in range(3)} == {"ba"}


def test_an_earlier_tunnel_is_preferred_again_after_it_worked_for_a_while() -> None:
    pool = Simulated(2, RULES)
    a, b = pool.tunnels
    pool.route.failed(a, "tcp", REFUSED)
    pool.route.worked(a, "tcp")
    pool.route.worked(a, "tcp")
    for _ in range(60):
        assert pool.names() == "ba"
        pool.clock.now += 1
    pool.route.worked(b, "tcp")
    assert pool.names() == "ab"
    assert pool.named("tunnel.chosen") == ["b", "a"]


def test_all_are_tried_when_all_have_failed_and_one_answer_is_enough_then() -> None:
    pool = Simulated(2, RULES)
    for each in pool.tunnels:
        pool.route.failed(each, "tcp", REFUSED)
    assert sorted(pool.names()) == ["a", "b"]
    assert pool.events.named("primary.failed")[0]["fault"] == "tunnels"
    pool.route.worked(pool.tunnels[1], "tcp")
    assert pool.names() == "ba"
    assert pool.named("tunnel.recovered") == ["b"]
    assert pool.events.named("primary.recovered") == [{"primary": "p", "transport": "tcp", "tunnel": "b"}]


def test_failure_and_recovery_are_told_once_with_what_to_do() -> None:
    pool = Simulated(1, RULES)
    (a,) = pool.tunnels
    for _ in range(3):
        pool.route.failed(a, "tcp", REFUSED)
    pool.route.worked(a, "udp")
    pool.route.worked(a, "tcp")
    pool.route.worked(a, "tcp")
    (failed,) = pool.events.named("tunnel.failed")
    assert (failed["reason"], failed["error"], failed["fault"]) == ("refused", "it refused", "tunnel")
    assert "is the exit running" in str(failed["remedy"])
    assert pool.named("tunnel.recovered") == ["a"]
    assert a.counters.failures == {"refused": 3}


def test_a_dead_primary_leaves_the_breakers_of_its_tunnels_closed() -> None:
    clock, board, shared = Clock(), Board(), tunnels(2)
    dead = Simulated(shared, RULES, clock=clock, board=board, primary="dead")
    alive = Simulated(shared, RULES, clock=clock, board=board, primary="alive")
    for _ in range(4):
        for each in shared:
            dead.route.failed(each, "tcp", SILENCE)
            alive.route.worked(each, "tcp")
            clock.now += 1
    failed = dead.events.named("primary.failed")
    assert [each["fault"] for each in failed][-1] == "primary"
    assert all(way.state == "failing" for way in dead.route.status()[1].ways)
    assert dead.route.status()[1].fault == "primary"
    assert alive.events.seen == []
    assert dead.named("tunnel.failed") == dead.named("tunnel.recovered")
    dead.route.worked(shared[0], "tcp")
    # Now it is known that the other tunnel does not reach it, for whatever reason.
    assert dead.named("tunnel.failed")[-1] == "b"
    assert dead.names() == "ab"


def test_exits_that_say_that_the_primary_is_gone_are_believed() -> None:
    pool = Simulated(2, RULES)
    for each in (*pool.tunnels, *pool.tunnels):
        pool.route.failed(each, "tcp", GONE)
    assert [each["fault"] for each in pool.events.named("primary.failed")] == ["primary"]
    assert pool.named("tunnel.failed") == []


def test_patience_follows_the_usual_delay_within_its_bounds() -> None:
    pool = Simulated(2, RULES)
    a, b = pool.tunnels
    assert pool.route.patience(a, "tcp", 3) == RULES.first_wait
    for _ in range(50):
        pool.route.worked(a, "tcp", 0.02)
    assert pool.route.patience(a, "tcp", 3) == RULES.shortest_wait
    assert pool.route.patience(a, "tcp", 0.1) == 0.1
    pool.route.worked(b, "tcp", 2.5)  # the primary is slow now: who waits less blames the tunnel for it
    assert pool.route.patience(a, "tcp", 3) == 2.5
    for _ in range(50):
        pool.route.worked(a, "tcp", 0.02)
    assert pool.route.patience(a, "tcp", 3) == RULES.shortest_wait


def test_scored_takes_the_faster_for_good_only() -> None:
    pool = Simulated(2, RULES, kind="scored")
    a, b = pool.tunnels

    def told(delay_a: float, delay_b: float, seconds: int) -> str:
        for _ in range(seconds):
            pool.route.worked(a, "tcp", delay_a)
            pool.route.worked(b, "tcp", delay_b)
            pool.clock.now += 1
        return pool.names()

    assert told(0.100, 0.095, 300) == "ab"  # not by the margin
    assert told(0.100, 0.050, 30) == "ab"  # not for long enough
    assert told(0.100, 0.200, 60) == "ab"
    assert told(0.100, 0.050, 120) == "ba"
    assert pool.named("tunnel.chosen") == ["b"]


def test_a_reload_keeps_what_is_known_and_the_exit() -> None:
    pool = Simulated(2, RULES)
    a, b = pool.tunnels
    pool.route.failed(a, "tcp", REFUSED)
    pool.clock.now += 1
    after = Route("p", pool.route.target, [*tunnels(1), a, b], pool.events, pool.clock, rules=RULES, before=pool.route)
    assert after.status()[1].chosen == "b"
    assert [way.state for way in after.status()[1].ways] == ["closed", "open", "closed"]


def test_a_primary_that_takes_streams_only_has_no_state_for_datagrams() -> None:
    pool = Simulated(1)
    route = Route("p", pool.route.target, pool.tunnels, pool.events, pool.clock, datagrams=False)
    assert route.order("udp") == []
    assert [each.transport for each in route.status()] == ["tcp"]
