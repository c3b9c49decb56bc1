"""Whatever happens in which order: places, connections, tasks and memory are given back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import cast

import dns.message
import pytest

from dataplane import Verdict
from proxy.egress.counters import TunnelCounters
from proxy.egress.exchanges.connection import Attempt
from proxy.egress.exchanges.query import Query
from proxy.egress.exchanges.quotas import PrimaryQuota, QuotaError, Quotas
from proxy.egress.exchanges.shared import Shared
from proxy.egress.exchanges.turns import Turns
from proxy.egress.forwarder import Forwarder
from proxy.egress.forwarder_plan import ForwarderPlan, compile_forwarder
from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.egress.tunnel import Datagrams, Tunnel
from proxy.egress.udp_door import Peer
from proxy.errors import TunnelError
from proxy.protocol.dns_frames import frame
from proxy.protocol.transfer_queries import read_query
from proxy.settings import Primary, Transfers
from proxy.values import Endpoint
from tests.egress.ring import LOOPBACK, Events, connection, forwarder_settings, fresh_endpoint, running, tunnel
from tests.egress.scripted_primary import ScriptedPrimary, axfr_answer, soa_answer, zone_answer
from tests.support.peers import auntil

AXFR = dns.message.make_query("example.com", "AXFR", id=2).to_wire()
ZONE = axfr_answer(AXFR)
WHOLE = b"".join(map(frame, ZONE))


def soa(number: int) -> bytes:
    return dns.message.make_query("example.com", "SOA", id=number).to_wire()


def query(message: bytes) -> Query:
    return Query(message, read_query(message), LOOPBACK)


async def settle(turns: int = 10) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


# Connections.


class Wire(asyncio.Transport):
    """The stream of a scripted tunnel, with the primary at the other end in the test's hands."""

    def __init__(self, user: asyncio.Protocol) -> None:
        super().__init__()
        self.user = user
        self.sent = b""
        self.reads = True
        self.lost = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def abort(self) -> None:
        asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """The connection is over."""
        if not self.lost:
            self.lost = True
            self.user.connection_lost(None)


class ScriptedTunnel:
    """Opens wires."""

    def __init__(self) -> None:
        self.counters = TunnelCounters("scripted")
        self.carries_udp = False
        self.wires: list[Wire] = []

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        wire = Wire(protocol)
        self.wires.append(wire)
        protocol.connection_made(wire)
        wire.write(first)
        return wire

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        raise TunnelError("streams only", "not-supported")


class Engine:
    """The plan of a forwarder whose only tunnel is a scripted one."""

    def __init__(self) -> None:
        self.tunnel = ScriptedTunnel()
        place, emit = fresh_endpoint(), Events()
        settings = forwarder_settings([tunnel("scripted", "direct://")], place)
        self.primaries = settings.primaries
        self.shared = Shared(settings.transfers, emit)
        route = Route("primary", place, [cast("Tunnel", self.tunnel)], emit, asyncio.get_running_loop().time)
        servers = {"primary": PrimaryServer("primary", place)}
        self.plan: ForwarderPlan = compile_forwarder(
            settings.forwarders[0], settings, {"primary": route}, servers, self.shared
        )

    async def ask(self, message: bytes, passed: Callable[[bytes, Verdict | None], None]) -> tuple[Attempt, Wire]:
        """Ask on a pooled connection; also the wire that carries it."""
        before = sum(len(wire.sent) for wire in self.tunnel.wires)
        attempt = self.plan.connections.ask(cast("Tunnel", self.tunnel), query(message), passed, fresh=False)
        await auntil(lambda: sum(len(wire.sent) for wire in self.tunnel.wires) > before)
        return attempt, next(wire for wire in self.tunnel.wires if wire.sent.endswith(frame(message)))

    @property
    def open(self) -> int:
        """Connections to the primary, as they are counted."""
        (status,) = self.shared.status(self.primaries)
        return status.connections_open


@pytest.mark.parametrize("held", [False, True])
async def test_a_connection_that_ended_with_its_answer_unread_is_gone_when_the_node_leaves(held: bool) -> None:
    engine = Engine()
    attempt, wire = await engine.ask(AXFR, lambda data, verdict: None)
    attempt.hold(held)
    wire.user.data_received(WHOLE[:-40])
    wire.end()
    assert engine.open == 1  # its bytes wait for their turn
    attempt.drop()
    await settle()
    assert engine.open == 0


async def test_a_node_that_stops_reading_at_the_end_of_its_answer_stops_nobody_else() -> None:
    engine, got = Engine(), bytearray()
    attempt, wire = await engine.ask(AXFR, lambda data, verdict: got.extend(data))
    wire.user.data_received(WHOLE)
    await auntil(lambda: len(got) == len(WHOLE))
    attempt.hold(True)  # the loop says so a turn later
    attempt.drop()
    assert (await attempt.verdict).accepted
    following, same = await engine.ask(soa(5), lambda data, verdict: got.extend(data))
    assert same is wire
    assert wire.reads
    wire.user.data_received(frame(soa_answer(soa(5))[0]))
    assert (await following.verdict).accepted


async def test_what_nobody_asked_for_ends_an_idle_connection() -> None:
    engine = Engine()
    attempt, wire = await engine.ask(soa(5), lambda data, verdict: None)
    wire.user.data_received(frame(soa_answer(soa(5))[0]))
    assert (await attempt.verdict).accepted
    assert engine.open == 1
    wire.user.data_received(b"\0")  # it would stand before the next answer
    await settle()
    assert engine.open == 0


async def test_a_reset_behind_an_answer_says_nothing_of_those_that_wait() -> None:
    """A primary that closes with queries unread resets the connection (RFC 1122 section 4.2.2.13)."""
    engine = Engine()
    first, wire = await engine.ask(soa(5), lambda data, verdict: None)
    second, same = await engine.ask(soa(6), lambda data, verdict: None)
    assert same is wire
    wire.user.data_received(frame(soa_answer(soa(5))[0]))
    assert (await first.verdict).accepted
    wire.lost = True
    wire.user.connection_lost(TunnelError("the connection broke", "broken"))
    assert second.verdict.exception().__class__.__name__ == "StaleError"


async def test_one_that_fails_in_its_turn_does_not_stop_the_turns_of_others() -> None:
    loop, mishaps, done = asyncio.get_running_loop(), list[object](), list[int]()
    loop.set_exception_handler(lambda _, context: mishaps.append(context["exception"]))

    class Work:
        has_work = False

        def __init__(self, fails: bool) -> None:
            self._fails = fails

        def work(self, limit: int) -> int:
            if self._fails:
                raise ZeroDivisionError
            done.append(limit)
            return 1

    turns = Turns()
    for fails in (True, False, True, False):
        turns.add(Work(fails))
    await settle()
    assert (len(done), len(mishaps)) == (2, 2)


# Places.


@pytest.mark.parametrize("seed", range(30))
async def test_no_order_of_events_loses_a_place_or_leaves_one_free_that_somebody_waits_for(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - repeatable
    quotas = Quotas(Transfers(parallel=rng.randint(1, 4), queue=rng.randint(1, 8)), lambda: 0.0)
    limits = [rng.randint(1, 3) for _ in range(4)]

    def settings(limit: int) -> Primary:
        return Primary(name="p", address=fresh, tunnels=("t",), transfers=limit)

    fresh = fresh_endpoint()
    primaries = [PrimaryQuota(quotas, settings(limit)) for limit in limits]
    tasks = list[asyncio.Task[None]]()

    async def transfer(quota: PrimaryQuota, node: int) -> None:
        async with quota.place("transfer", node, node % 3):
            await asyncio.Event().wait()

    for _ in range(300):
        chance = rng.random()
        if chance < 0.5:
            tasks.append(asyncio.create_task(transfer(rng.choice(primaries), rng.randrange(4))))
        elif chance < 0.95 and tasks:
            tasks.pop(rng.randrange(len(tasks))).cancel()
        else:
            at = rng.randrange(4)
            limits[at] = rng.randint(1, 3)
            primaries[at].configure(settings(limits[at]))
        if rng.random() < 0.5:
            await settle(rng.randrange(3))
            continue
        await settle()
        tasks = [task for task in tasks if not isinstance(task.done() and task.exception(), QuotaError)]
        assert quotas.running == sum(each.running for each in primaries)
        assert quotas.waiting == sum(each.waiting("transfer") for each in primaries)
        for each, limit in zip(primaries, limits, strict=True):
            assert not (quotas.has_place() and each.waiting("transfer") and each.running < limit)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (quotas.running, quotas.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(4))
async def test_nodes_and_primaries_that_leave_at_any_moment_leave_nothing_behind(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - repeatable

    def act(message: bytes, transport: asyncio.Transport) -> None:
        wire = b"".join(map(frame, zone_answer(message)))
        whim = rng.random()
        transport.write(wire if whim < 0.4 else wire[: rng.randrange(len(wire))])
        if whim > 0.7:
            transport.abort()
        elif whim > 0.3:
            transport.close()

    async def node(place: Endpoint, number: int) -> None:
        async with connection(place) as (reader, writer):
            for at in range(rng.randrange(1, 4)):
                writer.write(frame(rng.choice((AXFR, soa(at + 10)))))
            if rng.random() < 0.3:
                writer.write_eof()
            await settle(rng.randrange(60))
            if rng.random() < 0.5:
                await reader.read(rng.randrange(1, 4000))

    async with ScriptedPrimary(act=act) as primary:
        ways = [tunnel("one", "direct://"), tunnel("two", "direct://")]
        more: dict[str, object] = {"transfers": 3, "keep_open": 0.05}
        settings = forwarder_settings(ways, primary.endpoint, primary_more=more, answer_timeout=0.2, idle_timeout=0.4)
        async with running(settings) as near:
            tasks = len(asyncio.all_tasks())
            for round_ in range(6):
                nodes = [node(settings.forwarders[0].listen, number) for number in range(12)]
                async with asyncio.timeout(30):
                    await asyncio.gather(*nodes, return_exceptions=True)
                if round_ == 3:
                    await near.reload(settings, near.sockets)

            def is_clean() -> bool:
                status = near.status()
                (here,) = status.primaries
                places = here.transfers_running + sum(here.waiting.values())
                return not (places + here.connections_open + status.forwarders[0].connections_open)

            await auntil(is_clean, what="all places and connections given back")
            await auntil(lambda: len(asyncio.all_tasks()) <= tasks, what="all tasks to have ended")
            assert near.status().forwarders[0].queries_tcp > 0


# Datagrams.


class HandOperatedDoor:
    """Where queries come from, in the hands of the test."""

    def __init__(self, receive: Callable[[bytes, Peer], None]) -> None:
        self.receive = receive

    def send(self, data: bytes, peer: Peer) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""


async def test_a_query_that_came_in_the_turn_in_which_the_forwarder_ends_keeps_nobody_waiting() -> None:
    forwarder, doors = Forwarder(Engine().plan), list[HandOperatedDoor]()

    def connect(receive: Callable[[bytes, Peer], None]) -> HandOperatedDoor:
        doors.append(HandOperatedDoor(receive))
        return doors[0]

    forwarder.add_datagrams(connect)
    for number in range(3):
        doors[0].receive(soa(number), Peer(("127.0.0.1", 5353)))
    assert forwarder.status().waiting_udp == 3
    forwarder.retire()
    async with asyncio.timeout(5):
        await forwarder.drained()
    assert forwarder.status().waiting_udp == 0
