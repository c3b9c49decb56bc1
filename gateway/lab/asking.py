"""Small questions that the lab asks: a zone's serial over DNS, a page of the admin address over HTTP."""

from __future__ import annotations

import asyncio

import dns.asyncquery
import dns.exception
import dns.message
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.SOA import SOA

from proxy.values import Endpoint

PATIENCE = 2.0  # seconds
LARGEST_PAGE = 16 << 20


async def serial(endpoint: Endpoint, zone: str) -> int | None:
    """The serial at which a zone is served; None if it is not, or no answer came."""
    address, port = endpoint.sockaddr
    try:
        query = dns.message.make_query(zone, RdataType.SOA)
        answer = await dns.asyncquery.udp(query, address, timeout=PATIENCE, port=port)
    except (OSError, dns.exception.DNSException):
        return None
    return next((record.serial for rrset in answer.answer for record in rrset if isinstance(record, SOA)), None)


async def page(endpoint: Endpoint, path: str) -> tuple[int, str]:
    """Status and body of an HTTP page (RFC 9112, one request a connection).

    Raises:
        OSError: nobody listens there, or the answer is not HTTP, or too long, or did not come in time.
    """
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(*endpoint.sockaddr)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n".encode())
            answer = await _all(reader)
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 3 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise OSError(f"{endpoint} does not speak HTTP")
    return int(words[1]), body.decode(errors="replace")


async def is_ready(endpoint: Endpoint, path: str) -> bool:
    """Whether a page of the admin address says 200."""
    try:
        status, _ = await page(endpoint, path)
    except OSError:
        return False
    return status == 200


async def _all(reader: asyncio.StreamReader) -> bytes:
    parts = bytearray()
    while part := await reader.read(64 << 10):
        parts += part
        if len(parts) > LARGEST_PAGE:
            raise OSError("the page is too long")
    return bytes(parts)
