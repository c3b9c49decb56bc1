"""A flood of ten times what a backend can answer, through `zonegate run`: whom it reaches and whom not."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from bench.node import host
from bench.zones import ZONE
from gateway.lab.servers.process import ChildProcess
from tests.ring.callers import Address, Pace, Resolver, Strangers, TcpResolver
from tests.ring.gateways import Gateway, loopback, running
from tests.support.peers import auntil

CAPACITY = 1000  # answers a second
RATE = 60  # queries a second of the resolvers together
QUERIES = 100
REPOSITORY = Path(__file__).parents[2]


@asynccontextmanager
async def overloaded(directory: Path, workers: int) -> AsyncIterator[tuple[Gateway, Address]]:
    """A gateway in front of a node that answers so many queries a second."""
    clients, node = loopback(), loopback()
    command = [sys.executable, "-m", "bench.node", str(node), str(CAPACITY)]
    text = f"""
[ingress]
workers = {workers}
udp = {{ receive_buffer = 131072 }}
[[ingress.listeners]]
address = "{clients}"
[[ingress.backends]]
name = "node"
address = "{node}"
[filters]
zones = ["{ZONE}"]
[filters.cookies]
secret = "{"5a" * 16}"
"""
    with ChildProcess(command, directory / "node.log", cwd=REPOSITORY), running(directory, text, clients) as gateway:
        yield gateway, clients.sockaddr


def shed(gateway: Gateway, reason: str) -> float:
    """Queries that went without for this reason."""
    return gateway.total("zonegate_ingress_verdicts_total", verdict="shed", reason=reason)


def is_balanced(gateway: Gateway) -> bool:
    """The accounting identity, when nothing is on its way."""
    metrics = gateway.metrics()
    received, verdicts = (
        sum(value for (sample, _), value in metrics.items() if sample == f"zonegate_ingress_{name}_total")
        for name in ("received", "verdicts")
    )
    return received == verdicts


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_flood_leaves_resolvers_with_cookies_and_those_over_tcp_their_answers(
    tmp_path: Path, workers: int
) -> None:
    async with overloaded(tmp_path, workers) as (gateway, target), AsyncExitStack() as stack:
        resolvers = [await Resolver(target, host(1)).open(f"127.0.0.{number + 10}") for number in range(8)]
        strangers = Strangers(target, host(2), 250)
        stack.callback(strangers.close)
        for resolver in resolvers:
            stack.push_async_callback(resolver.close)
            resolver.ask()
        await auntil(lambda: all(resolver.verified for resolver in resolvers))

        flood = Pace(strangers.ask, 10 * CAPACITY)
        stack.callback(flood.stop)
        await auntil(lambda: shed(gateway, "overload-new") > 10 * CAPACITY, what="the flood to be shed")
        over_tcp = [await TcpResolver(host(3), QUERIES // 4).open(target) for _ in range(4)]
        for client in over_tcp:
            stack.callback(client.transport.abort)
            client.ask()
        turns = iter(resolvers * QUERIES)
        paced = Pace(lambda: next(turns).ask(), RATE, QUERIES)
        await auntil(lambda: paced.over and all(client.over for client in over_tcp), what="the TCP clients")
        wanted = 0.99 * (QUERIES + len(resolvers))
        await auntil(lambda: sum(resolver.answered for resolver in resolvers) >= wanted, what="the resolvers")
        flood.stop()

        # The node loses what finds its queue full over TCP too, as real ones do not.
        assert sum(client.failed for client in over_tcp) <= QUERIES / 100
        assert shed(gateway, "overload-verified") == 0, "they would hear of it"
        assert gateway.total("zonegate_ingress_admitted_under_pressure_total", **{"class": "verified"}) > 0
        await auntil(lambda: gateway.total("zonegate_backend_window_used") == 0, what="the end of the flood")
        newcomer = await Resolver(target, host(4)).open("127.0.0.99")
        stack.push_async_callback(newcomer.close)
        for _ in range(20):
            newcomer.ask()
        await auntil(lambda: newcomer.answered == 20, what="everybody to be served")
        await auntil(lambda: is_balanced(gateway), what="the books to balance")
        assert is_balanced(gateway)
