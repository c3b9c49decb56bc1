"""One health check of a backend: a SOA query, behind the PROXY header that the backend expects, and a good answer.

A backend that waits for a header and gets none, or the other way round, is silent or reports an error: a PROXY v2
header reads as a DNS message of opcode 1 with thirteen questions. So when a backend fails, the other ways are tried
once, and the one that is answered says which setting is wrong.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Literal

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from proxy.ingress.descriptors import is_shortage
from proxy.ingress.sockets import family_of
from proxy.protocol.proxy_headers import Way, answer_header, datagram_header, told, way_of
from proxy.settings import Backend, ProxyOut
from proxy.values import Endpoint

Finding = Literal["good", "wrong", "silent"] | None
"""What a check found: a good answer; other answers, or a closed port; nothing. None: it could not be made for want of
our own descriptors or memory, which says nothing of the backend."""


def is_good_answer(answer: bytes, query: dns.message.Message) -> bool:
    """Whether `answer` shows a working secondary: our question again, and NOERROR with the SOA for a named zone.

    For the root (no zone is known) any answer but SERVFAIL will do: an authoritative server refuses it.
    """
    try:
        message = dns.message.from_wire(answer, ignore_trailing=True)
    except dns.exception.DNSException:
        return False
    if not query.is_response(message):
        return False
    if query.question[0].name == dns.name.root:
        return message.rcode() != dns.rcode.SERVFAIL
    return message.rcode() == dns.rcode.NOERROR and any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.answer)


class _OneAnswer(asyncio.DatagramProtocol):
    """Completes with "good" at the first datagram that passes `accept`, or with "wrong" on a refused port."""

    def __init__(self, accept: Callable[[bytes], bool]) -> None:
        self._accept = accept
        self.result: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()
        self.others = False  # other answers came

    def datagram_received(self, data: bytes, _addr: object) -> None:
        if self.result.done():
            return
        if self._accept(data):
            self.result.set_result("good")
        self.others = True

    def error_received(self, _error: Exception) -> None:
        if not self.result.done():
            self.result.set_result("wrong")


async def check(address: Endpoint, zone: str | None, patience: float, way: Way = "plain") -> Finding:
    """Ask `address` over UDP for the SOA of `zone` and wait up to `patience` seconds for a good answer."""
    query = dns.message.make_query(dns.name.from_text(zone or "."), dns.rdatatype.SOA, id=secrets.randbits(16))
    query.flags &= ~dns.flags.RD
    loop = asyncio.get_running_loop()
    head = b""

    def accept(data: bytes) -> bool:
        # SPP stands before the answer too.
        back = answer_header(way, head)
        return data.startswith(back) and is_good_answer(data[len(back) :], query)

    try:
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _OneAnswer(accept),
            remote_addr=address.sockaddr,
            family=family_of(address),
        )
    except OSError as error:
        return None if is_shortage(error) else "wrong"
    try:
        head = datagram_header(way, Endpoint.of(transport.get_extra_info("sockname")), address)
        transport.sendto(head + query.to_wire())
        async with asyncio.timeout(patience):
            return await protocol.result
    except TimeoutError:
        return "wrong" if protocol.others else "silent"
    finally:
        transport.close()


async def advice(backend: Backend, zone: str | None, patience: float) -> str | None:
    """Which setting of its PROXY header is wrong, by what it answers; None when none explains it."""
    ways: tuple[Way, ...] = ("plain", "local", "v2", "spp")
    answers = await asyncio.gather(*(check(backend.address, zone, patience, way) for way in ways))
    return remedy(backend.proxy_protocol, {way for way, good in zip(ways, answers, strict=True) if good == "good"})


def remedy(header: ProxyOut, answered: set[Way]) -> str | None:
    """What to change in the settings of a backend that has answered these ways."""
    wanted = told(header).removesuffix("-crc")
    if not answered or (wanted in answered and way_of(header).removesuffix("-crc") in answered):
        return None
    if wanted in answered:
        health = "plain" if "plain" in answered else "proxy"
        return f'it takes the header of a client, but no LOCAL: set proxy_protocol.health = "{health}"'
    if wanted == "plain":
        word = "spp" if answered == {"spp"} else "v2"
        return f'it answers only behind a header: set proxy_protocol.udp = "{word}"'
    name = "SPP" if wanted == "spp" else "PROXY v2"
    if "plain" in answered:
        return f'it answers without a header only: set proxy_protocol.udp = "off", or let it take {name} from us'
    return f'it does not answer {name}: set proxy_protocol.udp = "{"spp" if "spp" in answered else "v2"}"'
