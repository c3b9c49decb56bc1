"""Forwarders: what they let pass, whom they let in, and what they do when a tunnel fails."""

from __future__ import annotations

import asyncio

import dns.flags
import dns.message
import dns.opcode
import dns.rrset
import dns.tsigkeyring
import pytest
from dns.rcode import Rcode

from proxy.egress.exchanges import exchange
from proxy.egress.exchanges.shared import Shared
from proxy.egress.forwarder_plan import compile_forwarder
from proxy.egress.node_stream import EXCHANGES
from proxy.egress.routes import Routes
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings, Forwarder, Primary
from proxy.values import Network
from tests.egress.ring import (
    Events,
    ask_tcp,
    ask_udp,
    connection,
    far_end,
    forwarder_settings,
    fresh_endpoint,
    is_closed,
    read_message,
    running,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, axfr_answer, soa_answer
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
AXFR = dns.message.make_query("example.com", "AXFR").to_wire()
DIRECT = tunnel("direct", "direct://")
DEAD = "ss://aes-128-gcm:x@127.0.0.1:{}"


def rcode(answer: bytes) -> Rcode:
    return dns.message.from_wire(answer).rcode()


async def test_direct_is_a_tunnel_like_the_others() -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as near:
            assert await ask_udp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)[0]
            assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)
            (status,) = near.status().tunnels
            assert (status.kind, status.streams_total, status.datagrams_in) == ("direct", 1, 1)


async def test_what_is_no_transfer_of_a_configured_zone_is_refused() -> None:
    notify = dns.message.make_query("example.com", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    others = [
        dns.message.make_query("example.com", "A").to_wire(),
        dns.message.make_query("www.example.com", "AXFR").to_wire(),
        notify.to_wire(),
    ]
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, zones=("example.com",))
        listen = settings.forwarders[0].listen
        events = Events()
        async with running(settings, events) as near:
            for other in others:
                assert rcode(await ask_udp(listen, other)) == Rcode.REFUSED
            assert list(map(rcode, await ask_tcp(listen, *others))) == [Rcode.REFUSED] * 3
            answers = await ask_tcp(listen, others[0], SOA)
            assert set(map(rcode, answers)) == {Rcode.REFUSED, Rcode.NOERROR}
            assert primary.asked_udp == []
            assert primary.asked_tcp == [SOA]
            assert near.status().forwarders[0].refused == {"type": 3, "zone": 2, "opcode": 2}
            told = events.named("transfer.refused")  # one of a reason
            assert [(each["reason"], each["zone"]) for each in told] == [
                ("type", "example.com"),
                ("zone", "www.example.com"),
                ("opcode", "example.com"),
            ]
            assert (told[1]["type"], told[1]["node"], told[1]["primary"]) == ("AXFR", "127.0.0.1", "primary")
            assert "in `zones` of this forwarder" in str(told[1]["remedy"])


async def test_a_refusal_passes_between_two_messages_of_an_answer() -> None:
    refused = dns.message.make_query("example.com", "A").to_wire()
    first, *others = axfr_answer(AXFR)
    async with ScriptedPrimary(lambda query: [first]) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings), connection(settings.forwarders[0].listen) as (reader, writer):
            writer.write(frame(AXFR))
            assert await read_message(reader) == first
            (asked,) = primary.connections
            half = len(others[0]) // 2
            asked.write(frame(others[0])[:half])
            writer.write(frame(refused))
            assert rcode(await read_message(reader)) == Rcode.REFUSED
            asked.write(frame(others[0])[half:] + b"".join(map(frame, others[1:])))
            assert [await read_message(reader) for _ in others] == others


@pytest.mark.parametrize("bad", [b"short", SOA[:2] + b"\x80" + SOA[3:], SOA[:5] + b"\0" + SOA[6:]])
async def test_what_is_no_query_closes_the_connection(bad: bytes) -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as near:
            async with connection(settings.forwarders[0].listen) as (reader, writer):
                writer.write(frame(bad))
                assert await is_closed(reader)
            with pytest.raises(TimeoutError):
                await ask_udp(settings.forwarders[0].listen, bad, patience=0.05)
            refused = near.status().forwarders[0].refused
            assert sum(refused.values()) == 2
            assert refused.keys() <= {"malformed", "not-a-query"}
    assert primary.accepted == 0


async def test_a_datagram_that_fits_no_tunnel_is_not_the_tunnels_fault() -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, udp_timeout=0.1)
        listen = settings.forwarders[0].listen
        async with running(settings) as near:
            with pytest.raises(TimeoutError):
                await ask_udp(listen, SOA + bytes(65_000), patience=0.3)
            assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
            assert near.status().forwarders[0].refused == {"too-long": 1}
            assert near.status().tunnels[0].failures == {}
    assert primary.asked_udp == [SOA]


@pytest.mark.parametrize("truncated", [False, True])
async def test_udp_passes_as_it_is_signed_large_or_truncated(truncated: bool) -> None:
    keys = dns.tsigkeyring.from_text({"key.": "c2VjcmV0IG9mIHRlc3Rz"})
    query = dns.message.make_query("example.com", "SOA", use_edns=0, payload=4096)
    query.use_tsig(keys)
    signed = query.to_wire()
    response = dns.message.make_response(dns.message.from_wire(signed, keyring=keys))
    response.answer += dns.message.from_wire(soa_answer(SOA)[0]).answer
    response.additional.append(dns.rrset.from_text("ns.", 60, "IN", "TXT", *[f'"{n:0200}"' for n in range(15)]))
    response.flags |= dns.flags.TC if truncated else 0
    answer = response.to_wire(max_size=4096)
    assert len(answer) > 3000
    async with ScriptedPrimary(lambda _: [answer]) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings):
            assert await ask_udp(settings.forwarders[0].listen, signed) == answer
        assert primary.asked_udp == [signed]


async def test_only_nodes_that_are_allowed_come_in() -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, allow=(Network.parse("192.0.2.0/24"),))
        async with running(settings) as near:
            async with connection(settings.forwarders[0].listen) as (reader, _):
                assert await is_closed(reader)
            with pytest.raises(TimeoutError):
                await ask_udp(settings.forwarders[0].listen, SOA, patience=0.05)
            assert near.status().forwarders[0].refused == {"address": 2}
            assert near.status().forwarders[0].connections_open == 0


async def test_connections_are_bounded() -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, connections=1)
        listen = settings.forwarders[0].listen
        async with running(settings) as near:
            async with connection(listen):
                await auntil(lambda: near.status().forwarders[0].connections_open == 1)
                async with connection(listen) as (reader, _):
                    assert await is_closed(reader)
                assert near.status().forwarders[0].refused == {"too-many-connections": 1}
            await auntil(lambda: near.status().forwarders[0].connections_open == 0)
            assert await ask_tcp(listen, SOA) == soa_answer(SOA)


async def test_udp_queries_are_bounded_and_forgotten() -> None:
    queries = [dns.message.make_query("example.com", "SOA", id=number).to_wire() for number in range(4)]
    async with ScriptedPrimary(lambda query: []) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, queries=2, udp_timeout=0.1)
        events = Events()
        async with running(settings, events) as near:
            asked = [asyncio.create_task(ask_udp(settings.forwarders[0].listen, query, 1.0)) for query in queries]
            await auntil(lambda: near.status().forwarders[0].refused.get("no-answer") == 2)
            status = near.status().forwarders[0]
            assert status.refused == {"too-many-queries": 2, "no-answer": 2}
            assert status.waiting_udp == 0
            (failed,) = events.named("tunnel.failed")
            assert (failed["tunnel"], failed["transport"], failed["reason"]) == ("direct", "udp", "no-answer")
            primary.script = soa_answer
            assert await ask_udp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)[0]
            assert events.named("tunnel.recovered") == [{"tunnel": "direct", "primary": "primary", "transport": "udp"}]
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


async def test_a_repeated_udp_query_goes_the_same_way() -> None:
    async with ScriptedPrimary(lambda query: []) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as near:
            loop, got = asyncio.get_running_loop(), asyncio.Queue[bytes]()

            class Node(asyncio.DatagramProtocol):
                def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                    got.put_nowait(data)

            node, _ = await loop.create_datagram_endpoint(Node, remote_addr=settings.forwarders[0].listen.sockaddr)
            node.sendto(SOA)
            await auntil(lambda: len(primary.asked_udp) == 1)
            primary.script = soa_answer
            node.sendto(SOA)
            assert await got.get() == soa_answer(SOA)[0]
            assert near.status().forwarders[0].queries_udp == 1
            assert near.status().forwarders[0].waiting_udp == 0
            node.close()


async def test_a_forged_udp_answer_is_dropped() -> None:
    other = dns.message.make_query("example.org", "SOA").to_wire()

    def lie(query: bytes) -> list[bytes]:
        wrong_id = bytes((query[0] ^ 1,)) + soa_answer(query)[0][1:]
        wrong_question = query[:2] + soa_answer(other)[0][2:]
        return [b"noise", query, wrong_id, wrong_question, soa_answer(query)[0]]

    async with ScriptedPrimary(lie) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings) as near:
            assert await ask_udp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)[0]
            assert near.status().forwarders[0].refused == {"answer-unmatched": 4}


async def test_the_next_tunnel_is_tried_and_the_dead_one_rests() -> None:
    dead = tunnel("dead", DEAD.format(fresh_endpoint().port))
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([dead, DIRECT], primary.endpoint)
        listen, events = settings.forwarders[0].listen, Events()
        async with running(settings, events) as near:
            for _ in range(3):
                assert await ask_tcp(listen, SOA) == soa_answer(SOA)
            status = near.status().tunnels
            assert [(each.name, each.streams_total) for each in status] == [("dead", 0), ("direct", 1)]
            assert status[0].failures == {"refused": 1}
            assert status[0].last_error is not None
            assert "refused the connection" in status[0].last_error
            (failed,) = events.named("tunnel.failed")
            assert (failed["tunnel"], failed["transport"], failed["reason"]) == ("dead", "tcp", "refused")


async def test_a_tunnel_that_closes_without_an_answer_is_replaced() -> None:
    """The far end takes the connection and drops it: as when its exit can't reach the primary."""
    accepted = asyncio.Event()

    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        writer.close()

    async with ScriptedPrimary() as primary, far_end(hang_up) as place:
        settings = forwarder_settings([tunnel("hole", DEAD.format(place.port)), DIRECT], primary.endpoint)
        async with running(settings) as near:
            assert await ask_tcp(settings.forwarders[0].listen, SOA, SOA) == soa_answer(SOA) * 2
            assert accepted.is_set()
            failures = near.status().tunnels[0].failures
            assert failures
            assert failures.keys() <= {"closed", "broken"}  # by FIN, by RST


async def test_a_silent_tunnel_is_left_after_the_answer_timeout() -> None:
    held = list[asyncio.StreamWriter]()
    async with ScriptedPrimary() as primary, far_end(lambda reader, writer: held.append(writer)) as place:
        settings = forwarder_settings(
            [tunnel("mute", DEAD.format(place.port)), DIRECT], primary.endpoint, answer_timeout=0.1
        )
        async with running(settings) as near:
            assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)
            assert near.status().tunnels[0].failures == {"no-answer": 1}
            assert "wrong key" in str(near.status().tunnels[0].last_error)
        for writer in held:
            writer.close()


async def test_a_node_that_gives_up_first_goes_another_way_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PATIENCE_OF_NODES", 0.05)
    held = list[asyncio.StreamWriter]()
    async with ScriptedPrimary() as primary, far_end(lambda reader, writer: held.append(writer)) as place:
        ways = [tunnel("mute", DEAD.format(place.port)), DIRECT]
        settings = forwarder_settings(ways, primary.endpoint, answer_timeout=30.0)
        listen = settings.forwarders[0].listen
        async with running(settings) as near:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await ask_tcp(listen, SOA)
            await auntil(lambda: near.status().tunnels[0].failures == {"no-answer": 1})
            assert await ask_tcp(listen, SOA) == soa_answer(SOA)
        for writer in held:
            writer.close()


async def test_a_tunnel_that_hangs_in_its_handshake_is_left_by_datagrams_too() -> None:
    held = list[asyncio.StreamWriter]()
    async with ScriptedPrimary() as primary, far_end(lambda reader, writer: held.append(writer)) as place:
        ways = [tunnel("mute", f"socks5://{place}"), DIRECT]
        settings = forwarder_settings(ways, primary.endpoint, udp_timeout=0.1)
        listen = settings.forwarders[0].listen
        async with running(settings) as near:
            for _ in range(2):  # one silence may be a lost packet
                with pytest.raises(TimeoutError):
                    await ask_udp(listen, SOA, patience=0.15)
            await auntil(lambda: near.status().tunnels[0].failures == {"no-answer": 2})
            assert await ask_udp(listen, SOA) == soa_answer(SOA)[0]
        for writer in held:
            writer.close()


async def test_garbage_from_the_far_end_is_noticed() -> None:

    def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n" * 10)
        writer.close()

    async with ScriptedPrimary() as primary, far_end(talk) as place:
        settings = forwarder_settings([tunnel("web", DEAD.format(place.port)), DIRECT], primary.endpoint)
        async with running(settings) as near:
            assert await ask_tcp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)
            assert near.status().tunnels[0].failures == {"authentication": 1}


async def test_without_a_working_tunnel_there_is_no_way() -> None:
    """Never direct unless the configuration says so."""
    tunnels = [tunnel(name, DEAD.format(fresh_endpoint().port)) for name in ("a", "b")]
    socks = tunnel("c", f"socks5://127.0.0.1:{fresh_endpoint().port}")
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([*tunnels, socks], primary.endpoint, udp_timeout=3.0)
        listen = settings.forwarders[0].listen
        async with running(settings) as near:
            assert list(map(rcode, await ask_tcp(listen, SOA))) == [Rcode.SERVFAIL]
            assert near.status().forwarders[0].refused == {"no-tunnel": 1}
            assert [each.failures for each in near.status().tunnels] == [{"refused": 1}] * 3
            # What no datagram brings is tried on a stream as well.
            assert rcode(await ask_udp(listen, SOA)) == Rcode.SERVFAIL
            assert near.status().forwarders[0].refused == {"no-tunnel": 2}
            assert [each.failures for each in near.status().tunnels] == [{"refused": 3}] * 3
        assert primary.accepted == 0
        assert primary.asked_udp == []


async def test_a_datagram_that_nobody_listens_for_goes_through_the_next_tunnel_at_once() -> None:
    async with ScriptedPrimary() as primary:
        ways = [tunnel("dead", DEAD.format(fresh_endpoint().port)), DIRECT]
        settings = forwarder_settings(ways, primary.endpoint, udp_timeout=60.0)
        async with running(settings) as near:
            assert await ask_udp(settings.forwarders[0].listen, SOA) == soa_answer(SOA)[0]
            assert near.status().tunnels[0].failures == {"refused": 1}
            assert near.status().forwarders[0].waiting_udp == 0


async def test_servfail_when_no_tunnel_takes_a_datagram() -> None:
    socks = tunnel("c", f"socks5://127.0.0.1:{fresh_endpoint().port}")
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([socks], primary.endpoint)
        async with running(settings) as near:
            assert rcode(await ask_udp(settings.forwarders[0].listen, SOA)) == Rcode.SERVFAIL
            assert near.status().forwarders[0].refused == {"no-tunnel": 1}


@pytest.mark.parametrize("whole", [True, False])
async def test_a_primary_that_closes_inside_an_answer_closes_the_node(whole: bool) -> None:
    first = frame(axfr_answer(AXFR)[0])
    async with ScriptedPrimary(lambda query: []) as primary:
        settings, events = forwarder_settings([DIRECT], primary.endpoint), Events()
        async with running(settings, events) as near:
            async with connection(settings.forwarders[0].listen) as (reader, writer):
                writer.write(frame(AXFR))
                await auntil(lambda: primary.asked_tcp)
                (asked,) = primary.connections
                asked.write(first if whole else first + first[:20])
                assert await reader.readexactly(len(first)) == first
                asked.close()
                assert await is_closed(reader)
            assert near.status().forwarders[0].verdicts == (("axfr", "cut", 1),)
            (rejected,) = events.named("transfer.rejected")
            assert (rejected["reason"], rejected["zone"], rejected["tunnel"]) == ("cut", "example.com", "direct")


async def test_a_connection_on_which_nothing_moves_is_closed() -> None:
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, idle_timeout=0.1)
        async with running(settings) as near:
            async with connection(settings.forwarders[0].listen) as (reader, writer):
                assert await is_closed(reader)
            async with connection(settings.forwarders[0].listen) as (reader, writer):
                writer.write(frame(SOA))
                assert await read_message(reader)
                assert await is_closed(reader)
            assert near.status().forwarders[0].refused == {"idle": 2}


async def test_half_a_query_is_bounded() -> None:
    """A node that never ends its query is idle, whatever it holds."""
    async with ScriptedPrimary() as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, idle_timeout=0.1)
        async with running(settings) as near:
            async with connection(settings.forwarders[0].listen) as (reader, writer):
                writer.write(b"\xff\xff" + SOA)
                assert await is_closed(reader)
            assert near.status().forwarders[0].refused == {"idle": 1}
    assert primary.accepted == 0


async def test_many_queries_before_the_first_answer() -> None:
    """More than go on at the same time: reading stops, and goes on with the answers."""
    many = 2000
    queries = [dns.message.make_query("example.com", "SOA", id=number).to_wire() for number in range(many)]
    async with ScriptedPrimary(lambda query: []) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint, primary_more={"soa_rate": 1e6, "soa_burst": many})
        async with running(settings), connection(settings.forwarders[0].listen) as (reader, writer):
            writer.write(b"".join(map(frame, queries)))
            await auntil(lambda: len(primary.asked_tcp) == EXCHANGES)
            primary.script = soa_answer
            for query in tuple(primary.asked_tcp):
                for asked in primary.connections:
                    asked.write(frame(soa_answer(query)[0]))
            answers = {(await read_message(reader))[:2] for _ in range(many)}
            assert len(answers) == many


async def test_a_query_with_an_id_that_still_waits_has_its_turn_behind_it() -> None:
    async with ScriptedPrimary(lambda query: []) as primary:
        settings = forwarder_settings([DIRECT], primary.endpoint)
        async with running(settings), connection(settings.forwarders[0].listen) as (reader, writer):
            writer.write(frame(SOA) * 2)
            await auntil(lambda: primary.asked_tcp == [SOA])
            primary.script = soa_answer
            (asked,) = primary.connections
            asked.write(frame(soa_answer(SOA)[0]))
            assert [await read_message(reader) for _ in range(2)] == soa_answer(SOA) * 2
            assert primary.asked_tcp == [SOA, SOA]


async def test_settings_that_do_not_fit_are_named() -> None:
    primary = Primary(name="p", address=fresh_endpoint(), tunnels=("t",))
    forwarder = Forwarder(listen=fresh_endpoint(), primary="q")
    settings = EgressSettings(primaries=(primary,), forwarders=(forwarder,))
    with pytest.raises(ValueError, match="no primary 'q'"):
        compile_forwarder(forwarder, settings, {}, {}, Shared(settings.transfers, Events()))
    with pytest.raises(ValueError, match="no tunnel 't'"):
        Routes(Events(), asyncio.get_running_loop().time).make(settings, {})
