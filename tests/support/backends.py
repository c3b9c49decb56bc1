"""Scripted backends: a UDP server that answers every query as the test says, from where the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rrset

from proxy.values import Endpoint

Script = Callable[[bytes], list[bytes]]


def answer_to(query: bytes) -> bytes:
    """A plain authoritative answer: one A record for the name that was asked."""
    message = dns.message.from_wire(query, ignore_trailing=True)
    response = dns.message.make_response(message)
    response.flags |= dns.flags.AA
    response.answer.append(dns.rrset.from_text(message.question[0].name, 300, "IN", "A", "192.0.2.80"))
    return response.to_wire()


class UdpBackend(asyncio.DatagramProtocol):
    """Keeps the queries it got in `queries` with their sources, and answers each with what `script` makes of it."""

    def __init__(self, script: Script = lambda query: [answer_to(query)]) -> None:
        self.script = script
        self.queries: list[tuple[bytes, tuple[str, int]]] = []
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def start(cls, script: Script | None = None, host: str = "127.0.0.1") -> UdpBackend:
        """Listen on a free port of `host`."""
        backend = cls(script) if script else cls()
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: backend, local_addr=(host, 0))
        return backend

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.queries.append((data, addr))
        for answer in self.script(data):
            self.transport.sendto(answer, addr)

    @property
    def transport(self) -> asyncio.DatagramTransport:
        """The open socket."""
        assert self._transport is not None
        return self._transport

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        host, port = self.transport.get_extra_info("sockname")[:2]
        return Endpoint.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    def close(self) -> None:
        """Stop listening."""
        self.transport.close()


class UdpClient(asyncio.DatagramProtocol):
    """A client that sends bytes and keeps what comes back, with where it came from."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, tuple[str, int]]] = []
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def start(cls, host: str = "127.0.0.1") -> UdpClient:
        """A socket on a free port of `host`, not connected."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_datagram_endpoint(cls, local_addr=(host, 0))
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.append((data, addr))

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        """Send one datagram."""
        assert self._transport is not None
        self._transport.sendto(data, to)

    def close(self) -> None:
        """Close the socket."""
        assert self._transport is not None
        self._transport.close()
