"""Probes: real SOA queries through real tunnels, when they are due, and what comes of them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import dns.message
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import msgspec
import pytest

from proxy.egress.pool.board import Board
from proxy.egress.pool.probe import Subject, probe, soa_query
from proxy.egress.pool.prober import AT_ONCE, FIRST, Prober
from proxy.egress.pool.way import Way
from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.egress.tunnels import make_tunnel
from proxy.errors import ProxyError, TunnelError
from proxy.settings import EgressSettings, Failover, TsigKey
from proxy.values import Secret
from tests.egress.pool.simulated import REFUSED, SILENCE, Simulated
from tests.egress.ring import (
    Events,
    exit_settings,
    far_end,
    forwarder_settings,
    fresh_key,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary
from tests.support.peers import auntil

METHOD = "2022-blake3-aes-128-gcm"
QUICK = Failover(interval=0.05, idle_interval=0.05, rest=0.05, longest_rest=0.1, hold=0.1)
SECRET = base64.b64encode(b"k" * 32).decode()
KEY = TsigKey(name="xfr.example", secret=Secret(SECRET))


def with_rules(settings: EgressSettings, rules: Failover) -> EgressSettings:
    """The same with these rules of failover."""
    primaries = tuple(msgspec.structs.replace(each, failover=rules) for each in settings.primaries)
    return msgspec.structs.replace(settings, primaries=primaries)


def test_the_question_is_a_soa_without_recursion_and_signed_where_a_key_is_known() -> None:
    plain = dns.message.from_wire(soa_query("example.org", None))
    assert plain.question[0].rdtype == dns.rdatatype.SOA
    assert not plain.had_tsig
    assert plain.flags == 0
    ring = dns.tsigkeyring.from_text({"xfr.example": ("hmac-sha256.", SECRET)})
    assert dns.message.from_wire(soa_query("example.org", KEY), keyring=ring).had_tsig


async def test_a_probe_goes_through_the_tunnel_over_both_transports() -> None:
    key = fresh_key(METHOD)
    async with ScriptedPrimary() as primary:
        way_in = exit_settings(METHOD, key, [primary.endpoint])
        async with running(EgressSettings(exit=way_in)) as far:
            way = make_tunnel(tunnel("fra", ss_url(METHOD, key, way_in.listen)))
            server = PrimaryServer("p", primary.endpoint)
            for transport in ("udp", "tcp"):
                heard = await probe(server, way, "udp" if transport == "udp" else "tcp", "example.org", None, 5)
                assert (heard.rcode, heard.seconds > 0) == (0, True)
            assert (len(primary.asked_udp), len(primary.asked_tcp)) == (1, 1)
            assert far.status().exit is not None


async def test_a_refusal_is_an_answer_and_silence_is_none() -> None:
    def refuse(query: bytes) -> list[bytes]:
        answer = dns.message.make_response(dns.message.from_wire(query))
        answer.set_rcode(dns.rcode.REFUSED)
        return [b"noise", answer.to_wire()]

    async with ScriptedPrimary(refuse) as primary:
        way, server = make_tunnel(tunnel("direct", "direct://")), PrimaryServer("p", primary.endpoint)
        assert (await probe(server, way, "udp", "example.org", None, 5)).rcode == 5
        assert (await probe(server, way, "tcp", "example.org", None, 5)).rcode == 5
        primary.script = lambda query: []
        for transport in ("udp", "tcp"):
            with pytest.raises(TunnelError) as caught:
                await probe(server, way, "udp" if transport == "udp" else "tcp", "example.org", None, 0.05)
            assert caught.value.reason == "no-answer"
        assert len(primary.asked_udp) == 3  # a datagram is sent twice


async def test_an_end_without_an_answer_is_told_from_silence() -> None:
    async with far_end(lambda reader, writer: writer.close()) as place:
        way = make_tunnel(tunnel("direct", "direct://"))
        with pytest.raises(ProxyError) as caught:
            await probe(PrimaryServer("p", place), way, "tcp", "example.org", None, 5)
        assert caught.value.reason in {"closed", "broken"}  # as the kernel sees it


def subject_of(pool: Simulated) -> Subject:
    """The subject of a simulated route."""
    return Subject(pool.route, PrimaryServer("p", pool.route.target), "example.org")


def due_in(pool: Simulated) -> Callable[[Way], float]:
    """How long until a way is to be probed, without the spread of a fifth."""
    prober = Prober(pool.events, pool.clock)
    prober.configure([subject_of(pool)])
    prober._spread = dict.fromkeys(prober._spread, 1.0)
    return lambda way: prober.due(subject_of(pool), way, pool.clock.now) - pool.clock.now


async def test_when_a_way_is_probed() -> None:
    pool = Simulated(2, Failover(interval=30, idle_interval=300, rest=5, longest_rest=300))
    a, b = (way for way in pool.route.ways if way.transport == "tcp")
    due = due_in(pool)
    assert due(a) == FIRST
    pool.route.worked(a.tunnel, "tcp", 0.1)
    assert due(a) == 300  # nobody asks this primary
    pool.route.order("tcp")
    assert due(a) == 30
    pool.clock.now += 20
    pool.route.worked(a.tunnel, "tcp", 0.1)
    assert due(a) == 30  # other traffic is as good as a probe
    pool.route.failed(a.tunnel, "tcp", SILENCE)
    assert due(a) == 0  # in doubt
    pool.route.failed(a.tunnel, "tcp", SILENCE)
    assert due(a) == 5  # taken out
    pool.route.failed(b.tunnel, "tcp", REFUSED)
    assert due(b) == 5


async def test_a_single_tunnel_is_probed_rarely() -> None:
    pool = Simulated(1, Failover(interval=30, idle_interval=300))
    (a,) = (way for way in pool.route.ways if way.transport == "tcp")
    due = due_in(pool)
    pool.route.order("tcp")
    pool.route.worked(a.tunnel, "tcp", 0.1)
    assert due(a) == 300


async def test_a_tunnel_that_dies_unused_is_noticed_and_one_that_comes_back_too() -> None:
    key = fresh_key(METHOD)
    async with ScriptedPrimary() as primary:
        way_in = exit_settings(METHOD, key, [primary.endpoint])
        ways = [tunnel("fra", ss_url(METHOD, key, way_in.listen)), tunnel("direct", "direct://")]
        settings = with_rules(forwarder_settings(ways, primary.endpoint, zones=("example.com",)), QUICK)
        events = Events()
        async with running(settings, events) as near:

            def states(transport: str) -> list[str]:
                (route,) = (each for each in near.status().routes if each.transport == transport)
                return [each.state for each in route.ways]

            await auntil(lambda: states("tcp") == ["open", "closed"] and states("udp")[1] == "closed")
            assert {each["tunnel"] for each in events.named("tunnel.failed")} == {"fra"}
            async with running(EgressSettings(exit=way_in)):
                await auntil(lambda: states("tcp") == ["closed", "closed"])
                await auntil(lambda: states("udp") == ["closed", "closed"])
                # Preferred again, after it has worked for a while.
                await auntil(lambda: {each.chosen for each in near.status().routes} == {"fra"})
        assert events.named("prober.failed") == []
        assert {dns.message.from_wire(each).question[0].name.to_text() for each in primary.asked_tcp} == {
            "example.com."
        }


async def test_without_a_zone_or_with_probes_off_nothing_is_asked() -> None:
    async with ScriptedPrimary() as primary:
        prober_events = Events()
        prober = Prober(prober_events, asyncio.get_running_loop().time)
        pool = Simulated(2, Failover(probes=False))
        prober.configure([subject_of(pool)])
        assert not pool.route.probed
        settings = with_rules(forwarder_settings([tunnel("direct", "direct://")], primary.endpoint), QUICK)
        async with running(settings) as near:
            assert [way.probes for route in near.status().routes for way in route.ways] == [0, 0]


async def test_a_reload_leaves_nothing_running() -> None:
    async with ScriptedPrimary(lambda query: []) as primary:
        settings = with_rules(
            forwarder_settings([tunnel("direct", "direct://")], primary.endpoint, zones=("example.com",)), QUICK
        )
        async with running(settings):
            await auntil(lambda: primary.asked_tcp and primary.asked_udp)
        assert [task for task in asyncio.all_tasks() if task.get_name() in {"probe", "prober"}] == []


async def test_the_fault_of_a_dead_primary_is_found_through_the_tunnels_of_another() -> None:
    """The other is asked by nobody, and its next probe is far away: it is asked because of the first."""
    rules = Failover(interval=300, idle_interval=300, rest=0.05, longest_rest=0.1)
    async with ScriptedPrimary(lambda query: []) as dead, ScriptedPrimary() as alive:
        way = make_tunnel(tunnel("direct", "direct://"))
        events, clock = Events(), asyncio.get_running_loop().time
        board = Board()
        made = [
            Route(name, place.endpoint, [way], events, clock, rules=rules, board=board)
            for name, place in (("dead", dead), ("alive", alive))
        ]
        prober = Prober(events, clock)
        prober.configure([Subject(each, PrimaryServer(each.primary, each.target), "example.com") for each in made])
        prober.start()
        for _ in range(2):
            made[0].failed(way, "tcp", SILENCE)
        await auntil(lambda: [each for each in events.named("primary.failed") if each["fault"] == "primary"])
        assert alive.asked_tcp
        await prober.stop()


async def test_when_more_is_due_than_may_run_what_is_due_longest_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the trials of dead tunnels to the first primaries would leave no probe for the others."""
    pools = [Simulated(1, Failover()) for _ in range(3 * AT_ONCE)]
    prober = Prober(Events(), lambda: 0.0)
    prober.configure([subject_of(pool) for pool in pools])
    prober._spread = dict.fromkeys(prober._spread, 1.0)
    begun: list[Way] = []
    monkeypatch.setattr(prober, "_begin", lambda subject, way, now: begun.append(way))
    for place, way in enumerate(way for pool in pools for way in pool.route.ways):
        way.heard -= place
    prober._look(prober._subjects, pools[0].clock.now + 1000)
    assert len(begun) == AT_ONCE
    assert begun == sorted(begun, key=lambda way: way.heard)
    assert max(way.heard for way in begun) < min(
        way.heard for pool in pools for way in pool.route.ways if way not in begun
    )


async def test_a_reload_between_a_doubt_and_the_look_ends_no_probes() -> None:
    """The primary in doubt is another after it, with other tunnels; whatever is known of the old one is past."""
    events, clock = Events(), asyncio.get_running_loop().time
    before, after = Simulated(2, QUICK), Simulated(2, QUICK)
    prober = Prober(events, clock)
    prober.configure([subject_of(before)])
    prober.start()
    old = subject_of(before)
    before.route.failed(before.tunnels[0], "tcp", SILENCE)
    prober.configure([subject_of(after)])
    prober._hurry(old)
    await auntil(lambda: all(way.probes for way in after.route.ways))
    assert events.named("prober.failed") == []
    await prober.stop()
