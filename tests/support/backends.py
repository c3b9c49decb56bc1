"""Scripted neighbours over UDP: a backend that answers as the test says, and a client that keeps what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self, cast

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


class UdpClient(asyncio.DatagramProtocol):
    """Sends bytes and keeps what comes, in `received` with where it came from."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, tuple[str, int]]] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._lost = asyncio.get_running_loop().create_future()

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Take `port` of `host`, or a free one."""
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=(host, port))
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's own class is not derived from it

    def connection_lost(self, _exc: Exception | None) -> None:
        self._lost.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.append((data, addr))

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        """Send one datagram."""
        self._open_transport.sendto(data, to)

    async def close(self) -> None:
        """Close the socket."""
        self._open_transport.close()
        await self._lost

    @property
    def endpoint(self) -> Endpoint:
        """Our address and port."""
        host, port = self._open_transport.get_extra_info("sockname")[:2]
        return Endpoint.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    @property
    def _open_transport(self) -> asyncio.DatagramTransport:
        assert self._transport is not None
        return self._transport


class UdpBackend(UdpClient):
    """Answers each query with the messages that `script` makes of it."""

    def __init__(self, script: Script = lambda query: [answer_to(query)]) -> None:
        super().__init__()
        self.script = script

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        super().datagram_received(data, addr)
        for answer in self.script(data):
            self.send(answer, addr)
