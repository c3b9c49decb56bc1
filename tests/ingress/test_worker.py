"""One worker as a whole: what it says about itself, health that reaches both doors, reload, and an orderly end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping

import dns.message
import msgspec
import pytest

from dataplane import SharedMemory
from filters.policy import compile_policy
from filters.settings import FilterSettings
from proxy.ingress.sockets import close_all, open_listener_sockets
from proxy.ingress.worker import IngressWorker
from proxy.settings import Backend, Health, IngressSettings, Listener, UdpSettings
from proxy.values import Endpoint
from tests.ingress.test_health import soa_answer
from tests.support.backends import UdpBackend, UdpClient, answer_to
from tests.support.peers import auntil, free_port

FILTERS = FilterSettings(zones=("example.com",))


def node(asked: bytes) -> list[bytes]:
    """Answers SOA queries with an SOA and all others with an address."""
    kind = dns.message.from_wire(asked).question[0].rdtype.name
    return [soa_answer(asked) if kind == "SOA" else answer_to(asked)]


class Rig:
    """A worker with one backend, and what it emitted."""

    def __init__(self, backend: UdpBackend, receive_buffer: int = 65536) -> None:
        self.backend = backend
        self.settings = IngressSettings(
            listeners=(Listener(address=Endpoint.parse(f"127.0.0.1:{free_port()}")),),
            backends=(Backend(name="ns-a", address=backend.endpoint, timeout=0.2),),
            health=Health(interval=0.05, timeout=0.5, rise=1, fall=2),
            udp=UdpSettings(receive_buffer=receive_buffer),
        )
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.memory = SharedMemory.create(1, 1024)
        self.sockets = open_listener_sockets(self.settings, 1)
        self.worker = IngressWorker(
            index=0,
            settings=self.settings,
            slots={"ns-a": 0},
            health_zone="example.com",
            policy=compile_policy(FILTERS),
            memory=self.memory,
            sockets=self.sockets[0],
            emit=lambda name, fields: self.events.append((name, fields)),
        )

    @property
    def address(self) -> tuple[str, int]:
        return self.settings.listeners[0].address.sockaddr

    def state(self) -> str:
        return self.worker.status().backends[0].state


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    backend = await UdpBackend(node).open()
    started = Rig(backend)
    await started.worker.start()
    yield started
    await started.worker.drain(1)
    close_all(started.sockets)
    await backend.close()


@pytest.fixture
async def client() -> AsyncIterator[UdpClient]:
    opened = await UdpClient().open()
    yield opened
    await opened.close()


def query() -> bytes:
    return dns.message.make_query("www.example.com", "A").to_wire()


async def test_it_knows_its_backend_and_tells_of_changes(rig: Rig, client: UdpClient) -> None:
    await auntil(lambda: rig.state() == "healthy")
    rig.backend.script = lambda _: []
    await auntil(lambda: rig.state() == "unhealthy")
    assert [name for name, _ in rig.events] == ["backend.healthy", "backend.unhealthy"]
    client.send(query(), rig.address)
    await auntil(lambda: client.received)
    assert dns.message.from_wire(client.received[0][0]).rcode().name == "SERVFAIL"
    rig.backend.script = node
    await auntil(lambda: rig.state() == "healthy")
    client.send(query(), rig.address)
    await auntil(lambda: len(client.received) == 2)
    assert dns.message.from_wire(client.received[1][0]).answer


async def test_a_reload_takes_new_backends_and_keeps_the_doors_open(rig: Rig, client: UdpClient) -> None:
    other = await UdpBackend(node).open()
    changed = IngressSettings(
        listeners=rig.settings.listeners,
        backends=(Backend(name="ns-b", address=other.endpoint),),
        health=rig.settings.health,
        udp=rig.settings.udp,
    )
    rig.worker.reload(changed, {"ns-b": 1}, "example.com", compile_policy(FILTERS))
    await auntil(lambda: rig.state() == "healthy")
    client.send(query(), rig.address)
    await auntil(lambda: client.received)
    assert rig.memory.backend(1)["answers"] == 1
    assert [status.name for status in rig.worker.status().backends] == ["ns-b"]
    await other.close()


async def test_draining_answers_what_is_in_flight_and_reads_no_more(client: UdpClient) -> None:
    backend = await UdpBackend(node).open()
    started = Rig(backend)
    await started.worker.start()
    await auntil(lambda: started.state() == "healthy")
    backend.script = lambda _: []
    client.send(query(), started.address)
    await auntil(lambda: started.worker.status().udp_in_flight == 1)
    held = next(data for data, _ in backend.received if b"\x03www" in data)
    source = next(source for data, source in backend.received if data == held)
    backend.send(answer_to(held), source)
    await started.worker.drain(1)
    await auntil(lambda: client.received)
    client.send(query(), started.address)
    assert started.memory.received()["udp"] == 1
    assert "worker.drain-incomplete" not in dict(started.events)
    close_all(started.sockets)
    await backend.close()


async def test_it_is_scheduled_as_configured(rig: Rig) -> None:
    before = os.sched_getscheduler(0)
    try:
        for scheduling, policy in (("normal", os.SCHED_OTHER), ("batch", os.SCHED_BATCH)):
            changed = msgspec.structs.replace(rig.settings, scheduling=scheduling)
            rig.worker.reload(changed, {"ns-a": 0}, "example.com", compile_policy(FILTERS))
            assert os.sched_getscheduler(0) == policy
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))


async def test_a_receive_buffer_that_is_not_granted_is_told_with_its_remedy() -> None:
    backend = await UdpBackend(node).open()
    started = Rig(backend, receive_buffer=1 << 30)
    await started.worker.start()
    granted = started.worker.status().udp_receive_buffer
    told = dict(started.events).get("ingress.receive-buffer-small")
    # With the privilege to go over net.core.rmem_max the kernel grants it, and there is nothing to tell.
    assert (told is None) == (granted >= 1 << 30)
    if told is not None:
        assert "sysctl -w net.core.rmem_max=1073741824" in str(told["remedy"])
    await started.worker.drain(1)
    close_all(started.sockets)
    await backend.close()
