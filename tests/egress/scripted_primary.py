"""A primary that answers as a script says, on TCP and UDP of one port, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Self, cast

import dns.message
import dns.rdatatype
import dns.rrset
import dns.tsigkeyring

from proxy.protocol.dns_frames import FrameReader, frame
from proxy.values import Endpoint
from tests.support.peers import free_port

KEYS = dns.tsigkeyring.from_text({"key.": "c2VjcmV0IG9mIHRlc3Rz"})
Script = Callable[[bytes], list[bytes]]  # a query, to its answers
Act = Callable[[bytes, asyncio.Transport], None]  # a query, and the connection that it came on


def soa_answer(query: bytes) -> list[bytes]:
    """The answer of a primary to an SOA query; signed, if that is, by the key of `KEYS`."""
    asked = dns.message.from_wire(query, keyring=KEYS)
    answer = dns.message.make_response(asked)
    name = asked.question[0].name
    answer.answer.append(dns.rrset.from_text(name, 3600, "IN", "SOA", "ns. hostmaster. 7 3600 600 86400 60"))
    return [answer.to_wire()]


def axfr_answer(query: bytes, records: int = 30, per_message: int = 10, serial: int = 7) -> list[bytes]:
    """The answer to an AXFR query: a zone of so many address records between its two SOAs, in several messages."""
    asked = dns.message.from_wire(query, keyring=False)
    name = asked.question[0].name
    soa = dns.rrset.from_text(name, 3600, "IN", "SOA", f"ns. hostmaster. {serial} 3600 600 86400 60")
    hosts = [
        dns.rrset.from_text(f"host-{number}.{name}", 300, "IN", "A", f"192.0.{number >> 8 & 255}.{number & 255}")
        for number in range(records)
    ]
    rows, messages = [soa, *hosts, soa], []
    for at in range(0, len(rows), per_message):
        message = dns.message.make_response(asked)
        message.answer.extend(rows[at : at + per_message])
        messages.append(message.to_wire(max_size=65535))
    return messages


def zone_answer(query: bytes) -> list[bytes]:
    """SOA and AXFR of a small zone."""
    axfr = dns.message.from_wire(query, keyring=False).question[0].rdtype == dns.rdatatype.AXFR
    return axfr_answer(query) if axfr else soa_answer(query)


class ScriptedPrimary:
    """The primary; a context manager. `act` takes the place of the script on TCP: it writes itself."""

    def __init__(self, script: Script = soa_answer, act: Act | None = None, place: Endpoint | None = None) -> None:
        self.script = script
        self.act = act
        self.asked_tcp: list[bytes] = []
        self.asked_udp: list[bytes] = []
        self.connections: set[asyncio.Transport] = set()
        self.accepted = 0
        self.endpoint = place or Endpoint(ip_address("127.0.0.1"), free_port())  # where it answers
        self._server: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        """That of its address, which is on loopback unless another was named."""
        return self.endpoint.port

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Tcp(self), *self.endpoint.sockaddr)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=self.endpoint.sockaddr)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        if self._udp is not None:
            self._udp.close()
        for connection in tuple(self.connections):
            connection.abort()


class _Tcp(asyncio.Protocol):
    def __init__(self, primary: ScriptedPrimary) -> None:
        self._primary = primary
        self._frames = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._primary.connections.add(self.transport)
        self._primary.accepted += 1

    def data_received(self, data: bytes) -> None:
        for query in self._frames.feed(data):
            self._primary.asked_tcp.append(query)
            if self._primary.act is not None:
                self._primary.act(query, self.transport)
                continue
            for answer in self._primary.script(query):
                self.transport.write(frame(answer))

    def connection_lost(self, exc: Exception | None) -> None:
        self._primary.connections.discard(self.transport)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, primary: ScriptedPrimary) -> None:
        self._primary = primary

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._primary.asked_udp.append(data)
        for answer in self._primary.script(data):
            self.transport.sendto(answer, addr)
