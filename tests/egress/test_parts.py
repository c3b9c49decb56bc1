"""The small parts: timers and thinned-out events."""

from __future__ import annotations

import asyncio

from proxy.egress.crowd import Crowd
from proxy.egress.idle import IdleTimer
from proxy.egress.sparse import KINDS, PERIOD, SparseEmitter
from tests.egress.pool.simulated import Clock
from tests.egress.ring import Events
from tests.support.peers import auntil


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
