"""The small parts: timers, thinned-out events, routes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from proxy.egress.crowd import Crowd
from proxy.egress.idle import IdleTimer
from proxy.egress.route import REST, Route
from proxy.egress.sparse import KINDS, PERIOD, SparseEmitter
from proxy.egress.tunnel import Tunnel
from proxy.egress.tunnels import make_tunnel
from proxy.errors import TunnelError
from tests.egress.ring import Events, fresh_endpoint, tunnel
from tests.support.peers import auntil


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ways(count: int) -> list[Tunnel]:
    return [make_tunnel(tunnel(name, "direct://")) for name in "abcdef"[:count]]


def names(route: Route, transport: str = "tcp") -> str:
    return "".join(each.counters.name for each in route.order("udp" if transport == "udp" else "tcp"))


def test_a_tunnel_that_failed_comes_last_for_a_while() -> None:
    clock, events, tunnels = Clock(), Events(), ways(3)
    route = Route("p", fresh_endpoint(), tunnels, events, clock)
    assert names(route) == "abc"
    route.failed(tunnels[0], "tcp", TunnelError("unreachable", "refused"))
    assert names(route) == "bca"
    assert names(route, "udp") == "abc"
    clock.now += 1
    route.failed(tunnels[1], "tcp", TunnelError("unreachable", "refused"))
    assert names(route) == "cab"
    clock.now += REST - 1
    assert names(route) == "acb"
    clock.now += 1
    assert names(route) == "abc"


def test_failure_and_recovery_are_told_once() -> None:
    clock, events, tunnels = Clock(), Events(), ways(1)
    route = Route("p", fresh_endpoint(), tunnels, events, clock)
    for _ in range(3):
        route.failed(tunnels[0], "tcp", TunnelError("it refused", "refused"))
        clock.now += 2 * REST
    route.worked(tunnels[0], "udp")
    route.worked(tunnels[0], "tcp")
    route.worked(tunnels[0], "tcp")
    fields: Mapping[str, object] = {"tunnel": "a", "primary": "p", "transport": "tcp"}
    assert events.seen == [
        ("tunnel.failed", {**fields, "reason": "refused", "error": "it refused"}),
        ("tunnel.recovered", fields),
    ]
    assert tunnels[0].counters.failures == {"refused": 3}


def test_events_of_one_kind_are_thinned_out() -> None:
    clock, events = Clock(), Events()
    emit = SparseEmitter(events, clock)
    for _ in range(5):
        emit("exit.rejected", "replay", {"client": "192.0.2.1"})
    emit("exit.rejected", "clock-skew", {"client": "192.0.2.2"})
    clock.now += PERIOD
    emit("exit.rejected", "replay", {"client": "192.0.2.3"})
    assert [fields for _, fields in events.seen] == [
        {"client": "192.0.2.1"},
        {"client": "192.0.2.2"},
        {"client": "192.0.2.3", "left_out": 4},
    ]


def test_kinds_are_bounded() -> None:
    events = Events()
    emit = SparseEmitter(events, Clock())
    for number in range(3 * KINDS):
        emit("name", str(number), {})
    assert len(events.seen) == 3 * KINDS


async def test_the_idle_timer_counts_from_the_last_touch() -> None:
    loop, fired = asyncio.get_running_loop(), list[float]()
    timer = IdleTimer(0.1, lambda: fired.append(loop.time()))
    touched = list[float]()

    def touch() -> None:
        timer.touch()
        touched.append(loop.time())

    loop.call_later(0.08, touch)
    await auntil(lambda: fired)
    assert fired[0] - touched[0] >= 0.098
    timer.restart()
    await auntil(lambda: len(fired) == 2)
    timer.restart()
    timer.stop()
    timer.stop()


async def test_a_crowd_tells_when_it_is_empty() -> None:
    crowd: Crowd[str] = Crowd()
    await crowd.empty()
    crowd.add("a")
    crowd.add("b")
    waiting = asyncio.create_task(crowd.empty())
    for member in crowd:
        assert not waiting.done()
        crowd.discard(member)
    crowd.discard("never there")
    await waiting
    assert len(crowd) == 0
