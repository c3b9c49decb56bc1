"""Several users behind one exit: each with its key, targets, limits and numbers; and keys that are revoked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from contextlib import AsyncExitStack

import dns.message
import msgspec
import pytest

from proxy.egress.exit_plan import compile_exit
from proxy.egress.status import ExitUserStatus
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings, Exit
from proxy.values import Destination, Secret
from tests.egress.ring import Events, connection, exit_settings, exit_status, fresh_endpoint, fresh_key, is_closed
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.egress.users import UserSocket, ask_stream, chain, stream_of, user, users_exit
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
AXFR = dns.message.make_query("example.com", "AXFR").to_wire()
ANSWER = frame(soa_answer(SOA)[0])
METHOD = "2022-blake3-aes-128-gcm"
WITH_IDENTITY = pytest.mark.parametrize("method", [METHOD, "2022-blake3-aes-256-gcm"])


def numbers(service: object) -> dict[str, ExitUserStatus]:
    return {each.name: each for each in exit_status(service).users}  # type: ignore[arg-type]  # an EgressService


@WITH_IDENTITY
async def test_each_user_has_its_key_and_its_numbers(method: str) -> None:
    async with ScriptedPrimary() as primary:
        people = [user("berlin", method), user("oslo", method)]
        async with users_exit(method, people, [primary.endpoint]) as (settings, service):
            assert await ask_stream(settings, "berlin", primary.endpoint, frame(SOA)) == ANSWER
            assert await ask_stream(settings, "berlin", primary.endpoint, frame(SOA)) == ANSWER
            assert await ask_stream(settings, "oslo", primary.endpoint, frame(SOA)) == ANSWER
            oslo = UserSocket(settings, "oslo")
            assert await oslo.ask(primary.endpoint, SOA) == soa_answer(SOA)[0]
            oslo.close()
            await auntil(lambda: exit_status(service).streams_open == 0)
            status = numbers(service)
            assert [status[name].streams_total for name in ("berlin", "oslo")] == [2, 1]
            assert [status[name].streams_open for name in ("berlin", "oslo")] == [0, 0]
            assert [status[name].datagrams_out for name in ("berlin", "oslo")] == [0, 1]
            assert status["berlin"].bytes_in == 2 * len(frame(SOA))
            assert status["berlin"].bytes_out == 2 * len(ANSWER)
            assert status["oslo"].associations_open == 1
            total = exit_status(service)
            assert total.bytes_in == sum(each.bytes_in for each in status.values())
            assert total.salts == 3


@pytest.mark.parametrize("method", ["aes-128-gcm", "2022-blake3-chacha20-poly1305", METHOD])
async def test_one_user_needs_no_identity_key(method: str) -> None:
    """So a method without identity headers has a user with limits and numbers, too."""
    async with (
        ScriptedPrimary() as primary,
        users_exit(method, [user("only", method)], [primary.endpoint], key=None) as (settings, service),
    ):
        assert await ask_stream(settings, "only", primary.endpoint, frame(SOA)) == ANSWER
        only = UserSocket(settings, "only")
        assert await only.ask(primary.endpoint, SOA) == soa_answer(SOA)[0]
        only.close()
        status = numbers(service)["only"]
        assert (status.streams_total, status.datagrams_out) == (1, 1)


async def test_a_users_own_allow_is_a_part_of_the_exits() -> None:
    events = Events()
    async with ScriptedPrimary() as one, ScriptedPrimary() as other:
        people = [
            user("narrow", METHOD, allow=(Destination.parse(f"127.0.0.1/32:{one.port}"),)),
            user("wide", METHOD, allow=(Destination.parse(f"127.0.0.0/8:{fresh_endpoint().port}"),)),
            user("all", METHOD),
        ]
        async with users_exit(METHOD, people, [one.endpoint, other.endpoint], events) as (settings, service):
            assert await ask_stream(settings, "all", other.endpoint, frame(SOA)) == ANSWER
            assert await ask_stream(settings, "narrow", one.endpoint, frame(SOA)) == ANSWER
            assert await ask_stream(settings, "narrow", other.endpoint, frame(SOA)) is None
            assert await ask_stream(settings, "wide", settings.listen, frame(SOA)) is None
            narrow = UserSocket(settings, "narrow")
            narrow.send(other.endpoint, SOA)
            await auntil(lambda: numbers(service)["narrow"].rejects == {"target-not-allowed": 2})
            narrow.close()
            assert numbers(service)["all"].rejects == {}
            (event,) = events.named("exit.rejected")
            assert (event["user"], event["reason"]) == ("narrow", "target-not-allowed")
            assert "the user's allow does not name" in str(event["error"])


async def test_streams_of_a_user_are_bounded() -> None:
    async with ScriptedPrimary(lambda query: []) as primary:
        people = [user("small", METHOD, connections=1), user("other", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint]) as (settings, service):
            async with connection(settings.listen) as (_, writer):
                writer.write(stream_of(settings, "small").open(primary.endpoint, frame(SOA), time.time()))
                await auntil(lambda: primary.asked_tcp)
                primary.script = soa_answer
                assert await ask_stream(settings, "small", primary.endpoint, frame(SOA)) is None
                assert await ask_stream(settings, "other", primary.endpoint, frame(SOA)) == ANSWER
            await auntil(lambda: numbers(service)["small"].streams_open == 0)
            assert await ask_stream(settings, "small", primary.endpoint, frame(SOA)) == ANSWER
            assert numbers(service)["small"].rejects == {"user-connections": 1}


async def test_sessions_of_a_user_are_bounded() -> None:
    async with ScriptedPrimary() as primary:
        people = [user("small", METHOD, associations=1), user("other", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint]) as (settings, service):
            sockets = [UserSocket(settings, name) for name in ("small", "small", "other")]
            assert await sockets[0].ask(primary.endpoint, SOA) == soa_answer(SOA)[0]
            sockets[1].send(primary.endpoint, SOA)
            await auntil(lambda: numbers(service)["small"].rejects == {"user-associations": 1})
            assert await sockets[2].ask(primary.endpoint, SOA) == soa_answer(SOA)[0]
            for each in sockets:
                each.close()


async def test_one_user_does_not_take_the_place_of_the_others() -> None:
    """Without a limit of its own, a user has an equal share of an exit that is half full: TCP and UDP."""
    async with ScriptedPrimary(lambda query: []) as primary, AsyncExitStack() as stack:
        people = [user("greedy", METHOD), user("other", METHOD)]
        way_in = users_exit(METHOD, people, [primary.endpoint], connections=6, associations=6)
        settings, service = await stack.enter_async_context(way_in)
        for count in range(3):
            _, writer = await stack.enter_async_context(connection(settings.listen))
            writer.write(stream_of(settings, "greedy").open(primary.endpoint, frame(SOA), time.time()))
            await auntil(lambda count=count: len(primary.asked_tcp) == count + 1)  # type: ignore[misc]  # a default
        primary.script = soa_answer
        assert await ask_stream(settings, "greedy", primary.endpoint, frame(SOA)) is None
        assert await ask_stream(settings, "other", primary.endpoint, frame(SOA)) == ANSWER
        assert numbers(service)["greedy"].rejects == {"user-share": 1}
        sockets = [UserSocket(settings, name) for name in ("greedy", "greedy", "greedy", "other")]
        for each in sockets:
            assert await each.ask(primary.endpoint, SOA) == soa_answer(SOA)[0]
        fourth = UserSocket(settings, "greedy")
        fourth.send(primary.endpoint, SOA)
        await auntil(lambda: numbers(service)["greedy"].rejects == {"user-share": 2})
        for each in (*sockets, fourth):
            each.close()


async def test_new_streams_beyond_the_rate_wait_and_then_are_refused() -> None:
    async with ScriptedPrimary() as primary:
        people = [user("fast", METHOD, streams_per_second=20.0, streams_burst=1), user("slow", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint], connect_timeout=0.12) as (settings, service):
            asked = [ask_stream(settings, "fast", primary.endpoint, frame(SOA)) for _ in range(10)]
            answers = await asyncio.gather(*asked)
            assert answers.count(ANSWER) >= 2
            refused = numbers(service)["fast"].rejects.get("user-streams", 0)
            assert refused == answers.count(None) > 0
            assert await ask_stream(settings, "slow", primary.endpoint, frame(SOA)) == ANSWER


async def test_payload_beyond_the_rate_waits_and_nothing_is_lost() -> None:
    """A quarter of a megabyte at 1 MB/s behind a burst of 50 kB: the stream rests, others do not, no byte is lost."""
    payload = os.urandom(60_000)
    async with ScriptedPrimary(lambda query: [payload] * 4 if query == AXFR else soa_answer(query)) as primary:
        people = [user("slow", METHOD, bytes_per_second=1_000_000, bytes_burst=50_000), user("other", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint]) as (settings, service):
            codec, got = stream_of(settings, "slow"), b""
            async with connection(settings.listen) as (reader, writer):
                writer.write(codec.open(primary.endpoint, frame(AXFR), time.time()))
                while len(got) < 4 * (2 + len(payload)):
                    got += b"".join(codec.feed(await reader.read(65536), time.time()))
                    assert await ask_stream(settings, "other", primary.endpoint, frame(SOA)) == ANSWER
            assert got == frame(payload) * 4
            assert numbers(service)["slow"].throttled > 0
            assert numbers(service)["other"].throttled == 0


async def test_what_a_client_sends_beyond_the_rate_waits_too() -> None:
    sent, got, closed = os.urandom(400_000), bytearray(), asyncio.Event()

    async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            got.extend(data)
        writer.close()
        await writer.wait_closed()
        closed.set()

    place = fresh_endpoint()
    server = await asyncio.start_server(sink, *place.sockaddr)
    slow = user("slow", METHOD, bytes_per_second=2_000_000, bytes_burst=20_000)
    try:
        async with users_exit(METHOD, [slow], [place]) as (settings, service):
            codec = stream_of(settings, "slow")
            async with connection(settings.listen) as (_, writer):
                writer.write(codec.open(place, sent[:100], time.time()))
                writer.write(codec.send(sent[100:]))
                writer.write_eof()
                await closed.wait()
            assert bytes(got) == sent
            assert numbers(service)["slow"].throttled > 0
            assert numbers(service)["slow"].bytes_in == len(sent)
            assert exit_status(service).rejects == {}
    finally:
        server.close()


async def test_datagrams_beyond_the_rate_are_dropped() -> None:
    async with ScriptedPrimary() as primary:
        people = [user("slow", METHOD, bytes_per_second=1024, bytes_burst=1024), user("other", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint]) as (settings, service):
            slow = UserSocket(settings, "slow")
            for _ in range(40):
                slow.send(primary.endpoint, SOA)
            await auntil(lambda: numbers(service)["slow"].rejects.get("user-rate", 0) > 10)
            slow.close()
            other = UserSocket(settings, "other")
            assert await other.ask(primary.endpoint, SOA) == soa_answer(SOA)[0]
            other.close()


async def test_a_revoked_key_stops_working_and_the_others_go_on() -> None:
    events = Events()
    async with ScriptedPrimary(lambda query: []) as primary:
        people = [user("stays", METHOD), user("goes", METHOD), user("rolls", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint], events) as (settings, service):
            codec = stream_of(settings, "stays")
            sockets = {each.name: UserSocket(settings, each.name) for each in people}
            async with (
                connection(settings.listen) as (kept, kept_writer),
                connection(settings.listen) as (gone, gone_writer),
                connection(settings.listen) as (old, old_writer),
            ):
                kept_writer.write(codec.open(primary.endpoint, b"kept", time.time()))
                gone_writer.write(stream_of(settings, "goes").open(primary.endpoint, b"gone", time.time()))
                old_writer.write(stream_of(settings, "rolls").open(primary.endpoint, b"old", time.time()))
                for each in sockets.values():
                    each.send(primary.endpoint, SOA)
                await auntil(lambda: len(primary.connections) == 3 and len(primary.asked_udp) == 3)
                after = msgspec.structs.replace(settings, users=(people[0], user("rolls", METHOD)))
                await service.reload(EgressSettings(exit=after), list(service.sockets))
                assert await is_closed(gone)
                assert await is_closed(old)
                await auntil(lambda: len(primary.connections) == 1)
                (asked,) = primary.connections
                asked.write(b"still here")
                assert codec.feed(await kept.read(65536), time.time()) == [b"still here"]
                assert exit_status(service).rejects == {"key-revoked": 2}
                (event,) = events.named("exit.keys-revoked")
                assert event == {"streams": 2, "sessions": 2, "users": "goes, rolls"}
                primary.script = soa_answer
                for name in ("goes", "rolls"):
                    sockets[name].send(primary.endpoint, SOA)
                await auntil(lambda: exit_status(service).rejects.get("unknown-user") == 2)
                assert await sockets["stays"].ask(primary.endpoint, SOA) == soa_answer(SOA)[0]
                assert await ask_stream(after, "rolls", primary.endpoint, frame(SOA)) == ANSWER
                assert numbers(service).keys() == {"stays", "rolls"}
            for each in sockets.values():
                each.close()


async def test_a_gateway_may_open_many_streams_at_once() -> None:
    """However many are accepted before the first header is read, none is taken for one stranger too many."""
    async with (
        ScriptedPrimary() as primary,
        users_exit(METHOD, [user("one", METHOD)], [primary.endpoint]) as (settings, service),
    ):
        with contextlib.ExitStack() as stack:
            codecs = []
            for _ in range(300):  # without a turn of the loop between: all wait in the backlog
                client = stack.enter_context(socket.create_connection(settings.listen.sockaddr))
                codec = stream_of(settings, "one")
                client.sendall(codec.open(primary.endpoint, frame(SOA), time.time()))
                client.setblocking(False)
                codecs.append((client, codec))
            for client, codec in codecs:
                data = await asyncio.get_running_loop().sock_recv(client, 65536)
                assert codec.feed(data, time.time()) == [ANSWER]
        assert exit_status(service).rejects == {}


async def test_limits_change_under_open_streams() -> None:
    async with ScriptedPrimary() as primary:
        people = [user("one", METHOD, connections=1), user("two", METHOD)]
        async with users_exit(METHOD, people, [primary.endpoint]) as (settings, service):
            codec = stream_of(settings, "one")
            async with connection(settings.listen) as (reader, writer):
                writer.write(codec.open(primary.endpoint, frame(SOA), time.time()))
                assert codec.feed(await reader.read(65536), time.time()) == [ANSWER]
                wider = msgspec.structs.replace(people[0], connections=2)
                after = msgspec.structs.replace(settings, users=(wider, people[1]))
                await service.reload(EgressSettings(exit=after), list(service.sockets))
                assert await ask_stream(settings, "one", primary.endpoint, frame(SOA)) == ANSWER
                writer.write(codec.send(frame(SOA)))
                assert codec.feed(await reader.read(65536), time.time()) == [ANSWER]
                assert numbers(service)["one"].rejects == {}


def test_keys_are_in_no_repr() -> None:
    settings = msgspec.structs.replace(exit_settings(METHOD, fresh_key(METHOD), []), users=(user("one", METHOD),))
    said = repr(compile_exit(settings)) + repr(settings)
    secret, before = chain(settings, "one")
    assert settings.users[0].key.reveal() not in said
    assert repr(secret) not in said
    assert repr(before[0]) not in said


def broken(method: str, users: int, key: bool) -> Exit:
    settings = exit_settings(method, fresh_key(method), [])
    names = [f"user{number}" for number in range(users)]
    return msgspec.structs.replace(
        settings, users=tuple(user(name, method) for name in names), key=settings.key if key else None
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (broken(METHOD, 0, False), "no key"),
        (broken(METHOD, 2, False), "no key"),
        (broken("2022-blake3-chacha20-poly1305", 2, True), "no identity headers"),
        (
            msgspec.structs.replace(
                broken(METHOD, 1, True), users=(msgspec.structs.replace(user("short", METHOD), key=Secret("c2hvcnQ=")),)
            ),
            "user short: the key of",
        ),
    ],
)
def test_what_does_not_fit_is_refused(settings: Exit, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        compile_exit(settings)
