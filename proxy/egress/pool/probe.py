"""The probe of a way: a real SOA query to the real primary through the real tunnel.

Any answer to the question shows that the way is good, whatever its RCODE: a primary that refuses our question, because
it is not signed as the nodes sign theirs, is reached. Where the key of the primary is known, the probe is signed by it
(RFC 8945).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from proxy.egress.pool.asking import ask_datagram, ask_stream
from proxy.egress.pool.way import Transport
from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.egress.tunnel import Tunnel
from proxy.protocol.tsig import signing_key
from proxy.settings import TsigKey

RCODE_MASK = 15


@dataclass(frozen=True, eq=False, slots=True)
class Subject:
    """A primary to be probed: the route to it, and what to ask for. `zone` is a name as written."""

    route: Route
    primary: PrimaryServer
    zone: str
    key: TsigKey | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """The answer to a probe: its RCODE (RFC 1035 §4.1.1), and the seconds from the question to it, connecting too."""

    rcode: int
    seconds: float


def soa_query(zone: str, key: TsigKey | None) -> bytes:
    """A query for the SOA of `zone`, without recursion, signed where there is a key.

    Raises:
        ValueError: as `signing_key`.
        dns.exception.DNSException: the zone is no name.
    """
    query = dns.message.make_query(dns.name.from_text(zone), dns.rdatatype.SOA, flags=0)
    if key is not None:
        query.use_tsig(signing_key(key))
    return query.to_wire()


async def probe(
    primary: PrimaryServer, tunnel: Tunnel, transport: Transport, zone: str, key: TsigKey | None, limit: float
) -> Heard:
    """Ask the primary through the tunnel.

    Raises:
        ProxyError: no answer within `limit` seconds, or whatever came in its place.
    """
    query = soa_query(zone, key)
    began = time.monotonic()
    if transport == "tcp":
        answer = await ask_stream(lambda protocol, first: primary.open_stream(tunnel, protocol, first), query, limit)
    else:
        answer = await ask_datagram(tunnel, primary.address, query, limit)
    return Heard(answer[3] & RCODE_MASK, time.monotonic() - began)
