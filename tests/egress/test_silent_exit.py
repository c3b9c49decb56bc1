"""An exit that falls silent without a reset, as one does behind a firewall that begins to drop, or a dead machine.

Two exits stand in another network namespace, each at an address of its own; a policy rule there swallows what the one
sends. Nobody is told: connections stay open, and nothing comes.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import dns.message
import msgspec

from bench.namespaces import EDGE, WORLD, World
from proxy.egress.service import EgressService
from proxy.egress.sockets import open_egress_sockets
from proxy.protocol.dns_frames import frame
from proxy.settings import EgressSettings, Failover
from proxy.values import Endpoint
from tests.egress.ring import (
    Events,
    ask_tcp,
    ask_udp,
    connection,
    exit_settings,
    forwarder_settings,
    fresh_key,
    read_message,
    running,
    ss_url,
    tunnel,
)
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.support.namespaces import inside, two_namespaces
from tests.support.peers import auntil, free_port

METHOD = "2022-blake3-aes-128-gcm"
SECOND = WORLD + 1
RULES = Failover(interval=0.2, idle_interval=0.2, rest=0.2, longest_rest=0.5, hold=0.5)


def query(number: int) -> bytes:
    return dns.message.make_query("example.com", "SOA", id=number).to_wire()


def in_world(world: World, line: str) -> None:
    subprocess.run(world.argv(["ip", *line.split()]), check=True, capture_output=True, timeout=10)


@asynccontextmanager
async def exit_at(world: World, listen: Endpoint, key: str, primary: Endpoint) -> AsyncIterator[None]:
    """An exit whose door is in the world; what it opens is here, where the primary is."""
    settings = EgressSettings(exit=exit_settings(METHOD, key, [primary], listen))
    with inside(world):
        sockets = open_egress_sockets(settings)
    service = EgressService(settings=settings, sockets=sockets, emit=Events())
    await service.start()
    try:
        yield
    finally:
        await service.drain(0)


async def test_a_silent_exit_is_left_over_both_transports_and_taken_again() -> None:
    with two_namespaces() as world:
        in_world(world, f"address add {SECOND}/24 dev world")
        assert str(EDGE) != str(SECOND)
        port, key = free_port(), fresh_key(METHOD)
        places = {"a": Endpoint(WORLD, port), "b": Endpoint(SECOND, port)}
        async with AsyncExitStack() as stack:
            primary = await stack.enter_async_context(ScriptedPrimary())
            for place in places.values():
                await stack.enter_async_context(exit_at(world, place, key, primary.endpoint))
            ways = [tunnel(name, ss_url(METHOD, key, place)) for name, place in places.items()]
            made = forwarder_settings(ways, primary.endpoint, zones=("example.com",))
            first = msgspec.structs.replace(made.primaries[0], failover=RULES)
            settings = msgspec.structs.replace(made, primaries=(first,))
            listen, events = made.forwarders[0].listen, Events()
            near = await stack.enter_async_context(running(settings, events))
            await leave_and_return(world, near, listen, events)


async def leave_and_return(world: World, near: EgressService, listen: Endpoint, events: Events) -> None:
    """Use the first exit, silence it, use the second, let the first speak again, use it."""

    def chosen() -> set[str]:
        return {route.chosen for route in near.status().routes}

    async with connection(listen) as (reader, writer):
        writer.write(frame(query(1)))
        assert await read_message(reader) == soa_answer(query(1))[0]
        assert await ask_udp(listen, query(2)) == soa_answer(query(2))[0]
        assert chosen() == {"a"}
        in_world(world, f"rule add blackhole from {WORLD}")
        writer.write(frame(query(6)))  # on a connection that was open, as is that to the primary
        assert await read_message(reader) == soa_answer(query(6))[0]
        asked = (ask_tcp(listen, query(3)), ask_udp(listen, query(4)))
        over_tcp, over_udp = await asyncio.gather(*asked)
        assert over_tcp == soa_answer(query(3))
        assert over_udp == soa_answer(query(4))[0]
        await auntil(lambda: chosen() == {"b"})
        assert {each["tunnel"] for each in events.named("tunnel.failed")} == {"a"}
        assert events.named("primary.failed") == []
    in_world(world, f"rule del blackhole from {WORLD}")
    await auntil(lambda: chosen() == {"a"}, what="the first exit to be preferred again")
    assert await ask_tcp(listen, query(5)) == soa_answer(query(5))
