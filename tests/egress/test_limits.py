"""Descriptors run out, nodes do not read, tunnels fail in the wrong moment: nothing leaks, nothing is lost."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

import dns.message
import dns.rcode
import msgspec
import pytest

from proxy.egress.counters import ForwarderCounters, TunnelCounters
from proxy.egress.direct import DirectTunnel
from proxy.egress.exchanges.shared import Shared
from proxy.egress.forwarder_plan import compile_forwarder
from proxy.egress.node_stream import NodeStream
from proxy.egress.openings import openings_settled
from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.egress.stream import HIGH_WATER
from proxy.egress.tunnel import Datagrams, Tunnel
from proxy.egress.udp_path import QUEUE, UdpPath
from proxy.errors import TunnelError
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings, Forwarder, Primary, SocksDoor
from proxy.values import Endpoint, IPAddress
from tests.egress.ring import (
    Events,
    ask_tcp,
    ask_udp,
    connection,
    exit_settings,
    exit_status,
    forwarder_settings,
    fresh_endpoint,
    fresh_key,
    read_message,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.support.peers import auntil

METHOD = "2022-blake3-aes-128-gcm"
SOA = dns.message.make_query("example.com", "SOA").to_wire()
OTHER_SOA = dns.message.make_query("other.example", "SOA").to_wire()
REFUSED = dns.message.make_query("example.com", "A").to_wire()


def descriptors() -> list[int]:
    """Those that this process has open."""
    return [int(each.name) for each in Path("/proc/self/fd").iterdir()]


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """As if this process had used up all that it may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + 1, hard))
    try:
        while True:
            try:
                spare.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        for each in spare:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def a_ring(primary: ScriptedPrimary) -> AsyncIterator[tuple[Endpoint, Endpoint]]:
    """Forwarder, tunnel and exit; gives the addresses of the forwarder and of the exit."""
    key = fresh_key(METHOD)
    exit_ = exit_settings(METHOD, key, [primary.endpoint])
    exit_ = msgspec.structs.replace(exit_, handshake_timeout=0.3)
    settings = forwarder_settings([tunnel("t", ss_url(METHOD, key, exit_.listen))], primary.endpoint)
    async with running(EgressSettings(exit=exit_)) as far, running(settings) as near:
        yield settings.forwarders[0].listen, exit_.listen
        await auntil(lambda: near.status().forwarders[0].connections_open == exit_status(far).streams_open == 0)


async def test_without_descriptors_nothing_dies_and_nothing_spins() -> None:
    async with ScriptedPrimary() as primary, a_ring(primary) as (forwarder, exit_):
        assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        nodes = [socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(20)]
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        loop = asyncio.get_running_loop()
        with no_more_descriptors():
            for number, node in enumerate(nodes):
                node.connect_ex((forwarder if number % 2 else exit_).sockaddr)
            asker.sendto(OTHER_SOA, forwarder.sockaddr)
            began, used = time.monotonic(), time.process_time()
            turned = asyncio.Event()
            loop.call_later(0.3, turned.set)
            await turned.wait()
            assert time.process_time() - used < 0.8 * (time.monotonic() - began)
        for node in nodes:
            node.close()
        asker.close()
        assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        assert await ask_udp(forwarder, SOA) == soa_answer(SOA)[0]


async def test_without_descriptors_no_tunnel_is_blamed() -> None:
    """Else all would be left alone for a while when descriptors are there again."""
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([tunnel("t", "direct://")], primary.endpoint, primary_more={"keep_open": 0.0})
        events = Events()
        async with running(settings, events) as service, connection(settings.forwarders[0].listen) as (reader, writer):
            writer.write(frame(REFUSED))
            await read_message(reader)
            with no_more_descriptors():
                writer.write(frame(SOA))
                assert dns.message.from_wire(await read_message(reader)).rcode() == dns.rcode.SERVFAIL
            assert set(service.status().tunnels[0].failures) == {"no-descriptors"}
            (route,) = (each for each in service.status().routes if each.transport == "tcp")
            assert (route.ways[0].state, route.ways[0].trips) == ("closed", 0)
            writer.write(frame(SOA))
            assert [await read_message(reader)] == soa_answer(SOA)
        assert events.named("tunnel.failed") == []
        (told,) = events.named("tunnel.no-descriptors")
        assert "limit of open files" in str(told["remedy"])


async def test_a_socks_door_without_descriptors_says_so() -> None:
    async with ScriptedPrimary() as primary:
        base = forwarder_settings([tunnel("t", "direct://")], primary.endpoint)
        door = SocksDoor(listen=fresh_endpoint(), primaries=("primary",))
        async with (
            running(msgspec.structs.replace(base, socks_doors=(door,))),
            connection(door.listen) as (
                reader,
                writer,
            ),
        ):
            writer.write(b"\5\1\0")
            assert await reader.readexactly(2) == b"\5\0"
            with no_more_descriptors():
                writer.write(b"\5\3\0\1" + bytes(6))
                assert (await reader.readexactly(10))[1] == 1
            assert await reader.read() == b""


async def test_a_path_without_a_reader_keeps_no_more_than_it_may() -> None:
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    path = await UdpPath.open("127.0.0.1", peer.getsockname()[1])
    await path.send(b"hello")
    _, address = peer.recvfrom(100)
    for _ in range(2 * QUEUE // 64):
        for _ in range(64):
            peer.sendto(b"flood", address)
        await auntil(lambda: not _waits_to_be_read(address))
    assert {await path.receive() for _ in range(QUEUE)} == {b"flood"}
    peer.sendto(b"last", address)
    assert await path.receive() == b"last"
    path.close()
    peer.close()


def _waits_to_be_read(address: tuple[str, int]) -> bool:
    """Whether the kernel has datagrams for that socket (proc(5), /proc/net/udp)."""
    port = f":{address[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return any(row[1].endswith(port) and row[4].partition(":")[2] != "00000000" for row in rows)


async def test_a_thousand_short_connections_leave_nothing_behind() -> None:
    async with ScriptedPrimary() as primary, a_ring(primary) as (forwarder, exit_):
        assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        assert await ask_udp(forwarder, SOA) == soa_answer(SOA)[0]
        gc.collect()
        await auntil(lambda: not primary.connections)
        before, tasks = len(descriptors()), len(asyncio.all_tasks())
        for round_ in range(250):
            await ask_tcp(forwarder, SOA)  # to the end
            async with connection(forwarder) as (_, writer):  # left at once
                writer.write(frame(SOA))
            async with connection(forwarder):  # nothing asked
                await asyncio.sleep(0)
            async with connection(exit_) as (_, writer):  # a stranger
                writer.write(os.urandom(round_))
        # Strangers are held until the handshake timeout, and then reset.
        await auntil(lambda: len(descriptors()) <= before and len(asyncio.all_tasks()) <= tasks)


@pytest.mark.parametrize("turns", range(8))
async def test_a_socket_whose_opening_is_cancelled_is_closed(turns: int) -> None:
    before = len(descriptors())
    gc.disable()  # it would close them some day
    try:
        for _ in range(20):
            opening = asyncio.create_task(UdpPath.open("127.0.0.1", fresh_endpoint().port))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not opening.cancel():
                (await opening).close()
        await openings_settled()
        await auntil(lambda: len(descriptors()) <= before)
    finally:
        gc.enable()


class Watched(NodeStream):
    """A node's connection whose transport can be looked at."""

    seen: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.seen = cast("asyncio.Transport", transport)
        super().connection_made(transport)


class Door:
    """Takes every node in, and knows the last one."""

    def __init__(self, tunnels: list[Tunnel], primary: Endpoint) -> None:
        clock = asyncio.get_running_loop().time
        emit = Events()
        ways = tuple(each.counters.name for each in tunnels) or ("none",)
        zones = Primary(name="primary", address=primary, tunnels=ways)
        forwarder = Forwarder(listen=fresh_endpoint(), primary="primary")
        settings = EgressSettings(primaries=(zones,), forwarders=(forwarder,))
        route = Route("primary", primary, tunnels, emit, clock)
        servers, shared = {"primary": PrimaryServer("primary", primary)}, Shared(settings.transfers, emit)
        self._plan = compile_forwarder(forwarder, settings, {"primary": route}, servers, shared)
        self.counters = ForwarderCounters()
        self.node: Watched | None = None

    def admit(self, node: NodeStream, address: IPAddress) -> bool:
        self.node = cast("Watched", node)
        return True

    def closed(self, node: NodeStream) -> None:
        """Nothing is kept here."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Endpoint]:
        """Serve; gives the address."""
        place = self._plan.settings.listen
        make = lambda: Watched(lambda: self._plan, self.counters, self)  # noqa: E731 - a factory
        server = await asyncio.get_running_loop().create_server(make, *place.sockaddr)
        for each in server.sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # what is accepted inherits it
        try:
            yield place
        finally:
            server.close()


async def test_a_node_that_reads_no_refusals_is_not_read_either() -> None:
    count = 60_000
    door = Door([], fresh_endpoint())
    node = socket.socket()
    node.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with door.open() as place:
        node.connect(place.sockaddr)
        reader, writer = await asyncio.open_connection(sock=node, limit=4096)
        writer.write(count * frame(REFUSED))
        await auntil(lambda: door.node is not None and not door.node.seen.is_reading())
        assert door.node is not None
        assert door.node.seen.get_write_buffer_size() < 4 * HIGH_WATER
        assert door.counters.refused["type"] < count
        for _ in range(count // 100):
            for _ in range(100):
                await read_message(reader)
        assert door.counters.refused == {"type": count}
        writer.transport.abort()


class Wire(asyncio.Transport):
    """The lower end of a scripted tunnel: remembers what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def abort(self) -> None:
        """Nothing is open."""


class ScriptedTunnel:
    """A tunnel whose stream does what the test says, when the test says it."""

    def __init__(self) -> None:
        self.counters = TunnelCounters("scripted")
        self.carries_udp = False
        self.leg: asyncio.Protocol | None = None
        self.wire = Wire()
        self.connected = asyncio.Event()
        self.first_answer = b""

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        self.leg = protocol
        await self.connected.wait()
        protocol.connection_made(self.wire)
        self.wire.write(first)
        if self.first_answer:
            protocol.data_received(self.first_answer)
        return self.wire

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        raise TunnelError("streams only", "not-supported")


async def test_a_query_in_the_moment_when_the_tunnel_fails_goes_through_the_next() -> None:
    scripted = ScriptedTunnel()
    scripted.connected.set()
    async with ScriptedPrimary() as primary:
        door = Door([scripted, DirectTunnel(TunnelCounters("next"), 5.0)], primary.endpoint)
        async with door.open() as place, connection(place) as (reader, writer):
            writer.write(frame(SOA))
            await auntil(lambda: scripted.wire.sent == frame(SOA))
            assert scripted.leg is not None
            assert door.node is not None
            scripted.leg.connection_lost(TunnelError("gone", "broken"))
            door.node.data_received(frame(OTHER_SOA))
            assert [await read_message(reader) for _ in range(2)] == soa_answer(SOA) + soa_answer(OTHER_SOA)


async def test_a_query_that_came_while_the_stream_was_opened_is_sent_before_the_way_is_settled() -> None:
    scripted = ScriptedTunnel()
    scripted.first_answer = frame(soa_answer(SOA)[0])
    door = Door([scripted], fresh_endpoint())
    async with door.open() as place, connection(place) as (reader, writer):
        writer.write(frame(SOA))
        await auntil(lambda: scripted.leg is not None)
        writer.write(frame(OTHER_SOA))
        await auntil(lambda: door.counters.queries_tcp == 2)
        scripted.connected.set()
        assert await read_message(reader) == soa_answer(SOA)[0]
        assert sorted(scripted.wire.sent) == sorted(frame(SOA) + frame(OTHER_SOA))


async def test_a_primary_that_was_away_gets_the_next_datagram_of_the_same_session() -> None:
    """The kernel tells of the ICMP error at the next send, and does not send then."""
    async with ScriptedPrimary() as primary:
        key = fresh_key(METHOD)
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        settings = forwarder_settings([tunnel("t", ss_url(METHOD, key, exit_.listen))], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(EgressSettings(exit=exit_)) as far, running(settings):
            assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
            await primary.__aexit__()
            node = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            node.connect(listen.sockaddr)
            node.send(SOA)
            await auntil(lambda: exit_status(far).datagrams_in == 2)
            await primary.__aenter__()
            node.send(SOA)  # a repetition: the same path, the same session
            assert await asyncio.get_running_loop().sock_recv(node, 4096) == soa_answer(SOA)[0]
            node.close()
