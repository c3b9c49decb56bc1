"""Zones of name servers, as tests look at them: the serial that is served, and the whole content by AXFR.

Both block; in an async test whose own event loop carries the traffic, call them through `asyncio.to_thread`.
"""

from __future__ import annotations

import contextlib

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.xfr
import dns.zone
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.SOA import SOA

from gateway.lab.servers.roles import Key
from proxy.values import Endpoint
from tests.support.peers import until

PATIENCE = 20.0  # seconds until a change must be served; ten times what a refresh takes


def ask(
    endpoint: Endpoint, name: str, rdtype: str = "SOA", *, tcp: bool = False, dnssec: bool = False
) -> dns.message.Message:
    """The answer to one query.

    Raises:
        dns.exception.Timeout: none came within two seconds.
    """
    query = dns.message.make_query(name, rdtype, want_dnssec=dnssec)
    transport = dns.query.tcp if tcp else dns.query.udp
    return transport(query, str(endpoint.address), timeout=2.0, port=endpoint.port)


def serial(endpoint: Endpoint, zone: str) -> int | None:
    """The serial of the zone that is served; None while there is none."""
    try:
        answer = ask(endpoint, zone)
    except (dns.exception.Timeout, ConnectionRefusedError):
        return None
    return next((record.serial for rrset in answer.answer for record in rrset if isinstance(record, SOA)), None)


def await_serial(endpoint: Endpoint, zone: str, wanted: int) -> None:
    """Block until the zone is served at a serial.

    Raises:
        WaitError: it was not, for `PATIENCE` seconds.
    """
    until(lambda: serial(endpoint, zone) == wanted, PATIENCE, f"{zone} at serial {wanted} from {endpoint}")


def content(endpoint: Endpoint, zone: str, key: Key | None = None) -> dns.zone.Zone:
    """The whole zone, by AXFR; with a key, signed and checked.

    Raises:
        dns.exception.DNSException, OSError, EOFError: the transfer failed or was refused.
    """
    copy = dns.zone.Zone(zone, relativize=False)
    query = dns.message.make_query(zone, RdataType.AXFR)
    if key is not None:
        query.use_tsig(key.for_dnspython())
    dns.query.inbound_xfr(str(endpoint.address), copy, query, port=endpoint.port, timeout=5.0, lifetime=30.0)
    return copy


def settled(endpoint: Endpoint, zone: str) -> dns.zone.Zone:
    """`content` of a node that may still be taking the zone into use: NSD refuses transfers for a moment then, or
    ends the connections of the processes that it replaces.
    """

    def found() -> dns.zone.Zone | None:
        with contextlib.suppress(dns.xfr.TransferError, ConnectionError, EOFError):
            return content(endpoint, zone)
        return None

    whole = until(found, PATIENCE, f"a transfer of {zone} from {endpoint}")
    assert whole is not None
    return whole


def parsed(text: str, zone: str) -> dns.zone.Zone:
    """A zone from its master-file text, to compare with `content`."""
    return dns.zone.from_text(text, zone, relativize=False)
