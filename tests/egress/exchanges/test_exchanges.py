"""Exchanges through a forwarder: connections that are used again, failures at every place, and primaries that lie."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from functools import cache

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import dns.tsigkeyring
import pytest
from dns.rcode import Rcode

from proxy.egress.direct import DirectTunnel
from proxy.egress.exchanges.judge import Learned
from proxy.egress.service import EgressService
from proxy.egress.sockets import open_egress_sockets
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings, Limits, TsigKey
from proxy.values import Endpoint, Secret
from tests.egress.ring import (
    Events,
    ask_tcp,
    ask_udp,
    connection,
    exit_settings,
    exit_status,
    forwarder_settings,
    fresh_key,
    is_closed,
    read_message,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, axfr_answer, soa_answer, zone_answer
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA", id=1).to_wire()
AXFR = dns.message.make_query("example.com", "AXFR", id=2).to_wire()
ZONE = axfr_answer(AXFR)
DIRECT = tunnel("direct", "direct://")
OTHER = tunnel("other", "direct://")


def soa(number: int, name: str = "example.com") -> bytes:
    return dns.message.make_query(name, "SOA", id=number).to_wire()


def ixfr(serial: int = 7) -> bytes:
    query = dns.message.make_query("example.com", "IXFR", id=3)
    query.authority.append(
        dns.rrset.from_text("example.com.", 0, "IN", "SOA", f"ns. hostmaster. {serial} 3600 600 86400 60")
    )
    return query.to_wire()


def rcode(answer: bytes) -> Rcode:
    return dns.message.from_wire(answer).rcode()


def edited(messages: list[bytes], at: int, edit: Callable[[dns.message.Message], None]) -> list[bytes]:
    """The messages with one of them changed."""
    changed = dns.message.from_wire(messages[at])
    edit(changed)
    return [*messages[:at], changed.to_wire(max_size=65535), *messages[at + 1 :]]


# Connections.


async def test_a_connection_is_used_again_by_all_nodes() -> None:
    async with ScriptedPrimary(zone_answer) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(settings) as near:
            for number in range(5):
                assert await ask_tcp(listen, soa(number)) == soa_answer(soa(number))
                assert await ask_tcp(listen, AXFR, answers=len(ZONE)) == ZONE
            assert primary.accepted == 1
            (status,) = near.status().primaries
            assert (status.connections_opened, status.connections_reused, status.connections_open) == (1, 9, 1)


async def test_a_connection_on_which_more_comes_than_was_asked_for_is_not_used_again() -> None:
    def act(query: bytes, transport: asyncio.Transport) -> None:
        messages = soa_answer(query)
        if dns.message.from_wire(query).question[0].rdtype == dns.rdatatype.IXFR:
            messages += axfr_answer(query)[1:]  # a whole zone, its SOA alone in the first message
        transport.write(b"".join(map(frame, messages)))

    async with ScriptedPrimary(act=act) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(settings):
            for accepted in (1, 2, 3):
                assert await ask_tcp(listen, ixfr(7)) == soa_answer(ixfr(7))
                assert primary.accepted == accepted
            assert await ask_tcp(listen, soa(3)) == soa_answer(soa(3))


def transfer_and_leave(listen: Endpoint) -> None:
    """As NSD and PowerDNS do it: the connection is closed as soon as the last message is there."""
    with socket.create_connection(listen.sockaddr, 5) as node, node.makefile("rb") as answers:
        node.sendall(frame(AXFR))
        assert [answers.read(int.from_bytes(answers.read(2))) for _ in ZONE] == ZONE
        node.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_what_a_node_has_counts_though_it_leaves_at_once() -> None:
    """The end of its connection may be seen before the exchange has looked at the verdict."""
    learned, transfers = list[Learned](), 60
    async with ScriptedPrimary(zone_answer) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        events = Events()
        service = EgressService(
            settings=settings, sockets=open_egress_sockets(settings), emit=events, learned=learned.append
        )
        await service.start()
        try:
            for _ in range(transfers):
                await asyncio.to_thread(transfer_and_leave, settings.forwarders[0].listen)
            await auntil(lambda: service.status().forwarders[0].connections_open == 0)
        finally:
            await service.drain(0)
        assert len(events.named("transfer.accepted")) == len(learned) == transfers


async def test_soa_checks_share_a_connection_and_do_not_wait_behind_a_transfer() -> None:
    begun = ZONE[0]

    def script(query: bytes) -> list[bytes]:
        return [begun] if query == AXFR else soa_answer(query)

    async with ScriptedPrimary(script) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(settings), connection(listen) as (reader, writer):
            writer.write(frame(AXFR))
            assert await read_message(reader) == begun
            queries = [soa(number) for number in range(10, 18)]
            writer.write(b"".join(map(frame, queries)))
            answers = [await read_message(reader) for _ in queries]
            assert sorted(answers) == sorted(soa_answer(query)[0] for query in queries)
            assert primary.accepted == 2
            for asked in primary.connections:
                asked.write(b"".join(map(frame, ZONE[1:])))
            assert [await read_message(reader) for _ in ZONE[1:]] == ZONE[1:]


async def test_queries_with_one_id_use_two_connections_and_the_id_stays() -> None:
    queries = [soa(7, "a.example"), soa(7, "b.example")]
    async with ScriptedPrimary(lambda query: []) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings):
            asked = [asyncio.create_task(ask_tcp(settings.forwarders[0].listen, query)) for query in queries]
            await auntil(lambda: len(primary.asked_tcp) == 2)
            assert sorted(primary.asked_tcp) == sorted(queries)
            assert primary.accepted == 2
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


async def test_a_primary_that_closes_behind_each_answer_is_remembered() -> None:
    def act(query: bytes, transport: asyncio.Transport) -> None:
        transport.write(frame(soa_answer(query)[0]))
        transport.close()

    async with ScriptedPrimary(act=act) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as near:
            for number in range(6):
                assert await ask_tcp(settings.forwarders[0].listen, soa(number)) == soa_answer(soa(number))
            queries = [soa(number) for number in range(20, 30)]
            assert len(await ask_tcp(settings.forwarders[0].listen, *queries)) == 10
            assert near.status().primaries[0].connections_reused <= 1
            assert near.status().tunnels[0].failures == {}
            assert near.status().forwarders[0].refused == {}


async def test_a_primary_that_closes_while_others_wait_gets_one_at_a_time() -> None:
    """All are answered; who was behind the first goes on a connection of its own, and it is nobody's failure."""

    def act(query: bytes, transport: asyncio.Transport) -> None:
        if not transport.is_closing():
            transport.write(frame(soa_answer(query)[0]))
            transport.close()

    async with ScriptedPrimary(act=act) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as near:
            for start in (0, 100):
                queries = [soa(start + number) for number in range(20)]
                answers = await ask_tcp(settings.forwarders[0].listen, *queries)
                assert sorted(answers) == sorted(soa_answer(query)[0] for query in queries)
            assert near.status().tunnels[0].failures == {}


async def test_a_connection_that_the_primary_closed_while_it_was_idle_is_no_failure() -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(settings) as near:
            for number in range(10):
                for idle in tuple(primary.connections):
                    idle.close()  # seen by us before the query, with it, or behind it
                for _ in range(number % 3):
                    await asyncio.sleep(0)
                assert await ask_tcp(listen, soa(number)) == soa_answer(soa(number))
            assert near.status().tunnels[0].failures == {}


# Failures.


async def test_a_transfer_that_is_cut_behind_any_byte_is_never_whole() -> None:
    """For every n: a node gets a beginning of the transfer without its last message, then the end, or SERVFAIL."""
    zone = axfr_answer(AXFR, records=6, per_message=3)
    wire, last = b"".join(map(frame, zone)), frame(zone[-1])
    kept = 0

    def act(query: bytes, transport: asyncio.Transport) -> None:
        transport.write(wire[:kept])
        transport.close()

    async with ScriptedPrimary(act=act) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as near:
            for kept in range(len(wire)):
                async with connection(settings.forwarders[0].listen) as (reader, writer):
                    writer.write(frame(AXFR))
                    got = bytearray()
                    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
                        while rcode(message := await read_message(reader)) == Rcode.NOERROR:
                            got += frame(message)
                    assert len(got) <= min(kept, len(wire) - len(last))
                    assert wire.startswith(got)
            assert not any(reason == "accepted" for _, reason, _ in near.status().forwarders[0].verdicts)
            kept = len(wire)
            assert await ask_tcp(settings.forwarders[0].listen, AXFR, answers=len(zone)) == zone


def _ending(records: list[str]) -> Callable[[dns.message.Message], None]:
    def edit(message: dns.message.Message) -> None:
        for record in records:
            name, ttl, class_, kind, data = record.split(" ", 4)
            message.answer.append(dns.rrset.from_text(name, int(ttl), class_, kind, data))

    return edit


def _no_end(message: dns.message.Message) -> None:
    message.answer = [each for each in message.answer if each.rdtype != dns.rdatatype.SOA]


LIES: list[tuple[list[bytes], str]] = [
    (edited(ZONE, 1, _ending(["www.example.org. 60 IN A 192.0.2.1"])), "out-of-zone"),
    (edited(ZONE, -1, _ending(["x.example.com. 60 IN A 192.0.2.1"])), "after-end"),
    (axfr_answer(AXFR)[:-1] + axfr_answer(AXFR, serial=8)[-1:], "soa-changed"),
    ([*ZONE[:1], ZONE[1][:-3], *ZONE[2:]], "record-cut"),
    ([ZONE[0], ZONE[1][:12] + b"\xc0\x0c" * 20, *ZONE[2:]], ""),  # a name that points to itself
    (edited(ZONE, 2, lambda message: message.set_rcode(Rcode.SERVFAIL)), "later-error"),
]


@pytest.mark.parametrize(("lie", "reason"), LIES, ids=[reason or "loop" for _, reason in LIES])
async def test_a_lie_behind_the_first_message_closes_the_node_and_has_a_name(lie: list[bytes], reason: str) -> None:
    events = Events()
    async with ScriptedPrimary(lambda query: lie) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings, events) as near:
            async with connection(settings.forwarders[0].listen) as (reader, writer):
                writer.write(frame(AXFR))
                got = list[bytes]()
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
                    while True:
                        got.append(await read_message(reader))
                assert len(got) < len(ZONE)
                assert got == ZONE[: len(got)]
            (rejected,) = events.named("transfer.rejected")
            assert rejected["reason"] == reason or not reason
            assert rejected["detail"]
            assert events.named("transfer.accepted") == []
            assert near.status().tunnels[0].failures == {}  # it was not the tunnel's fault


async def test_an_answer_that_is_rejected_before_anything_passed_is_tried_through_the_next_tunnel() -> None:
    lie = soa_answer(soa(9, "example.org"))[0]
    events, asked = Events(), 0

    def script(query: bytes) -> list[bytes]:
        nonlocal asked
        asked += 1
        return [query[:2] + lie[2:]] if asked == 1 else zone_answer(query)

    async with ScriptedPrimary(script) as primary:
        settings = forwarder_settings([DIRECT, OTHER], primary.endpoint)
        async with running(settings, events):
            assert await ask_tcp(settings.forwarders[0].listen, AXFR, answers=len(ZONE)) == ZONE
            await auntil(lambda: events.named("transfer.accepted"))
            (rejected,) = events.named("transfer.rejected")
            (accepted,) = events.named("transfer.accepted")
            assert (rejected["tunnel"], rejected["reason"]) == ("direct", "question")
            assert (accepted["tunnel"], accepted["records"], accepted["serial"]) == ("other", 32, 7)


async def test_a_refusal_is_tried_through_the_next_tunnel_and_then_passed_on() -> None:
    def refuse(query: bytes) -> list[bytes]:
        response = dns.message.make_response(dns.message.from_wire(query))
        response.set_rcode(Rcode.REFUSED)
        return [response.to_wire()]

    events = Events()
    async with ScriptedPrimary(refuse) as primary:
        settings = forwarder_settings([DIRECT, OTHER], primary.endpoint)
        async with running(settings, events) as near:
            assert await ask_tcp(settings.forwarders[0].listen, AXFR) == refuse(AXFR)
            assert primary.asked_tcp == [AXFR, AXFR]
            assert [each.streams_total for each in near.status().tunnels] == [1, 1]
            assert await ask_udp(settings.forwarders[0].listen, SOA) == refuse(SOA)[0]
            assert primary.asked_udp == [SOA, SOA]
            assert near.status().forwarders[0].errors == {"REFUSED": 4}
            told = events.named("transfer.primary-refused")
            assert [each["tunnel"] for each in told] == ["direct", "other"]
            assert told[0]["node"] == "127.0.0.1"
            assert "exit's address" in str(told[0]["remedy"])


async def test_a_soa_check_that_one_exit_is_refused_is_answered_through_the_next() -> None:
    """Over UDP too: a node would take REFUSED for the primary's last word."""

    def script(query: bytes) -> list[bytes]:
        response = dns.message.make_response(dns.message.from_wire(query))
        response.set_rcode(Rcode.REFUSED)
        return [response.to_wire()] if len(primary.asked_udp) == 1 else soa_answer(query)

    async with ScriptedPrimary(script) as primary:
        settings = forwarder_settings([DIRECT, OTHER], primary.endpoint)
        async with running(settings):
            assert await ask_udp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)[0]
            assert primary.asked_udp == [SOA, SOA]


async def test_a_tunnel_that_dies_inside_a_transfer_closes_the_node_at_once() -> None:
    key = fresh_key("2022-blake3-aes-128-gcm")
    async with ScriptedPrimary(lambda query: ZONE[:2]) as primary:
        exit_ = exit_settings("2022-blake3-aes-128-gcm", key, [primary.endpoint])
        ways = [tunnel("dies", ss_url("2022-blake3-aes-128-gcm", key, exit_.listen)), DIRECT]
        settings = forwarder_settings(ways, primary.endpoint)
        async with running(settings) as near, connection(settings.forwarders[0].listen) as (reader, writer):
            async with running(EgressSettings(exit=exit_)) as far:
                writer.write(frame(AXFR))
                assert [await read_message(reader) for _ in range(2)] == ZONE[:2]
                assert exit_status(far).streams_open == 1
            assert await is_closed(reader)
            assert near.status().tunnels[1].streams_total == 0  # half an answer is not completed elsewhere
            primary.script = zone_answer
            assert await ask_tcp(settings.forwarders[0].listen, AXFR, answers=len(ZONE)) == ZONE
            assert near.status().tunnels[1].streams_total == 1


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(records=20), "too-many-records"),
        (Limits(bytes=600), "too-many-bytes"),
        (Limits(messages=2), "too-many-messages"),
    ],
)
async def test_limits_of_the_settings_hold(limits: Limits, reason: str) -> None:
    async with ScriptedPrimary(zone_answer) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, primary_more={"limits": limits})
        async with running(settings) as near:
            async with connection(settings.forwarders[0].listen) as (reader, writer):
                writer.write(frame(AXFR))
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
                    while rcode(await read_message(reader)) != Rcode.SERVFAIL:
                        continue
            assert near.status().forwarders[0].verdicts == (("axfr", reason, 1),)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(idle=0.2), "idle"),
        (Limits(seconds=0.2), "too-long"),
        (Limits(rate_bytes=1_000_000, rate_seconds=0.2), "too-slow"),
    ],
)
async def test_a_primary_that_stalls_is_given_up(limits: Limits, reason: str) -> None:
    async with ScriptedPrimary(lambda query: ZONE[:2]) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, primary_more={"limits": limits})
        async with running(settings) as near, connection(settings.forwarders[0].listen) as (reader, writer):
            writer.write(frame(AXFR))
            assert [await read_message(reader) for _ in range(2)] == ZONE[:2]
            assert await is_closed(reader)
            assert near.status().forwarders[0].verdicts == (("axfr", reason, 1),)
            await auntil(lambda: not primary.connections)


# UDP where there is none.


@pytest.fixture
def no_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `ssh -D`: the tunnel carries streams alone."""
    monkeypatch.setattr(DirectTunnel, "carries_udp", property(lambda _: False, lambda *_: None), raising=False)


@pytest.mark.usefixtures("no_udp")
async def test_without_datagrams_soa_checks_take_the_stream_and_large_answers_are_truncated() -> None:
    @cache  # the order of records within an RRset is drawn anew each time
    def script(query: bytes) -> list[bytes]:
        response = dns.message.from_wire(soa_answer(query)[0])
        response.additional.append(dns.rrset.from_text("ns.", 60, "IN", "TXT", *[f'"{n:0200}"' for n in range(9)]))
        return [response.to_wire()] if query[1] == 9 else soa_answer(query)

    async with ScriptedPrimary(script) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(settings):
            assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
            cut = dns.message.from_wire(await ask_udp(listen, soa(9)))
            assert cut.flags & dns.flags.TC
            assert cut.answer == []
            roomy = dns.message.make_query("example.com", "SOA", id=9, use_edns=0, payload=4096).to_wire()
            assert await ask_udp(listen, roomy) == script(roomy)[0]
            sent = dns.message.from_wire(await ask_udp(listen, ixfr()))
            assert sent.flags & dns.flags.TC
            assert primary.asked_udp == []
            assert primary.asked_tcp == [SOA, soa(9), roomy]  # the IXFR was not carried for nothing


async def test_a_datagram_that_is_rejected_is_asked_again_over_tcp() -> None:
    """It may be forged. Over TCP nobody off the way can answer."""
    async with ScriptedPrimary(lambda query: [soa_answer(query)[0] + b"\0"]) as primary:
        primary.act = lambda query, transport: transport.write(frame(soa_answer(query)[0]))
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings):
            assert await ask_udp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)[0]
            assert (primary.asked_udp, primary.asked_tcp) == ([SOA], [SOA])


async def test_axfr_over_udp_and_an_ixfr_without_its_serial_are_answered_by_us() -> None:
    bare = dns.message.make_query("example.com", "IXFR").to_wire()
    async with ScriptedPrimary(zone_answer) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(settings):
            assert rcode(await ask_udp(listen, AXFR)) == Rcode.REFUSED
            assert rcode(await ask_udp(listen, bare)) == Rcode.FORMERR
            assert list(map(rcode, await ask_tcp(listen, bare))) == [Rcode.FORMERR]
            assert (primary.asked_udp, primary.asked_tcp) == ([], [])


# Keys, and what is learned.


async def test_a_key_of_the_primary_must_sign_and_its_signatures_are_verified() -> None:
    secret, other = "c2VjcmV0IG9mIHRlc3Rz", "b3RoZXI="
    keys, wrong = dns.tsigkeyring.from_text({"key.": secret}), dns.tsigkeyring.from_text({"key.": other})
    query = dns.message.make_query("example.com", "SOA", id=5)
    query.use_tsig(keys)
    signed = query.to_wire()

    def sign_wrongly(message: bytes) -> list[bytes]:
        answer = dns.message.from_wire(soa_answer(SOA)[0])
        answer.id = 5
        answer.use_tsig(wrong)
        return [answer.to_wire()]

    async with ScriptedPrimary() as primary:
        plain = forwarder_settings([DIRECT], primary.endpoint, primary_more={"tsig_key": "key"})
        settings = EgressSettings(
            tunnels=plain.tunnels,
            primaries=plain.primaries,
            forwarders=plain.forwarders,
            tsig_keys=(TsigKey(name="key", secret=Secret(secret)),),
        )
        listen = settings.forwarders[0].listen
        async with running(settings) as near:
            assert list(map(rcode, await ask_tcp(listen, SOA))) == [Rcode.REFUSED]
            assert rcode(await ask_udp(listen, SOA)) == Rcode.REFUSED
            assert primary.asked_tcp == primary.asked_udp == []
            (answer,) = await ask_tcp(listen, signed)
            assert dns.message.from_wire(answer, keyring=keys, request_mac=query.mac).answer
            primary.script = sign_wrongly
            assert list(map(rcode, await ask_tcp(listen, signed))) == [Rcode.SERVFAIL]
            status = near.status().forwarders[0]
            assert status.refused == {"tsig-missing": 2, "rejected": 1}
            assert {reason for _, reason, _ in status.verdicts} == {"accepted", "tsig-mac"}


async def test_what_a_transfer_brought_is_handed_on() -> None:
    learned, events = list[Learned](), Events()
    async with ScriptedPrimary(zone_answer) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        sockets = open_egress_sockets(settings)
        service = EgressService(settings=settings, sockets=sockets, emit=events, learned=learned.append)
        await service.start()
        try:
            await ask_tcp(settings.forwarders[0].listen, SOA, AXFR, answers=len(ZONE) + 1)
        finally:
            await service.drain(0)
        (one,) = learned
        assert (one.primary, one.tunnel, one.verdict.serial, one.verdict.kind) == ("primary", "direct", 7, "axfr")
        assert one.verdict.names is not None
        assert b"\x07host-29\x07example\x03com\0" in one.verdict.names
        (accepted,) = events.named("transfer.accepted")
        assert accepted["digest"] == one.verdict.digest.hex()
        assert accepted["bytes"] == sum(len(frame(message)) for message in ZONE)
