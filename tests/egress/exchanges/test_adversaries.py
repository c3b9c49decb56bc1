"""Primaries that lie in each message and each sequence; nodes that ask too much; reloads at the worst moments.

What a node gets is always a beginning of what the primary sent, never its last message unless all checks passed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import dns.message
import dns.rrset
import dns.tsig
import msgspec
import pytest
from dns.rcode import Rcode

from proxy.egress.service import EgressService
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings, Limits, Transfers, TsigKey
from proxy.values import Endpoint, Secret
from tests.egress.ring import (
    Events,
    ask_tcp,
    connection,
    forwarder_settings,
    is_closed,
    read_message,
    running,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, axfr_answer, soa_answer, zone_answer
from tests.support.peers import auntil

AXFR = dns.message.make_query("example.com", "AXFR", id=2).to_wire()
ZONE = axfr_answer(AXFR)
DIRECT = tunnel("direct", "direct://")
SECRET = "c2VjcmV0IG9mIHRlc3Rz"  # noqa: S105 - of this test
KEY = dns.tsig.Key("key.", SECRET)


def soa(number: int, name: str = "example.com") -> bytes:
    return dns.message.make_query(name, "SOA", id=number).to_wire()


def keyed(settings: EgressSettings) -> EgressSettings:
    return msgspec.structs.replace(settings, tsig_keys=(TsigKey(name="key", secret=Secret(SECRET)),))


async def passed(place: Endpoint, query: bytes) -> list[bytes]:
    """What a node gets before its connection ends or an answer says that it failed."""
    got = list[bytes]()
    async with connection(place) as (reader, writer):
        writer.write(frame(query))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while dns.message.from_wire(message := await read_message(reader), keyring=False).rcode() == Rcode.NOERROR:
                got.append(message)
    return got


def signed(query: bytes, request_mac: bytes, wrong: int | None) -> list[bytes]:
    """The zone with each message signed (RFC 8945 section 5.3.1); in one of them a bit of the MAC is wrong."""
    messages, context = list[bytes](), None
    for plain in axfr_answer(query):
        message = dns.message.from_wire(plain)
        message.use_tsig(KEY)
        message.request_mac = request_mac
        messages.append(message.to_wire(max_size=65535, multi=True, tsig_ctx=context))
        context = message.tsig_ctx
    if wrong is not None:
        broken = bytearray(messages[wrong])
        broken[-7] ^= 1  # behind the MAC: original ID, error, length of other data
        messages[wrong] = bytes(broken)
    return messages


@pytest.mark.parametrize("wrong", [0, 1, 2, 3, None])
async def test_a_wrong_signature_in_any_message_stops_the_transfer_there(wrong: int | None) -> None:
    query = dns.message.make_query("example.com", "AXFR", id=2)
    query.use_tsig(KEY)
    wire, events = query.to_wire(), Events()
    answer = signed(wire, query.mac or b"", wrong)
    async with ScriptedPrimary(lambda _: answer) as primary:
        settings = keyed(forwarder_settings([DIRECT], primary.endpoint, primary_more={"tsig_key": "key"}))
        listen = settings.forwarders[0].listen
        async with running(settings, events):
            if wrong is None:
                assert await ask_tcp(listen, wire, answers=len(answer)) == answer
                return
            assert await passed(listen, wire) == answer[:wrong]
            await auntil(lambda: events.named("transfer.rejected"))
            assert {each["reason"] for each in events.named("transfer.rejected")} == {"tsig-mac"}


def differences(query: bytes, links: list[tuple[int, int]], last: int) -> list[bytes]:
    """An IXFR of these sequences, each in a message of its own (RFC 1995 section 4)."""

    def version(serial: int) -> dns.rrset.RRset:
        return dns.rrset.from_text("example.com.", 60, "IN", "SOA", f"ns. host. {serial} 3600 600 86400 60")

    def host(serial: int) -> dns.rrset.RRset:
        return dns.rrset.from_text("h.example.com.", 60, "IN", "A", f"192.0.2.{serial}")

    parts = [[version(last)], *([version(a), host(a), version(b), host(b)] for a, b in links), [version(last)]]
    messages = []
    for rows in parts:
        message = dns.message.make_response(dns.message.from_wire(query))
        message.answer.extend(rows)
        messages.append(message.to_wire())
    return messages


@pytest.mark.parametrize("broken", [0, 1, 2, 3, None])
async def test_a_chain_of_differences_that_breaks_at_any_sequence_never_ends(broken: int | None) -> None:
    query = dns.message.make_query("example.com", "IXFR", id=3)
    query.authority.append(dns.rrset.from_text("example.com.", 0, "IN", "SOA", "ns. host. 1 3600 600 86400 60"))
    links = [(number, number + 1) for number in range(1, 5)]
    if broken is not None:
        links[broken] = links[broken][0] + 10, links[broken][1]
    wire, events = query.to_wire(), Events()
    answer = differences(wire, links, 5)
    async with ScriptedPrimary(lambda _: answer) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings, events):
            got = await passed(settings.forwarders[0].listen, wire) if broken is not None else []
            if broken is None:
                got = await ask_tcp(settings.forwarders[0].listen, wire, answers=len(answer))
                assert got == answer
                return
            assert got == answer[: len(got)]
            assert len(got) < len(answer)
            await auntil(lambda: events.named("transfer.rejected"))
            assert {each["reason"] for each in events.named("transfer.rejected")} == {"ixfr-chain"}


async def test_a_primary_that_sends_byte_by_byte_is_too_slow() -> None:
    loop = asyncio.get_running_loop()

    def act(query: bytes, transport: asyncio.Transport) -> None:
        data = iter(b"".join(map(frame, ZONE)))

        def drip() -> None:
            if not transport.is_closing() and (byte := next(data, None)) is not None:
                transport.write(bytes((byte,)))
                loop.call_later(0.01, drip)

        drip()

    limits, events = Limits(rate_bytes=1000, rate_seconds=0.4), Events()
    async with ScriptedPrimary(act=act) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, primary_more={"limits": limits})
        async with running(settings, events):
            assert await passed(settings.forwarders[0].listen, AXFR) == []
            assert {each["reason"] for each in events.named("transfer.rejected")} == {"too-slow"}
            await auntil(lambda: not primary.connections)


# Nodes that ask too much.


async def test_thousands_of_queries_with_one_id_are_answered_one_behind_the_other() -> None:
    count, more = 3000, {"soa_rate": 1e6, "soa_burst": 1_000_000}
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, primary_more=more)
        async with running(settings) as near:
            answers = await ask_tcp(settings.forwarders[0].listen, *[soa(7)] * count)
            assert answers == soa_answer(soa(7)) * count
            assert near.status().primaries[0].connections_opened == 1


async def test_answers_out_of_order_and_answers_to_nothing_do_no_harm() -> None:
    rng, held = random.Random(5), list[bytes]()  # noqa: S311 - repeatable

    def act(query: bytes, transport: asyncio.Transport) -> None:
        held.append(soa_answer(query)[0])
        if len(held) == 8:
            rng.shuffle(held)
            strangers = [soa_answer(soa(number))[0] for number in (900, 901)]
            transport.write(b"".join(map(frame, [*strangers, *held, *strangers])))
            held.clear()

    async with ScriptedPrimary(act=act) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as near:
            for start in (0, 10, 20):
                queries = [soa(start + number) for number in range(8)]
                answers = await ask_tcp(settings.forwarders[0].listen, *queries)
                assert sorted(answers) == sorted(soa_answer(query)[0] for query in queries)
            assert near.status().tunnels[0].failures == {}


async def test_a_node_that_closes_its_side_gives_its_place_to_the_next() -> None:
    async with ScriptedPrimary(lambda query: ZONE[:1] if len(primary.asked_tcp) == 1 else ZONE) as primary:
        settings = one_place(forwarder_settings([DIRECT], primary.endpoint))
        listen = settings.forwarders[0].listen
        async with running(settings) as near, connection(listen) as (reader, writer):
            writer.write(frame(AXFR))
            assert await read_message(reader) == ZONE[0]
            waiting = asyncio.create_task(ask_tcp(listen, AXFR, answers=len(ZONE)))
            await auntil(lambda: near.status().primaries[0].waiting["transfer"] == 1)
            writer.write_eof()
            assert await waiting == ZONE


# Reload and the end, with one transfer that runs and one that waits for its place.


def one_place(settings: EgressSettings) -> EgressSettings:
    return msgspec.structs.replace(settings, transfers=Transfers(parallel=1))


async def begin_two(near: EgressService, listen: Endpoint) -> list[asyncio.Task[list[bytes]]]:
    """Two nodes that want the zone; the second waits for its turn."""
    nodes = []
    for waiting in (0, 1):
        nodes.append(asyncio.create_task(ask_tcp(listen, AXFR, answers=len(ZONE))))
        await auntil(lambda: near.status().primaries[0].waiting["transfer"] == waiting)  # noqa: B023 - awaited here
        await auntil(lambda: near.status().primaries[0].transfers_running == 1)
    return nodes


async def test_a_reload_that_takes_the_tunnel_away_ends_neither_what_runs_nor_what_waits() -> None:
    async with ScriptedPrimary(lambda query: ZONE[:1] if len(primary.asked_tcp) == 1 else ZONE) as primary:
        settings = one_place(forwarder_settings([DIRECT], primary.endpoint))
        listen = settings.forwarders[0].listen
        other = one_place(forwarder_settings([tunnel("other", "direct://")], primary.endpoint, listen))
        async with running(settings) as near:
            nodes = await begin_two(near, listen)
            await auntil(lambda: len(primary.asked_tcp) == 1)
            await near.reload(other, near.sockets)
            for way in primary.connections:
                way.write(b"".join(map(frame, ZONE[1:])))
            assert await asyncio.gather(*nodes) == [ZONE, ZONE]
            assert await ask_tcp(listen, AXFR, answers=len(ZONE)) == ZONE
            assert near.status().tunnels[0].name == "other"
            await auntil(lambda: near.status().primaries[0].transfers_running == 0)
            await auntil(lambda: len(primary.connections) == 1, what="connections of the old plan to be closed")


async def is_shut(place: Endpoint) -> bool:
    """Whether nothing listens there any more."""
    try:
        async with connection(place):
            return False
    except ConnectionRefusedError:
        return True


async def test_the_end_waits_for_transfers_and_takes_no_queries_on_open_connections() -> None:
    async with ScriptedPrimary(zone_answer) as primary:
        primary.act = lambda query, transport: transport.write(frame(ZONE[0]))
        settings = one_place(forwarder_settings([DIRECT], primary.endpoint))
        listen = settings.forwarders[0].listen
        async with running(settings) as near, connection(listen) as (reader, writer):
            writer.write(frame(AXFR))
            assert await read_message(reader) == ZONE[0]
            ending = asyncio.create_task(near.drain(20))
            await auntil(lambda: is_shut(listen))
            writer.write(frame(soa(9)))
            for way in primary.connections:
                way.write(b"".join(map(frame, ZONE[1:])))
            assert [await read_message(reader) for _ in ZONE[1:]] == ZONE[1:]
            assert await is_closed(reader)
            assert primary.asked_tcp == [AXFR]
            await ending


async def test_an_end_without_patience_leaves_nothing_that_waits() -> None:
    async with ScriptedPrimary(lambda query: ZONE[:1]) as primary:
        settings = one_place(forwarder_settings([DIRECT], primary.endpoint))
        async with running(settings) as near:
            nodes = await begin_two(near, settings.forwarders[0].listen)
            await near.drain(0)
            failures = await asyncio.gather(*nodes, return_exceptions=True)
            assert all(isinstance(each, asyncio.IncompleteReadError | ConnectionResetError) for each in failures)
            await auntil(lambda: not near.status().primaries[0].transfers_running)
            assert near.status().primaries[0].waiting == {"soa": 0, "transfer": 0}
            await auntil(lambda: not primary.connections)
            assert len(primary.asked_tcp) == 1
