"""A zone transfer through an open pipe (RFC 5936), if the serial of the zone has changed (RFC 1982).

The messages go into the body as they came, each behind its length, for the data plane to read.
"""

from __future__ import annotations

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from dataplane import count_soas
from proxy.egress.fetch.body import Body, FetchError, Known
from proxy.egress.fetch.pipe import Pipe


class _Frames:
    """Messages with their lengths in front, out of a pipe."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._buffer = bytearray()

    async def next(self) -> bytes:
        await self._fill(2)
        length = 2 + int.from_bytes(self._buffer[:2])
        await self._fill(length)
        message = bytes(self._buffer[2:length])
        del self._buffer[:length]
        return message

    async def _fill(self, length: int) -> None:
        while len(self._buffer) < length:
            data = await self._pipe.read()
            if not data:
                raise FetchError("the primary closed the connection before the transfer was whole")
            self._buffer += data


async def transfer(pipe: Pipe, zone: str, source: str, body: Body) -> bool:
    """Transfer `zone` into `body`, if its serial is another; whether it is. `source` says from where.

    Raises:
        FetchError: the primary refuses, the answer is malformed, or it is too long.
        ProxyError, OSError: the tunnel broke.
    """
    frames, known = _Frames(pipe), body.known(source)
    serial = await _serial(pipe, frames, zone)
    if serial == known.serial:
        return False
    query = dns.message.make_query(zone, dns.rdatatype.AXFR, flags=0)
    pipe.write(_framed(query.to_wire()))
    soas = 0
    with body as new:
        while soas < 2:
            message = await frames.next()
            if int.from_bytes(message[:2]) != query.id:
                raise FetchError("an answer with another ID")
            found = count_soas(message)
            if found is None or (soas == 0 and not found):
                code = dns.rcode.to_text(dns.rcode.Rcode(message[3] & 15)) if len(message) > 3 else "too short"
                raise FetchError(f"no transfer of {zone}: {code}; the primary must allow it to the exit's address")
            soas += found
            new.write(_framed(message))
        new.keep(Known(source=source, serial=serial))
    return True


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2) + message


async def _serial(pipe: Pipe, frames: _Frames, zone: str) -> int:
    query = dns.message.make_query(zone, dns.rdatatype.SOA, flags=0)
    pipe.write(_framed(query.to_wire()))
    try:
        answer = dns.message.from_wire(await frames.next())
        found = answer.find_rrset(answer.answer, query.question[0].name, query.question[0].rdclass, dns.rdatatype.SOA)
    except (dns.exception.DNSException, KeyError):
        raise FetchError(f"the primary has no SOA of {zone}") from None
    if answer.id != query.id:
        raise FetchError("an answer with another ID")
    return int(found[0].serial)
