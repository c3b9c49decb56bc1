"""What a cell is: over UDP queries of one session, over TCP a stream of queries with 100 kB in both directions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import asyncio_dgram
import dns.message

from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.protocol.dns_frames import FrameReader, frame
from proxy.values import Endpoint
from tests.egress.ring import ask_tcp
from tests.egress.scripted_primary import soa_answer

SOA = dns.message.make_query("example.com", "SOA").to_wire()
LARGE = [SOA[:2] + os.urandom(50_000) for _ in range(2)]
STREAM = [SOA, *LARGE, SOA]
QUERIES = [SOA, SOA[:2] + os.urandom(1200), SOA]
AT_ONCE = 8  # cells


def answer(query: bytes) -> bytes:
    """What the server at the far end says: an SOA record where it was asked for one, else what it heard."""
    return soa_answer(query)[0] if query == SOA else query


Ask = Callable[[bytes], Awaitable[bytes]]


class Way(Protocol):
    """A way to the server at the far end, through both programs of a cell."""

    async def stream(self, messages: Sequence[bytes]) -> list[bytes]:
        """Send these over one TCP stream; as many answers."""

    def session(self) -> AbstractAsyncContextManager[Ask]:
        """A UDP session, in which one datagram after the other is sent and answered."""


class LocalPort:
    """A client that opens a port on this machine."""

    def __init__(self, place: Endpoint) -> None:
        self._place = place

    async def stream(self, messages: Sequence[bytes]) -> list[bytes]:
        return await ask_tcp(self._place, *messages)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Ask]:
        node = await asyncio_dgram.connect(self._place.sockaddr)

        async def ask(query: bytes) -> bytes:
            await node.send(query)
            return bytes((await node.recv())[0])

        try:
            yield ask
        finally:
            node.close()


class OurTunnel:
    """Our own client, in this process."""

    def __init__(self, tunnel: Tunnel, target: Endpoint) -> None:
        self._tunnel = tunnel
        self._target = target

    async def stream(self, messages: Sequence[bytes]) -> list[bytes]:
        user = _Reader()
        stream = await self._tunnel.open_stream(self._target, user, frame(messages[0]))
        try:
            stream.write(b"".join(map(frame, messages[1:])))
            return await user.messages(len(messages))
        finally:
            stream.abort()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Ask]:
        path = await self._tunnel.open_datagrams(self._target)

        async def ask(query: bytes) -> bytes:
            await path.send(query)
            return await path.receive()

        try:
            yield ask
        finally:
            path.close()


class _Reader(asyncio.Protocol):
    def __init__(self) -> None:
        self._got: list[bytes] = []
        self._wanted = 0
        self._frames = FrameReader()
        self._over = asyncio.Event()

    async def messages(self, number: int) -> list[bytes]:
        """The first so many, or fewer if the stream is over."""
        self._wanted = number
        self.data_received(b"")
        await self._over.wait()
        return self._got

    def data_received(self, data: bytes) -> None:
        self._got += self._frames.feed(data)
        if self._wanted and len(self._got) >= self._wanted:
            self._over.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over.set()


class Trials:
    """Tries cells, some at once, and keeps what went wrong. `patience` is in seconds, for one transport of a cell."""

    def __init__(self, patience: float = 10.0) -> None:
        self._patience = patience
        self.details: list[str] = []
        self._room = asyncio.Semaphore(AT_ONCE)

    async def cell(self, name: str, way: Way | None, transports: Sequence[str] = ("TCP", "UDP")) -> str:
        """What stands in the cell. `transports` are those that both programs have; without any there is no `way`."""
        if way is None:
            return "-"
        async with self._room:
            passed = [await self._passes(f"{name}, {transport}", way, transport) for transport in transports]
        return ", ".join(word if fine else f"no {word}" for word, fine in zip(transports, passed, strict=True))

    async def _passes(self, name: str, way: Way, transport: str) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                if transport == "TCP":
                    fine = await way.stream(STREAM) == list(map(answer, STREAM))
                else:
                    async with way.session() as ask:
                        fine = [await ask(query) for query in QUERIES] == list(map(answer, QUERIES))
        except (OSError, EOFError, ProxyError) as error:
            self.details.append(f"{name}: {type(error).__name__}: {error}")
            return False
        if not fine:
            self.details.append(f"{name}: another answer than the server gave")
        return fine
