"""A transfer for ourselves through an open pipe, judged by the guard as those of the nodes are (RFC 5936, RFC 1995).

The messages are handed on as they came, each behind its length. What is handed on before the verdict must not be used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from dataplane import Answers, GuardLimits, Verdict
from proxy.egress.exchanges.judge import guard_limits, tsig_keys
from proxy.egress.fetch.body import Body, FetchError, Known
from proxy.egress.fetch.pipe import Pipe
from proxy.protocol.dns_frames import frame
from proxy.protocol.tsig import signing_key
from proxy.settings import Limits, TsigKey

TICK = 1.0  # seconds between two looks at the limits of time while nothing comes


def transfer_query(zone: str, kind: dns.rdatatype.RdataType, *, serial: int = 0, key: TsigKey | None = None) -> bytes:
    """A query for SOA, AXFR or, from `serial` on, IXFR, signed if there is a key (RFC 8945).

    Raises:
        ValueError: not a zone's name, or not base64.
    """
    query = dns.message.make_query(zone, kind, flags=0)
    if kind == dns.rdatatype.IXFR:
        known = dns.rrset.from_text(dns.name.from_text(zone), 0, "IN", "SOA", f". . {serial} 0 0 0 0")
        query.authority.append(known)
    if key is not None:
        query.use_tsig(signing_key(key))
    return query.to_wire()


def guard(key: TsigKey | None, limits: Limits | None = None) -> Answers:
    """The guard of one connection, which verifies what this key signs; without limits its own hold."""
    limited = GuardLimits() if limits is None else guard_limits(limits)
    return Answers(limits=limited, keys=tsig_keys((key,)) if key is not None else None)


async def receive(pipe: Pipe, query: bytes, answers: Answers, take: Callable[[bytes], None]) -> Verdict:
    """Ask, and give each part of the answer to `take`, until there is a verdict.

    Raises:
        ProxyError, OSError: the tunnel broke.
    """
    answers.expect(query, time.time())
    pipe.write(frame(query))
    while True:
        try:
            async with asyncio.timeout(TICK):
                data = await pipe.read()
        except TimeoutError:
            pieces = answers.tick(time.time())
        else:
            pieces = answers.feed(data, time.time()) if data else answers.finish()
        for piece in pieces:
            if piece.data:
                take(piece.data)
            if piece.verdict is not None:
                return piece.verdict


async def transfer(pipe: Pipe, zone: str, source: str, body: Body, key: TsigKey | None = None) -> bool:
    """Transfer `zone` into `body`, if its serial is another; whether it is. `source` says from where.

    Raises:
        FetchError: the primary refuses, the answer is not one that a node may use, or it is too long.
        ProxyError, OSError: the tunnel broke.
    """
    known, answers = body.known(source), guard(key)
    checked = await receive(pipe, transfer_query(zone, dns.rdatatype.SOA, key=key), answers, lambda _: None)
    _verify(zone, checked)
    if checked.serial == known.serial:
        return False
    with body as new:
        found = await receive(pipe, transfer_query(zone, dns.rdatatype.AXFR, key=key), answers, new.write)
        _verify(zone, found)
        new.keep(Known(source=source, serial=found.serial))
    return True


def _verify(zone: str, verdict: Verdict) -> None:
    if verdict.kind == "error":
        code = dns.rcode.to_text(dns.rcode.Rcode(verdict.rcode))
        raise FetchError(f"no transfer of {zone}: {code}; the primary must allow it to the exit's address")
    if not verdict.accepted:
        raise FetchError(f"no transfer of {zone}: {verdict.detail} ({verdict.reason})")
