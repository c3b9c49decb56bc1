"""Too few descriptors: clients get what is left, and a shortage of our own is no fault of a backend."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import dns.message
import dns.rcode
import msgspec
import pytest

from proxy.ingress import health
from proxy.ingress.descriptors import affordable_clients, count_open, is_shortage
from proxy.ingress.probes import Finding, check
from proxy.protocol.proxy_headers import Way
from proxy.settings import Backend, Health, ProxyOut
from proxy.values import Endpoint
from tests.ingress.tcp_door import PATIENT, door, ingress_settings, query
from tests.support.peers import auntil
from tests.support.streams import StreamBackend

NODE = Endpoint.parse("127.0.0.1:53")


@contextmanager
def allowed(count: int) -> Iterator[None]:
    """So many descriptors may be open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def none_left() -> AbstractContextManager[None]:
    """No descriptor can be opened: all numbers under the limit are taken."""
    return allowed(3)


def test_clients_get_what_is_left() -> None:
    settings = ingress_settings(NODE, tcp=msgspec.structs.replace(PATIENT, connections=100))
    with allowed(1000):
        assert affordable_clients(settings, 50) == 100
        # 2 connections to the backend, 1 socket to check it, 16 to spare.
        assert affordable_clients(settings, 931) == 50
        assert affordable_clients(settings, 2000) == 1
        # 900 connections of one client each instead.
        tcp = msgspec.structs.replace(settings.tcp, proxied_connections=900)
        named = msgspec.structs.replace(settings.backends[0], proxy_protocol=ProxyOut(tcp="v2"))
        assert affordable_clients(msgspec.structs.replace(settings, tcp=tcp, backends=(named,)), 31) == 52
    assert count_open() > 3


def test_what_is_a_shortage() -> None:
    assert is_shortage(OSError(errno.EMFILE, "x"))
    assert is_shortage(OSError(errno.EADDRNOTAVAIL, "no local port is left"))
    assert not is_shortage(OSError(errno.ECONNREFUSED, "x"))


async def test_a_check_that_could_not_be_made_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []

    async def check_without_descriptors(address: Endpoint, zone: str | None, patience: float, way: Way) -> Finding:
        with none_left():
            results.append(await check(address, zone, patience, way))
        return results[-1]

    changes: list[tuple[int, bool]] = []
    monkeypatch.setattr(health, "check", check_without_descriptors)
    often = Health(interval=0.05)
    monitor = health.HealthMonitor(often, None, lambda slot, healthy: changes.append((slot, healthy)))
    monitor.watch(often, None, {0: Backend(name="ns-a", address=NODE)})
    await auntil(lambda: len(results) > often.fall + 1)
    assert set(results) == {None}
    assert monitor.state(0) == "unknown"
    assert changes == []
    monitor.stop()


async def test_a_connection_that_could_not_be_made_is_no_mark_against_the_backend() -> None:
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        client = await opened.client()
        with none_left():
            client.send(query())
            await auntil(lambda: client.received, what="an answer")
        assert dns.message.from_wire(client.received[0]).rcode() == dns.rcode.SERVFAIL
        assert opened.events[0][0] == "backend.unreachable"
        assert opened.memory.io()["backend-connect-errors"] > 0
        assert not opened.failures


@pytest.fixture(autouse=True)
def _limits_stay() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
