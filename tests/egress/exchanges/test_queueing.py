"""The fair queue, the pace, the quotas and the memory of a primary's manners."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.egress.exchanges.fair_queue import FairQueue
from proxy.egress.exchanges.manners import MEMORY, SOON, Manners
from proxy.egress.exchanges.pace import Pace
from proxy.egress.exchanges.quotas import Class, PrimaryQuota, QuotaError, Quotas
from proxy.settings import Primary, Transfers
from tests.egress.ring import fresh_endpoint
from tests.support.peers import auntil


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nodes_take_turns_and_so_do_their_zones() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1.1", "a1.2", "a1.3", "a2.1", "b7.1", "b7.2"):
        queue.push(item[0], item[1], item)
    assert [queue.pop() for _ in range(6)] == ["a1.1", "b7.1", "a2.1", "b7.2", "a1.2", "a1.3"]
    with pytest.raises(IndexError):
        queue.pop()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123"), st.booleans()), max_size=40))
def test_nobody_waits_longer_than_a_round_of_nodes(pushes: list[tuple[str, str, bool]]) -> None:
    """All comes out once, in order within node and zone; between two of one node no other node has two."""
    queue: FairQueue[tuple[str, str, int]] = FairQueue()
    kept = list[tuple[str, str, int]]()
    for number, (node, zone, removed) in enumerate(pushes):
        item = (node, zone, number)
        queue.push(node, zone, item)
        if removed:
            assert queue.remove(node, zone, item)
            assert not queue.remove(node, zone, item)
        else:
            kept.append(item)
    assert len(queue) == len(kept)
    taken = [queue.pop() for _ in range(len(queue))]
    assert sorted(taken) == sorted(kept)
    for key in {(node, zone) for node, zone, _ in kept}:
        assert [n for *k, n in taken if tuple(k) == key] == [n for *k, n in kept if tuple(k) == key]
    left = Counter(node for node, _, _ in taken)
    last = dict[str, int]()
    for at, (node, _, _) in enumerate(taken):
        if node in last:
            between = Counter(other for other, _, _ in taken[last[node] + 1 : at])
            assert all(count == 1 for count in between.values())
            assert all(other in between or not left[other] for other in left if other != node)
        last[node] = at
        left[node] -= 1


@given(st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.floats(0, 3), max_size=60))
def test_a_pace_lets_no_more_than_burst_and_rate_go(rate: float, burst: int, gaps: list[float]) -> None:
    pace, now, gone = Pace(rate, burst), 1000.0, list[float]()
    for gap in gaps:
        now += gap
        if not pace.wait(now):
            pace.take(now)
            gone.append(now)
        for since in range(len(gone)):
            assert len(gone) - since <= burst + rate * (gone[-1] - gone[since]) + 1.001


def test_a_pace_says_when_the_next_may_go() -> None:
    pace = Pace(10, 2)
    for _ in range(2):
        assert pace.wait(5.0) == 0
        pace.take(5.0)
    assert pace.wait(5.0) == pytest.approx(0.1)
    pace.set(100, 2)
    assert pace.wait(5.2) == 0


def primary(**more: object) -> Primary:
    return Primary(name="p", address=fresh_endpoint(), tunnels=("t",), **more)  # type: ignore[arg-type]  # by name


class Nodes:
    """Queries that hold their places until they are let go."""

    def __init__(self) -> None:
        self.began = list[str]()
        self.tasks = dict[str, asyncio.Task[None]]()

    def ask(self, quota: PrimaryQuota, name: str, class_: Class = "transfer") -> None:
        async def hold() -> None:
            async with quota.place(class_, name[0], name[1:]):
                self.began.append(name)
                await asyncio.Event().wait()

        self.tasks[name] = asyncio.create_task(hold())

    async def end(self, name: str) -> None:
        task = self.tasks.pop(name)
        task.cancel()
        await asyncio.wait((task,))

    async def end_all(self) -> None:
        for name in tuple(self.tasks):
            await self.end(name)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_transfers_wait_for_their_primary_and_for_the_gateway() -> None:
    quotas = Quotas(Transfers(parallel=3, queue=4), Clock())
    one, two, nodes = PrimaryQuota(quotas, primary(transfers=2)), PrimaryQuota(quotas, primary(transfers=2)), Nodes()
    for name in ("a1", "a2", "a3"):
        nodes.ask(one, name)
    await settle()
    assert nodes.began == ["a1", "a2"]  # of this primary there are no more places
    nodes.ask(two, "b1")
    nodes.ask(two, "b2")
    await settle()
    assert nodes.began == ["a1", "a2", "b1"]  # nor of the gateway
    assert (quotas.running, quotas.waiting, one.running, two.running) == (3, 2, 2, 1)
    await nodes.end("b1")
    await settle()
    assert nodes.began[3:] == ["b2"]  # a3 has to wait for its primary
    await nodes.end("a1")
    await settle()
    assert nodes.began[4:] == ["a3"]
    await nodes.end_all()
    assert (quotas.running, quotas.waiting, one.running, two.running) == (0, 0, 0, 0)


async def test_a_primary_with_many_that_wait_does_not_keep_anothers_out() -> None:
    quotas = Quotas(Transfers(parallel=1), Clock())
    one, two, nodes = PrimaryQuota(quotas, primary()), PrimaryQuota(quotas, primary()), Nodes()
    for number in range(5):
        nodes.ask(one, f"a{number}")
    await settle()
    nodes.ask(two, "b0")
    await settle()
    await nodes.end("a0")
    await settle()
    await nodes.end(nodes.began[1])
    await settle()
    assert "b0" in nodes.began[:3]
    await nodes.end_all()


async def test_who_gives_up_waiting_or_in_the_very_moment_leaves_no_place_taken() -> None:
    quotas = Quotas(Transfers(parallel=1), Clock())
    quota, nodes = PrimaryQuota(quotas, primary()), Nodes()
    for name in ("a1", "a2", "a3"):
        nodes.ask(quota, name)
    await settle()
    await nodes.end("a2")
    assert quota.waiting("transfer") == 1
    nodes.tasks["a1"].cancel()
    nodes.tasks["a3"].cancel()  # in the turn in which it gets the place of a1
    await asyncio.wait([nodes.tasks.pop("a1"), nodes.tasks.pop("a3")])
    assert (quotas.running, quotas.waiting, quota.running) == (0, 0, 0)


async def test_soa_checks_have_a_pace_and_never_wait_for_transfers() -> None:
    clock = Clock()
    quotas = Quotas(Transfers(parallel=1), clock)
    quota, nodes = PrimaryQuota(quotas, primary(soa_rate=1000.0, soa_burst=2)), Nodes()
    nodes.ask(quota, "a0")
    nodes.ask(quota, "a1")
    for number in range(4):
        nodes.ask(quota, f"s{number}", "soa")
    await settle()
    assert nodes.began == ["a0", "s0", "s1"]
    clock.now += 0.001
    await auntil(lambda: len(nodes.began) >= 4)
    clock.now += 0.001
    await auntil(lambda: nodes.began == ["a0", "s0", "s1", "s2", "s3"])
    await nodes.end_all()


async def test_the_queue_is_bounded_and_so_is_waiting() -> None:
    quotas = Quotas(Transfers(parallel=1, queue=1, patience=0.01), Clock())
    quota, nodes = PrimaryQuota(quotas, primary()), Nodes()
    nodes.ask(quota, "a0")
    await settle()
    nodes.ask(quota, "a1")
    await settle()
    with pytest.raises(QuotaError) as full:
        async with quota.place("transfer", "c", "c"):
            raise AssertionError
    assert full.value.reason == "queue-full"
    waiting = nodes.tasks.pop("a1")
    with pytest.raises(QuotaError) as late:
        await waiting
    assert late.value.reason == "queue-timeout"
    quotas.configure(Transfers(parallel=2))
    nodes.ask(quota, "a2")
    await settle()
    assert nodes.began == ["a0", "a2"]
    await nodes.end_all()


def test_manners_are_learned_and_forgotten() -> None:
    manners = Manners()
    assert manners.reuses(0)
    assert manners.pipelines(0)
    manners.closed(10.0, last_answer=None, others_waited=True)  # nothing was answered: that says nothing of manners
    manners.closed(10.0, last_answer=10.0 - SOON, others_waited=False)  # an idle timeout
    assert manners.reuses(10)
    assert manners.pipelines(10)
    manners.closed(10.0, last_answer=9.9, others_waited=True)
    assert manners.reuses(10)
    assert not manners.pipelines(10)
    manners.closed(20.0, last_answer=19.9, others_waited=False)
    assert not manners.reuses(20)
    assert manners.reuses(20 + MEMORY)
    assert manners.pipelines(20 + MEMORY)
