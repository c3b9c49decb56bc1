"""A TCP ingress in the test's own process, with a clock that the test moves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import dns.message

from dataplane import SharedMemory
from filters.policy import compile_policy
from filters.settings import FilterSettings
from proxy.ingress.slots import Seat, Slots
from proxy.ingress.sockets import close_all, open_listener_sockets
from proxy.ingress.tcp import TcpIngress, TcpStatus
from proxy.settings import Backend, Grant, IngressSettings, Listener, TcpSettings
from proxy.values import Endpoint
from tests.support.peers import auntil, free_port
from tests.support.streams import StreamClient

# No time-out comes due by itself: the test moves the clock.
PATIENT = TcpSettings(idle_timeout=3600, read_timeout=3600, write_timeout=3600)


class Clock:
    """The monotonic clock, moved ahead by the test."""

    def __init__(self) -> None:
        self._ahead = 0

    def __call__(self) -> int:
        return time.monotonic_ns() + self._ahead

    def forward(self, seconds: float) -> None:
        """Let that much time have passed."""
        self._ahead += int(seconds * 1e9)


class Door:
    """The ingress, and what a test wants to see of it."""

    def __init__(self, settings: IngressSettings, filters: FilterSettings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.memory = SharedMemory.create(1, filters.table_size)
        self.failures: Counter[int] = Counter()
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.clients: list[StreamClient] = []
        self.slots = Slots()
        self.sockets = open_listener_sockets(settings, 1)
        self.ingress = TcpIngress(
            settings=settings,
            slots=self.slots.assign(settings.backends),
            policy=compile_policy(filters),
            seat=Seat(self.memory, 0),
            on_backend_failure=lambda slot: self.failures.update([slot]),
            emit=lambda name, fields: self.events.append((name, fields)),
            clock=self.clock,
        )

    @property
    def address(self) -> tuple[str, int]:
        return self.settings.listeners[0].address.sockaddr

    @property
    def status(self) -> TcpStatus:
        return self.ingress.status()

    def verdicts(self) -> Counter[tuple[str, str]]:
        """Counts by verdict and reason."""
        return Counter({(verdict, reason): count for _, verdict, reason, count in self.memory.verdicts()})

    def dropped_answers(self) -> Counter[str]:
        return Counter({reason: count for _, reason, count in self.memory.answers_dropped()})

    def balanced(self) -> bool:
        """The accounting identity: received = forwarded + replied + dropped + shed."""
        return self.memory.received()["tcp"] == self.verdicts().total()

    async def client(self, *, receive_buffer: int | None = None) -> StreamClient:
        """A connected client that the ingress knows of."""
        before = self.memory.io()["connections-accepted"]
        client = await self.connect(receive_buffer=receive_buffer)
        await auntil(lambda: self.memory.io()["connections-accepted"] > before)
        return client

    async def connect(self, *, receive_buffer: int | None = None) -> StreamClient:
        """A client that the ingress may refuse."""
        self.clients.append(await StreamClient().open(self.address, receive_buffer=receive_buffer))
        return self.clients[-1]

    async def is_refused(self) -> bool:
        """Whether one more client is turned away; the reset may come before or after it knows that it was connected."""
        before = self.memory.io()["connections-refused"]
        try:
            client = await self.connect()
        except ConnectionResetError:
            return self.memory.io()["connections-refused"] > before
        known = self.memory.io()["connections-accepted"] + before
        await auntil(lambda: client.lost or self.memory.io()["connections-accepted"] + before > known)
        return client.lost

    async def close(self) -> None:
        """Close the ingress and the clients."""
        self.ingress.close()
        for client in self.clients:
            client.transport.abort()
        await auntil(lambda: all(client.lost for client in self.clients) and not self.status.connections)
        close_all(self.sockets)

    def reload(self, settings: IngressSettings, filters: FilterSettings) -> None:
        """Swap settings and policy."""
        self.ingress.reload(settings, self.slots.assign(settings.backends), compile_policy(filters))


def ingress_settings(
    *backends: Endpoint,
    listen: Endpoint | None = None,
    tcp: TcpSettings = PATIENT,
    allow: tuple[Grant, ...] = (),
    patience: float = 60,
) -> IngressSettings:
    """Settings with one listener and these backends, which have `patience` seconds to answer."""
    return IngressSettings(
        listeners=(
            Listener(
                address=listen or Endpoint.parse(f"127.0.0.1:{free_port()}"),
                transports=("tcp",),
                allow=allow,
            ),
        ),
        backends=tuple(Backend(name=f"ns-{address.port}", address=address, timeout=patience) for address in backends),
        tcp=tcp,
    )


@asynccontextmanager
async def door(settings: IngressSettings, filters: FilterSettings | None = None) -> AsyncIterator[Door]:
    """A served door. At its end the books must balance."""
    opened = Door(settings, filters or FilterSettings())
    await opened.ingress.start(opened.sockets[0])
    try:
        yield opened
        assert opened.balanced()
    finally:
        await opened.close()


async def stands_still(value: Callable[[], int]) -> int:
    """Wait until `value` has risen above 0 and moves no more; returns it."""
    looks: list[int] = []

    def is_still() -> bool:
        looks.append(value())
        return looks[-1] > 0 and len(looks) > 5 and len(set(looks[-5:])) == 1

    await auntil(is_still)
    return looks[-1]


def query(name: str = "www.example.com", kind: str = "A", identity: int = 4711) -> bytes:
    """A query in wire form."""
    return dns.message.make_query(name, kind, id=identity, use_edns=0).to_wire()


def identities(messages: list[bytes]) -> list[int]:
    """The IDs of messages."""
    return [int.from_bytes(message[:2], "big") for message in messages]
