"""Strangers at an exit with users: they see silence and a reset, and take no more places than they are given."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import dns.message
import pytest

from proxy.egress import exit_stream, exit_target, keepalive
from proxy.protocol.dns_frames import frame
from proxy.protocol.editions import client_stream
from proxy.protocol.methods import METHODS
from proxy.settings import Exit
from proxy.values import Endpoint
from tests.egress.prober import HANDSHAKE, check_silence, end_of
from tests.egress.ring import Events, connection, exit_status, is_closed
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.egress.users import ask_stream, chain, datagrams_of, stream_of, user, users_exit
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
ANSWER = frame(soa_answer(SOA)[0])
METHOD = "2022-blake3-aes-128-gcm"


@asynccontextmanager
async def connection_from(source: str, place: Endpoint) -> AsyncIterator[asyncio.StreamReader]:
    """A TCP connection from this address; its reader."""
    reader, writer = await asyncio.open_connection(*place.sockaddr, local_addr=(source, 0))
    try:
        yield reader
    finally:
        writer.transport.abort()


def head(settings: Exit, key: bytes, before: tuple[bytes, ...], target: Endpoint) -> bytes:
    return client_stream(METHODS[settings.method], key, before).open(target, frame(SOA), time.time())


@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("method", [METHOD, "2022-blake3-aes-256-gcm"])
async def test_whatever_a_stranger_knows_or_guesses_it_sees_silence(method: str, fin: bool) -> None:
    """Also one that has a part of the keys: a former user, or someone with the identity key alone."""
    async with ScriptedPrimary() as primary:
        people = [user("berlin", method), user("oslo", method)]
        async with users_exit(method, people, [primary.endpoint], handshake_timeout=HANDSHAKE) as (settings, service):
            berlin, identity = chain(settings, "berlin")
            oslo, _ = chain(settings, "oslo")
            stranger = os.urandom(len(berlin))
            good = head(settings, berlin, identity, primary.endpoint)
            salt = METHODS[method].salt_size

            def headed(key: bytes, before: tuple[bytes, ...]) -> tuple[bytes]:
                return (head(settings, key, before, primary.endpoint),)

            other = head(settings, oslo, identity, primary.endpoint)
            async with connection(settings.listen) as (reader, writer):
                writer.write(good)
                assert await reader.read(1)
            probes = {
                "nothing": end_of(settings, fin=fin),
                "a byte": end_of(settings, b"x", fin=fin),
                "noise": end_of(settings, os.urandom(300), fin=fin),
                "much noise": end_of(settings, os.urandom(200_000), fin=fin),
                "dribbled noise": end_of(settings, *(os.urandom(1) for _ in range(80)), fin=fin),
                "a replay": end_of(settings, good, fin=fin),
                "half a header": end_of(settings, good[: salt + 30], fin=fin),
                "a dribbled header": end_of(settings, good[: salt + 4], good[salt + 4 :], fin=fin),
                "an unknown user": end_of(settings, *headed(stranger, identity), fin=fin),
                "another identity key": end_of(
                    settings, head(settings, berlin, (stranger,), primary.endpoint), fin=fin
                ),
                "no identity header": end_of(settings, *headed(berlin, ()), fin=fin),
                "the identity key alone": end_of(settings, *headed(identity[0], ()), fin=fin),
                "the identity header of another": end_of(
                    settings, good[:salt] + other[salt : salt + 16] + good[salt + 16 :], fin=fin
                ),
                "a good identity header, then noise": end_of(settings, other[: salt + 16] + os.urandom(100), fin=fin),
            }
            check_silence(dict(zip(probes, await asyncio.gather(*probes.values()), strict=True)))
            await auntil(lambda: exit_status(service).streams_open == 0)
            rejects = exit_status(service).rejects
            assert sum(rejects.values()) == len(probes)
            assert rejects["replay"] >= 1
            assert rejects["unknown-user"] >= 4
            assert rejects["authentication"] >= 1
            assert exit_status(service).salts == 1
            assert all(each.rejects == {} for each in exit_status(service).users)


async def test_strangers_of_one_address_make_room_for_each_other() -> None:
    async with (
        ScriptedPrimary() as primary,
        users_exit(METHOD, [user("one", METHOD)], [primary.endpoint], None, handshakes_per_address=3) as exit_,
        AsyncExitStack() as stack,
    ):
        settings, service = exit_
        early, writer = await stack.enter_async_context(connection(settings.listen))
        await auntil(lambda: exit_status(service).handshakes == 1)
        readers = [await stack.enter_async_context(connection_from("127.0.0.9", settings.listen)) for _ in range(20)]
        await auntil(lambda: exit_status(service).rejects.get("too-many-handshakes") == 17)
        assert all([await is_closed(reader) for reader in readers[:17]])
        assert exit_status(service).handshakes == 4
        codec = stream_of(settings, "one")
        writer.write(codec.open(primary.endpoint, frame(SOA), time.time()))
        assert codec.feed(await early.read(65536), time.time()) == [ANSWER]
        assert not any(reader.at_eof() for reader in readers[17:])


class Flood:
    """Connections of strangers from eight addresses, which are kept open, and datagrams; none of them waits."""

    def __init__(self, settings: Exit, recorded: list[bytes], packets: list[bytes]) -> None:
        self._place = settings.listen.sockaddr
        self._recorded = recorded
        self._packets = packets
        self._sockets: list[socket.socket] = []
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)

    async def wave(self, number: int) -> None:
        """Five connections with something different on each, and twenty datagrams."""
        first = self._recorded[number % len(self._recorded)]
        for data in (b"", b"x", os.urandom(300), first, first[:50]):
            one = socket.socket()
            one.setblocking(False)
            one.bind((f"127.0.1.{number // 8 % 8 + 1}", 0))
            self._sockets.append(one)
            await asyncio.get_running_loop().sock_connect(one, self._place)
            if data:
                await asyncio.get_running_loop().sock_sendall(one, data)
        for packet in (os.urandom(100), self._packets[number % len(self._packets)]) * 10:
            self._udp.sendto(packet, self._place)

    def close(self) -> None:
        for one in (*self._sockets, self._udp):
            one.close()


async def test_a_flood_takes_neither_memory_nor_the_places_of_clients() -> None:
    """Replays, noise, silent connections and half headers: the good client is served all the while."""
    events = Events()
    async with ScriptedPrimary() as primary:
        people = [user("good", METHOD), user("other", METHOD)]
        more = {"handshakes_per_address": 20, "connections": 100, "associations": 50, "handshake_timeout": 60.0}
        async with users_exit(METHOD, people, [primary.endpoint], events, **more) as (settings, service):
            recorded = [stream_of(settings, "other").open(primary.endpoint, frame(SOA), time.time()) for _ in range(3)]
            for each in recorded:
                async with connection(settings.listen) as (reader, writer):
                    writer.write(each)
                    assert await reader.read(1)
            packets = [datagrams_of(settings, "other").seal(primary.endpoint, SOA, time.time()) for _ in range(3)]
            flood = Flood(settings, recorded, packets)
            tracemalloc.start()
            try:
                for number in range(60):
                    await flood.wave(number)
                    if number % 4 == 0:
                        assert await ask_stream(settings, "good", primary.endpoint, frame(SOA)) == ANSWER
                    status = exit_status(service)
                    assert status.streams_open <= 100
                    assert status.handshakes <= 100
                    assert status.associations_open <= 3
                held = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
                flood.close()
            status = exit_status(service)
            assert status.salts == 3 + 15
            assert status.rejects["replay"] > 60
            assert status.rejects["unknown-user"] > 60
            assert status.rejects["too-many-connections"] + status.rejects["too-many-handshakes"] > 100
            assert held < 10_000_000
            assert len(events.named("exit.rejected")) <= 8


async def test_a_full_store_of_salts_refuses_new_streams_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One user's share is full; the other goes on."""
    events = Events()
    async with ScriptedPrimary() as primary:
        people = [user("greedy", METHOD), user("modest", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint], events, handshake_timeout=HANDSHAKE) as (
            settings,
            service,
        ):
            assert service._exit is not None
            monkeypatch.setattr(service._exit.plan.salts, "_capacity", 8)
            for _ in range(4):
                assert await ask_stream(settings, "greedy", primary.endpoint, frame(SOA)) == ANSWER
            assert await ask_stream(settings, "greedy", primary.endpoint, frame(SOA)) is None
            assert await ask_stream(settings, "modest", primary.endpoint, frame(SOA)) == ANSWER
            assert exit_status(service).rejects == {"salts-full": 1}
            assert "4 new streams of this user" in str(events.named("exit.rejected")[0]["error"])


async def test_both_sides_are_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is gone without a word is noticed: the kernel asks."""
    asked: list[list[int]] = []

    def watched(transport: asyncio.BaseTransport) -> None:
        keepalive.keep_alive(transport)
        sock = transport.get_extra_info("socket")
        options = (socket.SO_KEEPALIVE, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        levels = (socket.SOL_SOCKET, *[socket.IPPROTO_TCP] * 3)
        asked.append([sock.getsockopt(level, option) for level, option in zip(levels, options, strict=True)])

    monkeypatch.setattr(exit_stream, "keep_alive", watched)
    monkeypatch.setattr(exit_target, "keep_alive", watched)
    async with (
        ScriptedPrimary() as primary,
        users_exit(METHOD, [user("one", METHOD)], [primary.endpoint]) as (settings, _),
    ):
        assert await ask_stream(settings, "one", primary.endpoint, frame(SOA)) == ANSWER
    assert asked == [[1, keepalive.IDLE, keepalive.INTERVAL, keepalive.PROBES]] * 2
