"""XoT through the forwarder: a scripted primary behind TLS, our exit between, and everything that can go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncio_dgram
import dns.flags
import dns.message
import msgspec
import pytest
from dns.rcode import Rcode

from proxy.egress.status import PrimaryTlsStatus
from proxy.protocol.dns_frames import FrameReader, frame
from proxy.settings import EgressSettings, PrimaryTls
from proxy.values import Endpoint, KeyPin
from tests.egress.ring import (
    Events,
    ask_tcp,
    ask_udp,
    connection,
    exit_settings,
    forwarder_settings,
    fresh_endpoint,
    fresh_key,
    read_message,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import axfr_answer, soa_answer
from tests.egress.tls_peer import server_context
from tests.support.certificates import Authority
from tests.support.peers import auntil

METHOD = "2022-blake3-aes-128-gcm"
NAME = "ns.primary.example"
SOA = dns.message.make_query("example.com", "SOA").to_wire()
AXFR = dns.message.make_query("example.com", "AXFR").to_wire()
MESSAGES = axfr_answer(AXFR, records=36_000, per_message=600)  # a megabyte

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A primary that does what it should."""
    frames = FrameReader()
    while data := await reader.read(65536):
        for query in frames.feed(data):
            for message in MESSAGES if query == AXFR else soa_answer(query):
                writer.write(frame(message))
        await writer.drain()


@asynccontextmanager
async def primary(context: ssl.SSLContext | None, handle: Handle = answer) -> AsyncIterator[Endpoint]:
    """One that handles its connections so, and that leaves none open."""
    place, serving = fresh_endpoint(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):  # the gateway gave up
                await handle(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(accept, *place.sockaddr, ssl=context)
    try:
        yield place
    finally:
        server.close()
        for task in serving:
            task.cancel()
        if serving:
            await asyncio.wait(serving)


def with_tls(settings: EgressSettings, tls: PrimaryTls) -> EgressSettings:
    (one,) = settings.primaries
    return msgspec.structs.replace(settings, primaries=(msgspec.structs.replace(one, tls=tls),))


@asynccontextmanager
async def ring(
    place: Endpoint, tls: PrimaryTls, events: Events | None = None, idle_timeout: float = 60.0
) -> AsyncIterator[tuple[Endpoint, Callable[[], PrimaryTlsStatus]]]:
    """A forwarder with a tunnel to our exit; where it listens, and what it says of TLS."""
    key, far = fresh_key(METHOD), fresh_endpoint()
    plain = forwarder_settings([tunnel("t", ss_url(METHOD, key, far))], place, idle_timeout=idle_timeout)
    settings = with_tls(plain, tls)
    at_exit = EgressSettings(exit=exit_settings(METHOD, key, [place], far))
    async with running(at_exit), running(settings, events) as near:
        yield settings.forwarders[0].listen, lambda: near.status().tls[0]


def trusting(authority: Authority, **more: object) -> PrimaryTls:
    return PrimaryTls(server_name=NAME, ca=str(authority.file), **more)  # type: ignore[arg-type]  # by name


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int, seen: bytearray) -> None:
    """Pass so many bytes on, then close."""
    while len(seen) < most and (data := await reader.read(min(most - len(seen), 65536))):
        seen += data
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def relay(behind: Endpoint, kept: int = 1 << 30) -> AsyncIterator[tuple[Endpoint, bytearray, bytearray]]:
    """A wire that can be looked at, and that ends behind so many bytes of the primary: its address, and what passed."""
    forth, back = bytearray(), bytearray()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(*behind.sockaddr)
        queries = asyncio.create_task(copy(reader, there, 1 << 30, forth))
        try:
            with contextlib.suppress(OSError):
                await copy(there_reader, writer, kept, back)
        finally:
            queries.cancel()
            there.transport.abort()

    async with primary(None, pass_on) as place:
        yield place, forth, back


async def until_over(reader: asyncio.StreamReader) -> bytes:
    """What a node gets of an answer before its connection ends, or before it is told that there is none."""
    got = b""
    with contextlib.suppress(ConnectionResetError, asyncio.IncompleteReadError):
        while dns.message.from_wire(message := await read_message(reader)).rcode() != Rcode.SERVFAIL:
            got += frame(message)
    return got


async def test_queries_and_a_transfer_pass_and_tickets_make_the_next_handshakes_short(tmp_path: Path) -> None:
    authority, events = Authority(tmp_path), Events()
    async with (
        primary(server_context(authority.issue(NAME))) as place,
        ring(place, trusting(authority), events) as (forwarder, status),
    ):
        assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        for _ in range(2):
            assert await ask_tcp(forwarder, AXFR, answers=len(MESSAGES)) == MESSAGES
        assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        seen = status()
        assert seen.handshakes >= 1
        assert seen.resumed == seen.handshakes - 1
        assert (seen.failures, seen.expires_in) == ({}, None)
        assert {name for name, _ in events.seen} == {"transfer.accepted"}


async def test_a_udp_query_never_leaves_in_the_clear(tmp_path: Path) -> None:
    authority, came = Authority(tmp_path), list[bytes]()
    async with primary(server_context(authority.issue(NAME))) as place:
        door = await asyncio_dgram.bind(place.sockaddr)
        listening = asyncio.create_task(door.recv())
        listening.add_done_callback(lambda done: came.append(b"" if done.cancelled() else done.result()[0]))
        async with ring(place, trusting(authority)) as (forwarder, _):
            answer = dns.message.from_wire(await ask_udp(forwarder, SOA))
            assert answer.answer
            assert not answer.flags & dns.flags.TC
            assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
            assert came == []
        listening.cancel()
        door.close()


async def test_without_resumption_every_handshake_is_a_whole_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        primary(server_context(authority.issue(NAME))) as place,
        ring(place, trusting(authority, resumption=False)) as (forwarder, status),
    ):
        for _ in range(2):
            assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        assert status().resumed == 0


async def test_the_exit_sees_nothing_of_a_query_or_an_answer(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        primary(server_context(authority.issue(NAME))) as behind,
        relay(behind) as (place, forth, back),
        ring(place, trusting(authority)) as (forwarder, _),
    ):
        assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        assert await ask_tcp(forwarder, AXFR, answers=len(MESSAGES)) == MESSAGES
        assert len(back) > 500_000
        assert b"\x07example\x03com" not in forth + back
        assert MESSAGES[5][100:200] not in back


async def test_pins_and_mutual_tls(tmp_path: Path) -> None:
    authority, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs").issue(NAME)
    ours = authority.issue("gateway.example")
    tls = PrimaryTls(pins=(KeyPin.parse(theirs.pin),), certificate=str(ours.file), key=str(ours.key))
    context = server_context(theirs, clients=authority.file)
    async with primary(context) as place, ring(place, tls) as (forwarder, status):
        assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        left = status().expires_in
        assert left is not None
        assert 3000 < left <= 3600


async def test_a_primary_that_wants_a_certificate_and_gets_none_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = server_context(authority.issue(NAME), clients=authority.file)
    async with (
        primary(context) as place,
        ring(place, trusting(authority)) as (forwarder, status),
        connection(forwarder) as (reader, writer),
    ):
        writer.write(frame(SOA))
        assert await until_over(reader) == b""
        # Python's server closes without sending the alert that it has, and so does BIND.
        assert status().failures == {"tls-closed": 1}
        assert "wants a certificate" in str(status().last_error)


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads, and says nothing."""
    while await reader.read(65536):
        pass


async def stall_within(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begins to answer, and no more."""
    await reader.read(10)
    writer.write(b"\x16\x03\x03")
    await stall(reader, writer)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"220 mail.example ESMTP\r\n" * 10)
    await stall(reader, writer)


async def close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)


@pytest.mark.parametrize(
    ("handle", "reason"),
    [
        (stall, "no-answer"),
        (stall_within, "tls-handshake-timeout"),
        (garbage, "tls-not-tls"),
        (close_at_once, "closed"),
    ],
)
async def test_what_is_no_tls_is_named_and_the_node_gets_no_byte(tmp_path: Path, handle: Handle, reason: str) -> None:
    events, tls = Events(), trusting(Authority(tmp_path), handshake_timeout=0.3)
    async with (
        primary(None, handle) as place,
        ring(place, tls, events, idle_timeout=1.0) as (forwarder, status),
        connection(forwarder) as (reader, writer),
    ):
        writer.write(frame(SOA))
        assert await until_over(reader) == b""
        assert status().failures.keys() == {reason}
        assert events.named("primary.tls-failed")[0]["reason"] == reason


async def test_a_primary_that_does_not_hold_is_told_once_and_when_it_holds_again(tmp_path: Path) -> None:
    authority, events = Authority(tmp_path), Events()
    good, bad = authority.issue(NAME), authority.issue("other.example")
    shown = server_context(bad)
    async with primary(shown) as place, ring(place, trusting(authority), events) as (forwarder, status):
        for _ in range(2):
            async with connection(forwarder) as (reader, writer):
                writer.write(frame(SOA))
                assert await until_over(reader) == b""
        assert status().failures == {"tls-wrong-name": 2}
        shown.load_cert_chain(good.file, good.key)
        assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
        told = [name for name, _ in events.seen if name.startswith("primary.tls-")]
        assert told == ["primary.tls-failed", "primary.tls-recovered"]
        (failed,) = events.named("primary.tls-failed")
        assert "another name" in str(failed["error"])
        assert (failed["primary"], failed["tunnel"]) == ("primary", "t")


@pytest.mark.parametrize("kept", [5, 700, 20_000, 500_000])
async def test_a_stream_cut_without_a_word_of_tls_is_no_whole_transfer(tmp_path: Path, kept: int) -> None:
    """Cut within the handshake, or within the transfer."""
    authority = Authority(tmp_path)
    async with (
        primary(server_context(authority.issue(NAME))) as behind,
        relay(behind, kept) as (place, _, _),
        ring(place, trusting(authority)) as (forwarder, status),
        connection(forwarder) as (reader, writer),
    ):
        writer.write(frame(AXFR))
        got = await until_over(reader)
        assert len(got) < kept
        assert b"".join(map(frame, MESSAGES)).startswith(got)
        assert status().failures.keys() <= {"cut", "tls-closed", "tls-handshake-cut"}
        assert sum(status().failures.values()) >= 1


async def test_a_certificate_that_is_renewed_is_taken_by_a_reload_and_a_bad_one_is_not(tmp_path: Path) -> None:
    authority, events = Authority(tmp_path), Events()
    theirs = authority.issue(NAME)
    ours = authority.issue("gateway.example")
    tls = trusting(authority, certificate=str(ours.file), key=str(ours.key))
    settings = with_tls(forwarder_settings([tunnel("t", "direct://")], fresh_endpoint()), tls)
    async with primary(server_context(theirs, clients=authority.file)) as place:
        (one,) = settings.primaries
        settings = msgspec.structs.replace(settings, primaries=(msgspec.structs.replace(one, address=place),))
        async with running(settings, events) as near:
            forwarder = settings.forwarders[0].listen
            for _ in range(2):
                assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
            await near.reload(settings, near.sockets)
            assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
            before = near.status().tls[0]
            assert before.resumed >= 1, "a reload that finds nothing new keeps the tickets"
            authority.issue("gateway.example")
            await near.reload(settings, near.sockets)
            assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)
            after = near.status().tls[0]
            assert after.handshakes > before.handshakes
            assert after.resumed == before.resumed, "another certificate, no tickets of the one before"
            assert len(events.named("primary.tls-renewed")) == 1
            ours.key.write_text("-----BEGIN PRIVATE KEY-----\n")
            with pytest.raises(ValueError, match="no readable private key"):
                await near.reload(settings, near.sockets)
            assert await ask_tcp(forwarder, SOA) == soa_answer(SOA)


async def test_files_gone_bad_while_the_process_was_away_cost_their_primary_only(tmp_path: Path) -> None:
    authority, events = Authority(tmp_path), Events()
    async with primary(server_context(authority.issue(NAME))) as place:
        good = forwarder_settings([tunnel("t", "direct://")], place)
        settings = with_tls(good, trusting(authority))
        text = authority.file.read_bytes()
        authority.file.unlink()
        async with running(settings, events) as near:
            (told,) = events.named("primary.tls-failed")
            assert told["reason"] == "tls-files"
            assert str(authority.file) in str(told["error"])
            async with connection(settings.forwarders[0].listen) as (reader, writer):
                writer.write(frame(SOA))
                assert await until_over(reader) == b""
            assert near.status().tls[0].failures == {"tls-files": 1}
            authority.file.write_bytes(text)
            await near.reload(settings, near.sockets)
            assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)


async def test_a_node_that_leaves_leaves_nothing_open(tmp_path: Path) -> None:
    authority, open_there = Authority(tmp_path), [0]

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_there[0] += 1
        try:
            await answer(reader, writer)
        finally:
            open_there[0] -= 1

    async with (
        primary(server_context(authority.issue(NAME)), counted) as place,
        ring(place, trusting(authority)) as (forwarder, _),
    ):
        async with connection(forwarder) as (reader, writer):
            writer.write(frame(SOA))
            assert await reader.readexactly(2)
            assert open_there == [1]
        await auntil(lambda: open_there == [0])
