"""Node, forwarder, tunnel, exit, primary: the whole way on loopback, with our own ends and every method."""

from __future__ import annotations

import asyncio

import dns.message
import dns.rdatatype
import pytest

from proxy.egress.exit_stream import ExitStream
from proxy.egress.tunnels import make_tunnel
from proxy.protocol.dns_frames import frame
from proxy.protocol.methods import METHODS
from proxy.settings import EgressSettings, Limits
from tests.egress.ring import (
    Events,
    ask_tcp,
    ask_udp,
    connection,
    exit_settings,
    exit_status,
    forwarder_settings,
    fresh_key,
    read_message,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import KEYS, ScriptedPrimary, axfr_answer, soa_answer
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
AXFR = dns.message.make_query("example.com", "AXFR").to_wire()
METHOD = "2022-blake3-aes-256-gcm"


@pytest.mark.parametrize("method", METHODS)
async def test_answers_come_back_unchanged(method: str) -> None:
    key, events = fresh_key(method), Events()
    query = dns.message.make_query("example.org", "SOA")
    query.use_tsig(KEYS)
    signed = query.to_wire()
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(method, key, [primary.endpoint])
        settings = forwarder_settings([tunnel("t", ss_url(method, key, exit_.listen))], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(EgressSettings(exit=exit_), events) as far, running(settings, events) as near:
            assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
            first, second = sorted(await ask_tcp(listen, SOA, signed), key=len)
            assert first == soa_answer(SOA)[0]
            answer = dns.message.from_wire(second, keyring=KEYS, request_mac=query.mac)  # or it raises
            assert answer.question == query.question
            assert primary.asked_udp == [SOA]
            assert sorted(primary.asked_tcp, key=len) == [SOA, signed]
            (status,) = near.status().tunnels
            assert (status.streams_total, status.datagrams_in, status.datagrams_out) == (1, 1, 1)
            assert status.failures == {}
            seen = exit_status(far)
            assert seen.rejects == {}
            assert (seen.bytes_in, seen.bytes_out) == (status.bytes_out, status.bytes_in)
            assert events.seen == []


@pytest.mark.parametrize("method", METHODS)
async def test_a_large_transfer_arrives_whole(method: str) -> None:
    key = fresh_key(method)
    messages = axfr_answer(AXFR, records=20_000, per_message=200)
    async with ScriptedPrimary(lambda query: messages) as primary:
        exit_ = exit_settings(method, key, [primary.endpoint])
        settings = forwarder_settings([tunnel("t", ss_url(method, key, exit_.listen))], primary.endpoint)
        async with running(EgressSettings(exit=exit_)), running(settings):
            assert await ask_tcp(settings.forwarders[0].listen, AXFR, answers=len(messages)) == messages


async def test_a_slow_node_stops_the_primary() -> None:
    """Nobody on the way keeps what the node does not take."""
    key = fresh_key(METHOD)
    zone = axfr_answer(AXFR, records=60, per_message=30)
    middle = frame(axfr_answer(AXFR, records=1500, per_message=4000)[0])
    begun, end = frame(zone[0]), frame(zone[-1])
    # The middle of the zone again and again: messages of 40 KiB without their SOAs.
    parsed = dns.message.from_wire(middle[2:])
    parsed.answer = [each for each in parsed.answer if each.rdtype != dns.rdatatype.SOA]
    middle = frame(parsed.to_wire(max_size=65535))
    count = 50_000_000 // len(middle)
    async with ScriptedPrimary(lambda query: []) as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        limits = Limits(rrset=1_000_000)
        settings = forwarder_settings(
            [tunnel("t", ss_url(METHOD, key, exit_.listen))], primary.endpoint, primary_more={"limits": limits}
        )
        async with (
            running(EgressSettings(exit=exit_)) as far,
            running(settings) as near,
            connection(settings.forwarders[0].listen) as (reader, writer),
        ):
            writer.write(frame(AXFR))
            await auntil(lambda: primary.asked_tcp)
            (asked,) = primary.connections
            asked.write(begun + middle * count + end)
            seen = -1

            def stands_still() -> bool:
                nonlocal seen
                before, seen = seen, near.status().forwarders[0].bytes_in
                return seen > 0 and seen == before

            await auntil(stands_still)
            # What the kernel's buffers hold on four hops, and a little of ours: far from all of it.
            assert seen < 40_000_000
            assert asked.get_write_buffer_size() > 5_000_000
            assert await reader.readexactly(len(begun)) == begun
            for _ in range(count):
                assert await reader.readexactly(len(middle)) == middle
            assert await reader.readexactly(len(end)) == end
            assert exit_status(far).bytes_out == len(begun) + count * len(middle) + len(end)


async def test_the_first_query_rides_in_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """Salt, headers and query are one write, and so is the read at the other end."""
    key, reads = fresh_key(METHOD), list[bytes]()
    received = ExitStream.data_received

    def note(stream: ExitStream, data: bytes) -> None:
        reads.append(data)
        received(stream, data)

    monkeypatch.setattr(ExitStream, "data_received", note)
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        settings = forwarder_settings([tunnel("t", ss_url(METHOD, key, exit_.listen))], primary.endpoint)
        async with running(EgressSettings(exit=exit_)), running(settings):
            await ask_tcp(settings.forwarders[0].listen, SOA)
    salt, fixed, address, padding_length, tag = 32, 11, 7, 2, 16
    assert [len(data) for data in reads] == [salt + fixed + tag + address + padding_length + len(frame(SOA)) + tag]


@pytest.mark.parametrize("keep_open", [0.0, 0.2])
async def test_a_way_that_nobody_needs_is_closed(keep_open: float) -> None:
    key = fresh_key(METHOD)
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        ways = [tunnel("t", ss_url(METHOD, key, exit_.listen))]
        settings = forwarder_settings(ways, primary.endpoint, primary_more={"keep_open": keep_open})
        async with running(EgressSettings(exit=exit_)) as far, running(settings) as near:
            await ask_tcp(settings.forwarders[0].listen, SOA)
            await auntil(lambda: not primary.connections)
            await auntil(lambda: near.status().forwarders[0].connections_open == 0)
            await auntil(lambda: near.status().tunnels[0].streams_open == 0)
            await auntil(lambda: exit_status(far).streams_open == 0)


async def test_asyncio_streams_run_over_a_tunnel() -> None:
    """So does whatever takes a transport: TLS, another tunnel, a reader of transfers."""
    key = fresh_key(METHOD)
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        async with running(EgressSettings(exit=exit_)):
            way = make_tunnel(tunnel("t", ss_url(METHOD, key, exit_.listen)))
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport = await way.open_stream(primary.endpoint, protocol, frame(SOA))
            writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
            assert await read_message(reader) == soa_answer(SOA)[0]
            writer.writelines([frame(SOA)[:5], frame(SOA)[5:]])
            await writer.drain()
            assert await read_message(reader) == soa_answer(SOA)[0]
            assert writer.get_extra_info("peername") == primary.endpoint.sockaddr
            writer.write_eof()
            (asked,) = primary.connections
            asked.close()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            writer.write(b"after the end")
            assert way.counters.streams_open == 0


async def test_two_nodes_may_use_the_same_id() -> None:
    key, waiting = fresh_key(METHOD), []

    def hold(query: bytes) -> list[bytes]:
        waiting.append(query)
        return []

    names = ["a.example", "b.example", "a.example"]
    queries = [dns.message.make_query(name, "SOA", id=7).to_wire() for name in names]
    async with ScriptedPrimary(hold) as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        settings = forwarder_settings([tunnel("t", ss_url(METHOD, key, exit_.listen))], primary.endpoint)
        listen = settings.forwarders[0].listen
        async with running(EgressSettings(exit=exit_)) as far, running(settings) as near:
            asked = [asyncio.create_task(ask_udp(listen, query)) for query in queries]
            await auntil(lambda: len(waiting) == 3)
            primary.script = soa_answer
            asked += [asyncio.create_task(ask_udp(listen, query)) for query in queries]
            assert await asyncio.gather(*asked[3:]) == [soa_answer(query)[0] for query in queries]
            status = near.status().forwarders[0]
            assert (status.queries_udp, status.answers_udp, status.waiting_udp) == (6, 3, 3)
            # Three paths still serve the first three queries; the others are used again, not opened anew.
            before = exit_status(far).associations_total
            await ask_udp(listen, SOA)
            assert exit_status(far).associations_total == before <= 6
            for task in asked[:3]:
                task.cancel()
            await asyncio.gather(*asked[:3], return_exceptions=True)
