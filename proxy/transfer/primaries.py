"""The serial that the primaries of a zone have, asked through their tunnels: for NOTIFY that does not say it, and where
the backends stop short of what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import dns.exception
import dns.message
import dns.name

from proxy.egress.pool.asking import ask_stream
from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.errors import ProxyError
from proxy.protocol.notify import soa_serial
from proxy.transfer.asking import soa_query

PATIENCE = 3.0
"""Seconds for one primary through one tunnel."""

Reach = Callable[[str], tuple[PrimaryServer, Route]]
"""The primary of a name, and the route to it."""


async def primary_serial(zone: dns.name.Name, primaries: Sequence[str], reach: Reach) -> int | None:
    """The serial of the first primary that answers, by the first tunnel that leads there; None: none answers."""
    for name in primaries:
        try:
            server, route = reach(name)
        except KeyError:  # a reload has taken it away meanwhile
            continue
        for tunnel in route.order("tcp"):
            query = soa_query(zone)
            try:
                answer = await ask_stream(partial(server.open_stream, tunnel), query, PATIENCE)
            except ProxyError as error:
                route.failed(tunnel, "tcp", error)
                continue
            route.worked(tunnel, "tcp")
            serial = _serial(answer, zone)
            if serial is not None:
                return serial
            break  # it has no such zone, and says the same through every tunnel
    return None


def _serial(answer: bytes, zone: dns.name.Name) -> int | None:
    try:
        return soa_serial(dns.message.from_wire(answer, keyring=False), zone)
    except dns.exception.DNSException:
        return None
