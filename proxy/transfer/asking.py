"""Small questions and their answers over UDP, to one backend: each from a socket and a port of its own.

| PROXY header, where the backend takes one | DNS message |  ->  backend
| the same header, with SPP                 | answer      |  <-
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from proxy.protocol.notify import soa_serial
from proxy.protocol.proxy_headers import Way, answer_header, datagram_header, told, way_of
from proxy.settings import Backend
from proxy.values import Endpoint


class _Answer(asyncio.DatagramProtocol):
    """Completes with the first answer that `read` makes something of."""

    def __init__(self, read: Callable[[bytes], dns.message.Message | None]) -> None:
        self._read = read
        self.result: asyncio.Future[dns.message.Message | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        if not self.result.done() and (message := self._read(data)) is not None:
            self.result.set_result(message)

    def error_received(self, _error: Exception) -> None:
        # A port that is closed is one that answers nothing: the next try may find it open.
        if not self.result.done():
            self.result.set_result(None)


async def ask(
    backend: Backend, wire: bytes, patience: float, way: Way, client: tuple[Endpoint, Endpoint] | None = None
) -> dns.message.Message | None:
    """The answer to `wire` within `patience` seconds; None: there is none, or it can't be asked.

    `client` are the ends that the header names, where they are not our own.
    """
    loop = asyncio.get_running_loop()
    header = b""

    def read(data: bytes) -> dns.message.Message | None:
        back = answer_header(way, header)
        return _matching(data[len(back) :], wire) if data.startswith(back) else None

    try:
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Answer(read),
            remote_addr=backend.address.sockaddr,
            family=socket.AF_INET6 if backend.address.address.version == 6 else socket.AF_INET,
        )
    except OSError:  # no route now, or no descriptors: nothing is heard, and the next try is later
        return None
    try:
        ends = client or (Endpoint.of(transport.get_extra_info("sockname")), backend.address)
        header = datagram_header(way, *ends)
        transport.sendto(header + wire)
        async with asyncio.timeout(patience):
            return await protocol.result
    except TimeoutError:
        return None
    finally:
        transport.close()


def _matching(data: bytes, wire: bytes) -> dns.message.Message | None:
    # ID, QR and opcode; the question may be missing in an error.
    if len(data) < 12 or data[:2] != wire[:2] or data[2] & 0xF8 != wire[2] & 0x78 | 0x80:
        return None
    try:
        return dns.message.from_wire(data, keyring=False, ignore_trailing=True)
    except dns.exception.DNSException:
        return None


def soa_query(zone: dns.name.Name) -> bytes:
    """A query for the SOA of the zone, with an ID of its own."""
    name = zone.to_wire()
    assert name is not None
    # By hand, because it is asked more than anything else here: one question, class IN, no flags.
    return secrets.token_bytes(2) + b"\0\0\0\1\0\0\0\0\0\0" + name + b"\0\6\0\1"


async def ask_serial(backend: Backend, zone: dns.name.Name, patience: float) -> int | None:
    """The serial at which a backend serves the zone; None: it does not, or says nothing."""
    answer = await ask(backend, soa_query(zone), patience, way_of(backend.proxy_protocol))
    return None if answer is None else soa_serial(answer, zone)


async def tell(
    backend: Backend, wire: bytes, patience: float, client: tuple[Endpoint, Endpoint]
) -> dns.message.Message | None:
    """Send a NOTIFY to a backend; where that takes a PROXY header, as from the client that sent it to us."""
    return await ask(backend, wire, patience, told(backend.proxy_protocol), client)
