"""The guard of the TCP door: who is refused, who has to go, and that none of it stops the others."""

from __future__ import annotations

import asyncio
import resource
import socket

import msgspec

from filters.settings import FilterSettings
from proxy.ingress import tcp_doors
from proxy.settings import TcpOverload
from tests.ingress.tcp_door import PATIENT, door, ingress_settings, query
from tests.support.peers import auntil
from tests.support.streams import StreamBackend, framed

replace = msgspec.structs.replace


async def test_a_prefix_has_a_bound_and_a_rate_of_connections() -> None:
    tcp = replace(PATIENT, connection_rate=1, connection_burst=2)
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=tcp)) as opened:
        first, _ = await opened.client(), await opened.client()
        assert await opened.is_refused()
        assert opened.status.closes["connection-rate"] == 1
        first.send(query())
        await auntil(lambda: first.received)
        opened.clock.forward(1)
        await opened.client()


async def test_the_longest_idle_client_makes_room() -> None:
    tcp = replace(PATIENT, connections=3, overload=TcpOverload(threshold=0))
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=tcp)) as opened:
        idle = [await opened.client() for _ in range(3)]
        assert await opened.is_refused(), "nobody is idle for long enough"
        opened.clock.forward(2)
        idle[0].send(query())
        await auntil(lambda: idle[0].received)
        await opened.client()
        await auntil(lambda: idle[1].ended)
        assert [client.ended for client in idle] == [False, True, False], "who asked stays, so does the younger"
        assert opened.status.closes["made-room"] == 1


async def test_a_connection_has_so_many_queries_and_gets_all_their_answers() -> None:
    tcp = replace(PATIENT, queries_per_connection=3)
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=tcp)) as opened:
        client = await opened.client()
        client.send(*(query(identity=n) for n in range(5)))
        await auntil(lambda: client.ended)
        assert len(client.received) == 3
        assert opened.status.closes["queries"] == 1
        assert opened.verdicts()["shed", "too-many-in-flight"] == 2, "those beyond are counted"


async def test_a_connection_lasts_so_long() -> None:
    tcp = replace(PATIENT, lifetime=60)
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=tcp)) as opened:
        client = await opened.client()
        client.send(query())
        await auntil(lambda: client.received)
        opened.clock.forward(59)
        client.send(query())
        await auntil(lambda: len(client.received) == 2)
        opened.clock.forward(1)
        await auntil(lambda: client.ended)
        assert opened.status.closes["lifetime"] == 1


async def test_a_message_in_too_many_pieces_is_cut_off() -> None:
    tcp = replace(PATIENT, reads_per_message=5)
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=tcp)) as opened:
        whole, pieces = await opened.client(), await opened.client()
        stream = iter(framed(query()))

        def one_more() -> bool:
            if not pieces.ended:
                pieces.transport.write(bytes([next(stream)]))
            whole.send(query())
            return pieces.ended

        await auntil(one_more)
        assert opened.status.closes["many-reads"] == 1
        assert not whole.ended, "one read for each message is progress"


async def test_overload_mode_comes_and_goes() -> None:
    tcp = replace(PATIENT, connections=10, connections_per_client=10, overload=TcpOverload(threshold=80, lifetime=30))
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=tcp)) as opened:
        clients = [await opened.client() for _ in range(8)]
        await auntil(lambda: ("ingress.tcp-overload-begins", {}) in opened.events)
        assert opened.status.overloaded
        assert await opened.is_refused(), "this prefix has a quarter of what it may have, and more"
        assert opened.status.closes["connections-per-client"] == 1
        clients[0].transport.abort()
        await auntil(lambda: opened.status.connections == 7)
        assert opened.status.overloaded, "it ends below where it begins"
        opened.clock.forward(1)
        await auntil(lambda: all(client.ended for client in clients[1:]))
        assert opened.status.closes["idle"] == 7, "the idle time-out is short now"
        await auntil(lambda: ("ingress.tcp-overload-ends", {}) in opened.events)
        assert not opened.status.overloaded


async def test_who_takes_too_much_time_has_to_wait() -> None:
    tcp = replace(PATIENT, time_limit=1, time_burst=1)
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=tcp)) as opened:
        client = await opened.client()
        client.send(query(identity=1))
        await auntil(lambda: opened.status.over_time > 0)
        await auntil(lambda: len(client.received) == 1)
        client.send(query(identity=2))
        opened.clock.forward(61)  # nobody waits for more than a minute
        await auntil(lambda: len(client.received) == 2)
        assert opened.status.closes["time-limit"] == 0


async def test_who_takes_too_much_time_may_be_closed_or_counted() -> None:
    tcp = replace(PATIENT, time_limit=1, time_burst=1, time_action="close")
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=tcp)) as opened:
        client = await opened.client()
        client.send(query())
        await auntil(lambda: client.ended)
        assert opened.status.closes["time-limit"] == 1
        opened.reload(replace(opened.settings, tcp=replace(tcp, time_action="observe")), FilterSettings())
        watched = await opened.client()
        before = opened.status.over_time
        watched.send(query())
        await auntil(lambda: watched.received)
        assert opened.status.over_time > before


async def test_without_descriptors_the_door_rests_and_opens_again() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    loop = asyncio.get_running_loop()
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        with socket.socket() as client:
            client.setblocking(False)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            try:
                await loop.sock_connect(client, opened.address)
                await auntil(lambda: bool(opened.events))
                assert opened.events[0][0] == "ingress.accept-paused"
                assert opened.status.connections == 0
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            await auntil(lambda: opened.status.connections == 1)
            await loop.sock_sendall(client, framed(query()))
            assert await loop.sock_recv(client, 512)


async def test_one_turn_takes_a_bounded_number_of_connections() -> None:
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        clients = [socket.socket() for _ in range(tcp_doors.AT_ONCE + 1)]
        for client in clients:
            client.connect(opened.address)  # the kernel shakes hands by itself
        turns: list[int] = []

        def look() -> None:
            turns.append(opened.memory.io()["connections-accepted"])
            if turns[-1] < len(clients):
                asyncio.get_running_loop().call_soon(look)

        look()
        await auntil(lambda: turns[-1] == len(clients))
        assert tcp_doors.AT_ONCE in turns, "the loop had its turn in between"
        for client in clients:
            client.close()
