"""The exit: what it opens, what it does not, and what strangers see of it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import dns.message
import msgspec
import pytest

from proxy.egress import exit_datagrams
from proxy.egress.exit import ExitServer
from proxy.egress.exit_plan import compile_exit
from proxy.egress.service import EgressService
from proxy.errors import TunnelError
from proxy.protocol.address import NamedTarget, Target
from proxy.protocol.dns_frames import frame
from proxy.protocol.editions import client_datagrams, client_stream
from proxy.protocol.methods import METHODS
from proxy.protocol.shadowsocks import ClientDatagrams, ClientStream
from proxy.settings import EgressSettings, Exit
from proxy.values import Destination, Endpoint
from tests.egress.prober import HANDSHAKE, check_silence, end_of
from tests.egress.ring import (
    Events,
    connection,
    exit_settings,
    exit_status,
    fresh_endpoint,
    fresh_key,
    is_closed,
    running,
)
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
METHOD = "2022-blake3-aes-128-gcm"
both_editions = pytest.mark.parametrize("method", [METHOD, "aes-128-gcm"])


def key_of(settings: Exit) -> str:
    assert settings.key is not None
    return settings.key.reveal()


def stream_codec(settings: Exit) -> ClientStream:
    method = METHODS[settings.method]
    return client_stream(method, method.key_from_text(key_of(settings)))


def datagram_codec(settings: Exit) -> ClientDatagrams:
    method = METHODS[settings.method]
    return client_datagrams(method, method.key_from_text(key_of(settings)))


@asynccontextmanager
async def an_exit(
    primary: ScriptedPrimary, method: str = METHOD, events: Events | None = None, **more: object
) -> AsyncIterator[tuple[Exit, EgressService]]:
    settings = exit_settings(method, fresh_key(method), [primary.endpoint])
    settings = msgspec.structs.replace(settings, **{"handshake_timeout": HANDSHAKE, **more})
    async with running(EgressSettings(exit=settings), events) as service:
        yield settings, service


async def answer_to(settings: Exit, target: Target, query: bytes) -> bytes | None:
    """What one query through a stream brings; None if the connection is closed instead."""
    codec = stream_codec(settings)
    async with connection(settings.listen) as (reader, writer):
        writer.write(codec.open(target, query, time.time()))
        try:
            payloads = codec.feed(await reader.read(65536), time.time())
        except ConnectionResetError:
            return None
        return b"".join(payloads) or None


@both_editions
async def test_strangers_see_silence_then_a_reset_whatever_they_send(method: str) -> None:
    """Noise of any length, half a header, a replay, a wrong key, a FIN, nothing: one reaction, at one time."""
    events = Events()
    async with ScriptedPrimary() as primary, an_exit(primary, method, events) as (settings, service):
        good = stream_codec(settings).open(primary.endpoint, frame(SOA), time.time())
        assert await answer_to(settings, primary.endpoint, frame(SOA)) == frame(soa_answer(SOA)[0])
        async with connection(settings.listen) as (reader, writer):
            writer.write(good)
            assert await reader.read(1)
        wrong_key = exit_settings(method, fresh_key(method) + ("" if "2022" in method else "!"), [primary.endpoint])
        probes = {
            "nothing": end_of(settings),
            "a FIN": end_of(settings, fin=True),
            "a byte": end_of(settings, b"x"),
            "a byte and a FIN": end_of(settings, b"x", fin=True),
            "bytes one by one": end_of(settings, *(bytes((byte,)) for byte in os.urandom(80))),
            "much noise": end_of(settings, os.urandom(100_000)),
            "half a header": end_of(settings, good[:40]),
            "a replay": end_of(settings, good),
            "a changed header": end_of(settings, good[:20] + bytes((good[20] ^ 1,)) + good[21:]),
            "another key": end_of(settings, stream_codec(wrong_key).open(primary.endpoint, b"x", time.time())),
        }
        seen = dict(zip(probes, await asyncio.gather(*probes.values()), strict=True))
        check_silence(seen)
        await auntil(lambda: exit_status(service).streams_open == 0)
        rejects = exit_status(service).rejects
        assert sum(rejects.values()) == len(probes)
        assert rejects["replay"] == 1
        assert rejects["authentication"] >= 3
        assert {event["reason"] for event in events.named("exit.rejected")} == rejects.keys()


async def test_a_clock_that_is_off_is_told_to_the_operator_not_to_the_client() -> None:
    events = Events()
    async with ScriptedPrimary() as primary, an_exit(primary, events=events) as (settings, service):
        late = stream_codec(settings).open(primary.endpoint, frame(SOA), time.time() - 45)
        assert (await end_of(settings, late))[0] == "RST"
        assert exit_status(service).rejects == {"clock-skew": 1}
        (event,) = events.named("exit.rejected")
        assert "the clock of the client is 45 s behind ours" in str(event["error"])
        assert event["client"] == "127.0.0.1"


@both_editions
async def test_only_what_allow_names_is_opened(method: str) -> None:
    events = Events()
    async with ScriptedPrimary() as primary, ScriptedPrimary() as other:
        async with an_exit(primary, method, events) as (settings, service):
            targets: list[Target] = [
                other.endpoint,
                Endpoint.parse(f"127.0.0.2:{primary.port}"),
                Endpoint.parse(f"[::ffff:127.0.0.1]:{primary.port}"),
                NamedTarget(b"localhost", primary.port),
            ]
            for target in targets:
                assert await answer_to(settings, target, frame(SOA)) is None
            packets = datagram_codec(settings)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                for target in targets:
                    client.sendto(packets.seal(target, SOA, time.time()), settings.listen.sockaddr)
            await auntil(lambda: sum(exit_status(service).rejects.values()) == 8)
            assert exit_status(service).rejects == {"target-not-allowed": 6, "target-by-name": 2}
            assert exit_status(service).associations_open == 0
            assert {event["reason"] for event in events.named("exit.rejected")} == {
                "target-not-allowed",
                "target-by-name",
            }
        assert other.accepted == primary.accepted == 0


async def test_port_zero_is_never_opened() -> None:
    settings = msgspec.structs.replace(
        exit_settings(METHOD, fresh_key(METHOD), []), allow=(Destination.parse("127.0.0.0/8:0"),)
    )
    with pytest.raises(TunnelError, match=r"exit\.allow does not name"):
        compile_exit(settings).check_target(Endpoint.parse("127.0.0.1:0"))


async def test_a_rule_for_ipv6_opens_nothing_of_ipv4() -> None:
    """The kernel would reach ::ffff:127.0.0.1 over IPv4, and ::/0 contains it."""
    settings = msgspec.structs.replace(
        exit_settings(METHOD, fresh_key(METHOD), []), allow=(Destination.parse("[::/0]:53"),)
    )
    plan = compile_exit(settings)
    assert plan.check_target(Endpoint.parse("[2001:db8::1]:53")).port == 53
    with pytest.raises(TunnelError, match="in disguise"):
        plan.check_target(Endpoint.parse("[::ffff:127.0.0.1]:53"))


async def test_noise_of_strangers_is_not_kept() -> None:
    """Strangers are held until the handshake timeout; what they sent must not be."""
    count, noise = 40, os.urandom(200_000)
    async with ScriptedPrimary() as primary, an_exit(primary, handshake_timeout=30.0) as (settings, service):
        tracemalloc.start()
        try:
            async with AsyncExitStack() as strangers:
                for _ in range(count):
                    _, writer = await strangers.enter_async_context(connection(settings.listen))
                    writer.write(noise)
                await auntil(lambda: exit_status(service).rejects["authentication"] == count)
                await auntil(lambda: gc.collect() == 0)
                held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert held < 2_000_000


async def test_a_target_that_refuses_closes_at_once() -> None:
    async with ScriptedPrimary() as primary, an_exit(primary) as (settings, service):
        await primary.__aexit__()
        assert await answer_to(settings, primary.endpoint, frame(SOA)) is None
        assert exit_status(service).rejects == {"refused": 1}


async def test_when_full_the_oldest_stranger_goes_first() -> None:
    async with (
        ScriptedPrimary() as primary,
        an_exit(primary, connections=2) as (settings, service),
        connection(settings.listen) as (first, _),
    ):
        await auntil(lambda: exit_status(service).streams_open == 1)
        async with connection(settings.listen):
            await auntil(lambda: exit_status(service).streams_open == 2)
            assert await answer_to(settings, primary.endpoint, frame(SOA)) == frame(soa_answer(SOA)[0])
            assert await is_closed(first)
            assert exit_status(service).rejects == {"too-many-connections": 1}


async def test_clients_do_not_make_room_for_newcomers() -> None:
    async with ScriptedPrimary(lambda query: []) as primary, an_exit(primary, connections=1) as (settings, service):
        codec = stream_codec(settings)
        async with connection(settings.listen) as (_, writer):
            writer.write(codec.open(primary.endpoint, frame(SOA), time.time()))
            await auntil(lambda: primary.asked_tcp)
            assert (await end_of(settings))[0] == "RST"
            assert exit_status(service).rejects == {"too-many-connections": 1}
            assert exit_status(service).streams_open == 1


@both_editions
async def test_a_client_that_has_said_all_still_gets_its_answer(method: str) -> None:
    async with ScriptedPrimary(lambda query: []) as primary, an_exit(primary, method) as (settings, service):
        codec = stream_codec(settings)
        async with connection(settings.listen) as (reader, writer):
            writer.write(codec.open(primary.endpoint, frame(SOA), time.time()))
            await auntil(lambda: primary.asked_tcp)
            writer.write_eof()
            (asked,) = primary.connections
            asked.write(b"last words")
            asked.close()
            assert codec.feed(await reader.read(), time.time()) == [b"last words"]
            assert codec.at_end
        await auntil(lambda: exit_status(service).streams_open == 0)


async def test_a_stream_that_ends_inside_a_chunk_is_cut_off() -> None:
    async with ScriptedPrimary(lambda query: []) as primary, an_exit(primary) as (settings, service):
        codec = stream_codec(settings)
        async with connection(settings.listen) as (_, writer):
            writer.write(codec.open(primary.endpoint, frame(SOA), time.time()))
            await auntil(lambda: primary.asked_tcp)
            writer.write(codec.send(b"more")[:-1])
            writer.write_eof()
            await auntil(lambda: exit_status(service).streams_open == 0)
            assert exit_status(service).rejects == {"cut": 1}
            await auntil(lambda: not primary.connections)


async def test_an_idle_stream_is_closed() -> None:
    async with (
        ScriptedPrimary(lambda query: []) as primary,
        an_exit(primary, idle_timeout=0.1) as (settings, service),
    ):
        assert await answer_to(settings, primary.endpoint, frame(SOA)) is None
        await auntil(lambda: exit_status(service).streams_open == 0)
        await auntil(lambda: not primary.connections)


class UdpClient:
    """A client's socket and session."""

    def __init__(self, settings: Exit, codec: ClientDatagrams | None = None) -> None:
        self.codec = codec or datagram_codec(settings)
        self._exit = settings.listen.sockaddr
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, target: Target, payload: bytes) -> None:
        self._socket.sendto(self.codec.seal(target, payload, time.time()), self._exit)

    async def receive(self) -> bytes:
        packet = await asyncio.get_running_loop().sock_recv(self._socket, 65535)
        return self.codec.open(packet, time.time()).payload

    def close(self) -> None:
        self._socket.close()


@both_editions
async def test_datagrams_are_answered_each_to_its_client(method: str) -> None:
    async with ScriptedPrimary() as primary, an_exit(primary, method) as (settings, service):
        clients = [UdpClient(settings) for _ in range(3)]
        for _ in range(2):
            for number, client in enumerate(clients):
                query = dns.message.make_query(f"{number}.example", "SOA").to_wire()
                client.send(primary.endpoint, query)
                assert await client.receive() == soa_answer(query)[0]
        assert exit_status(service).associations_total == 3
        assert exit_status(service).datagrams_out == 6
        for client in clients:
            client.close()


async def test_a_session_follows_its_client_to_another_address() -> None:
    async with ScriptedPrimary() as primary, an_exit(primary) as (settings, service):
        before = UdpClient(settings)
        before.send(primary.endpoint, SOA)
        await before.receive()
        after = UdpClient(settings, before.codec)
        after.send(primary.endpoint, SOA)
        assert await after.receive() == soa_answer(SOA)[0]
        assert exit_status(service).associations_total == 1
        before.close()
        after.close()


async def test_a_replayed_datagram_reaches_nobody() -> None:
    async with ScriptedPrimary() as primary, an_exit(primary) as (settings, service):
        packet = datagram_codec(settings).seal(primary.endpoint, SOA, time.time())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            for _ in range(3):
                thief.sendto(packet, settings.listen.sockaddr)
            thief.sendto(os.urandom(100), settings.listen.sockaddr)
            thief.sendto(b"", settings.listen.sockaddr)
            await auntil(lambda: sum(exit_status(service).rejects.values()) == 4)
        assert exit_status(service).rejects == {"replay": 2, "authentication": 1, "too-short": 1}
        await auntil(lambda: primary.asked_udp)
        assert primary.asked_udp == [SOA]


@both_editions
async def test_sessions_are_bounded_and_the_silent_make_room(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedPrimary() as primary, an_exit(primary, method, associations=2) as (settings, service):
        clients = [UdpClient(settings) for _ in range(3)]
        for client in clients[:2]:
            client.send(primary.endpoint, SOA)
            await client.receive()
        clients[2].send(primary.endpoint, SOA)
        await auntil(lambda: exit_status(service).rejects == {"associations-full": 1})
        monkeypatch.setattr(exit_datagrams, "REMEMBER", 0.0)
        clients[2].send(primary.endpoint, SOA)
        assert await clients[2].receive() == soa_answer(SOA)[0]
        assert exit_status(service).associations_total == 3
        assert exit_status(service).associations_open == 1
        for client in clients:
            client.close()


async def test_sessions_end_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exit_datagrams, "REMEMBER", 0.0)
    monkeypatch.setattr(exit_datagrams, "SWEEP", 0.01)
    async with ScriptedPrimary() as primary, an_exit(primary) as (settings, service):
        client = UdpClient(settings)
        client.send(primary.endpoint, SOA)
        await auntil(lambda: exit_status(service).associations_total == 1)
        await auntil(lambda: exit_status(service).associations_open == 0)
        client.close()


async def test_targets_of_a_session_are_bounded() -> None:
    settings = exit_settings(METHOD, fresh_key(METHOD), [fresh_endpoint() for _ in range(exit_datagrams.TARGETS + 1)])
    async with running(EgressSettings(exit=settings)) as service:
        client = UdpClient(settings)
        for allowed in settings.allow:
            client.send(Endpoint(allowed.network.prefix.network_address, allowed.port), SOA)
        await auntil(lambda: exit_status(service).rejects.get("too-many-targets") == 1)
        assert exit_status(service).datagrams_in == exit_datagrams.TARGETS
        client.close()


async def test_a_dead_target_does_not_stop_the_session() -> None:
    async with ScriptedPrimary() as primary:
        nobody = fresh_endpoint()
        settings = exit_settings(METHOD, fresh_key(METHOD), [primary.endpoint, nobody])
        async with running(EgressSettings(exit=settings)) as service:
            client = UdpClient(settings)

            def refused() -> bool:
                client.send(nobody, SOA)
                return "target-refused" in exit_status(service).rejects

            await auntil(refused)
            client.send(primary.endpoint, SOA)
            assert await client.receive() == soa_answer(SOA)[0]
            client.close()


async def test_no_key_in_what_is_reported() -> None:
    events = Events()
    async with ScriptedPrimary() as primary, an_exit(primary, events=events) as (settings, service):
        await end_of(settings, os.urandom(100))
        key = key_of(settings)
        said = f"{events.seen} {service.status()} {settings} {compile_exit(settings)}"
        assert key not in said
        assert repr(METHODS[METHOD].key_from_text(key)) not in said


def test_a_server_is_made_from_a_plan_alone() -> None:
    """Nothing is opened before `start`."""

    async def make() -> ExitServer:
        return ExitServer(compile_exit(exit_settings(METHOD, fresh_key(METHOD), [])), Events())

    assert asyncio.run(make()).status().streams_open == 0


async def test_what_was_recorded_before_a_restart_is_refused() -> None:
    """Its salt and session are no longer known; its time stamp, which would still be good, is older than the start."""
    events = Events()
    async with ScriptedPrimary() as primary, an_exit(primary, events=events) as (settings, service):
        recorded = stream_codec(settings).open(primary.endpoint, frame(SOA), time.time() - 20)
        packet = datagram_codec(settings).seal(primary.endpoint, SOA, time.time() - 20)
        assert (await end_of(settings, recorded))[0] == "RST"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.sendto(packet, settings.listen.sockaddr)
            await auntil(lambda: exit_status(service).rejects == {"before-start": 2})
        assert await answer_to(settings, primary.endpoint, frame(SOA)) == frame(soa_answer(SOA)[0])
        assert "before this exit, or this key, came into use" in str(events.named("exit.rejected")[0]["error"])
