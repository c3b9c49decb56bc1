"""A network that loses packets, swallows them in the middle of a transfer, or is slow; and clocks that differ.

Two exits have their doors in another network namespace, as in `test_silent_exit`; nftables drops packets at random
there, and a policy rule swallows all that one exit sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import dns.message
import pytest

from bench.namespaces import WORLD, World
from proxy.egress import stream
from proxy.egress.service import EgressService
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings, Limits
from proxy.values import Endpoint
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
from tests.egress.test_silent_exit import METHOD, SECOND, exit_at, in_world
from tests.support.namespaces import two_namespaces
from tests.support.peers import auntil, free_port, require

AXFR = dns.message.make_query("example.com", "AXFR", id=2).to_wire()
ZONE = axfr_answer(AXFR, records=3000, per_message=100)
LOSS = "table inet loss {{ chain arrive {{ type filter hook input priority 0; numgen random mod 100 < {} drop; }}; }};"


def soa(number: int) -> bytes:
    return dns.message.make_query("example.com", "SOA", id=number).to_wire()


def lose(world: World, percent: int) -> None:
    """Of what comes in, in both directions."""
    nft, rules = require("nft"), LOSS.format(percent)
    subprocess.run(world.argv([nft, rules]), check=True, capture_output=True, timeout=10)
    here = rules.replace("numgen", 'iifname "edge" numgen')
    subprocess.run([nft, here], check=True, capture_output=True, timeout=10)


@asynccontextmanager
async def two_exits(
    world: World, primary: Endpoint, **primary_more: object
) -> AsyncIterator[tuple[EgressService, Endpoint, Events]]:
    """A forwarder whose two tunnels, a and b, end in the world."""
    in_world(world, f"address add {SECOND}/24 dev world")
    port, key, events = free_port(), fresh_key(METHOD), Events()
    places = {"a": Endpoint(WORLD, port), "b": Endpoint(SECOND, port)}
    async with AsyncExitStack() as stack:
        for place in places.values():
            await stack.enter_async_context(exit_at(world, place, key, primary))
        ways = [tunnel(name, ss_url(METHOD, key, place)) for name, place in places.items()]
        settings = forwarder_settings(ways, primary, primary_more=primary_more)
        near = await stack.enter_async_context(running(settings, events))
        yield near, settings.forwarders[0].listen, events


async def test_transfers_and_checks_come_through_where_packets_are_lost() -> None:
    def script(query: bytes) -> list[bytes]:
        return ZONE if query == AXFR else soa_answer(query)

    with two_namespaces() as world:
        async with ScriptedPrimary(script) as primary, two_exits(world, primary.endpoint) as (_, listen, events):
            lose(world, 10)
            assert await ask_tcp(listen, AXFR, answers=len(ZONE)) == ZONE
            for number in range(10, 20):
                await until_answered(listen, soa(number))
            await auntil(lambda: events.named("transfer.accepted"))
            assert events.named("transfer.rejected") == []


async def until_answered(listen: Endpoint, query: bytes) -> None:
    """Over UDP, asked again as nodes do."""
    for _ in range(20):
        with contextlib.suppress(TimeoutError):
            assert await ask_udp(listen, query, 0.5) == soa_answer(query)[0]
            return
    pytest.fail("no answer in twenty queries")


async def test_a_hole_in_the_middle_of_a_transfer_has_limits_and_the_next_takes_another_tunnel() -> None:
    begun = ZONE[:3]

    def act(query: bytes, transport: asyncio.Transport) -> None:
        whole = query != AXFR or len(primary.asked_tcp) > 1
        transport.write(b"".join(map(frame, zone_answer(query) if whole else begun)))

    with two_namespaces() as world:
        async with ScriptedPrimary(act=act) as primary:
            limits = Limits(idle=0.5)
            async with two_exits(world, primary.endpoint, limits=limits) as (_, listen, events):
                async with connection(listen) as (reader, writer):
                    writer.write(frame(AXFR))
                    assert [await read_message(reader) for _ in begun] == begun
                    in_world(world, f"rule add blackhole from {WORLD}")
                    for way in primary.connections:
                        way.write(b"".join(map(frame, ZONE[3:])))  # into the hole
                    assert await is_closed(reader)
                assert [each["reason"] for each in events.named("transfer.rejected")] == ["idle"]
                answers = zone_answer(AXFR)
                assert await ask_tcp(listen, AXFR, answers=len(answers)) == answers
                await auntil(lambda: events.named("transfer.accepted"))
                assert [each["tunnel"] for each in events.named("transfer.accepted")] == ["b"]


async def test_a_primary_that_is_far_away_is_waited_for() -> None:
    """A primary that answers a tenth of a second late, in small pieces, is no failure, for streams and datagrams."""
    loop = asyncio.get_running_loop()

    def act(query: bytes, transport: asyncio.Transport) -> None:
        answer = b"".join(map(frame, zone_answer(query)))
        for number, at in enumerate(range(0, len(answer), 500)):
            loop.call_later(0.1 + number * 0.02, transport.write, answer[at : at + 500])

    with two_namespaces() as world:
        async with ScriptedPrimary(act=act) as primary, two_exits(world, primary.endpoint) as (near, listen, _):
            answers = zone_answer(AXFR)
            assert await ask_tcp(listen, AXFR, answers=len(answers)) == answers
            assert await ask_tcp(listen, soa(3)) == soa_answer(soa(3))
            assert [each.failures for each in near.status().tunnels] == [{}, {}]


@pytest.mark.parametrize("skew", [-31, 29, 31])  # not -29: this exit takes nothing from before its start
async def test_clocks_that_differ_are_named(skew: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 30 s (SIP022 section 3.1.5): the exit says nothing, so our words are what an operator has."""
    key = fresh_key(METHOD)
    async with ScriptedPrimary() as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        ways = [tunnel("skewed", ss_url(METHOD, key, exit_.listen)), tunnel("direct", "direct://")]
        settings = forwarder_settings(ways, primary.endpoint, answer_timeout=0.3)
        async with running(EgressSettings(exit=exit_)) as far, running(settings) as near:
            real = time.time
            monkeypatch.setattr(stream, "time", SimpleNamespace(time=lambda: real() + skew))
            assert await ask_tcp(settings.forwarders[0].listen, soa(1)) == soa_answer(soa(1))
            skewed = near.status().tunnels[0]
            if abs(skew) <= 30:
                assert skewed.last_error is None
            else:
                assert exit_status(far).rejects == {"clock-skew": 1}
                assert "clock" in (skewed.last_error or "")
                assert "30 s" in (skewed.last_error or "")
