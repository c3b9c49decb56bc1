"""Fresh probes through every tunnel, from the configuration file, by the command itself.

So they work before the gateway is started and while it runs, take nothing from it, and try what the file says now.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import dns.rcode
import msgspec
from msgspec import Struct

from filters.errors import FilterError
from filters.names import zone_wire
from gateway.recalled import recall_egress
from gateway.settings import GatewaySettings
from proxy.egress.counters import TunnelCounters
from proxy.egress.exchanges.remedies import remedy_of_code
from proxy.egress.pool.exit_checks import Check, ask_whoami
from proxy.egress.pool.fault import remedy
from proxy.egress.pool.probe import probe
from proxy.egress.pool.way import Transport
from proxy.egress.primaries import Primaries
from proxy.egress.primary import PrimaryServer
from proxy.egress.status import ExitAddressStatus
from proxy.egress.tunnel import Tunnel
from proxy.egress.tunnels import make_tunnels
from proxy.errors import ProxyError
from proxy.settings import EgressSettings, Primary, TsigKey
from proxy.settings import Tunnel as TunnelSettings

AT_ONCE = 16  # probes in flight
ROOT = "."


class Probed(Struct, frozen=True, kw_only=True):
    """What came of one probe. Times are in seconds."""

    primary: str
    tunnel: str
    transport: str
    zone: str
    ok: bool
    round_trip: float | None = None
    rcode: str | None = None
    reason: str | None = None
    error: str | None = None
    remedy: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """All of them."""

    probes: tuple[Probed, ...]
    exit_addresses: tuple[ExitAddressStatus, ...]

    @property
    def ok(self) -> bool:
        """Whether every probe was answered, and no exit is seen where it should not be."""
        return all(each.ok for each in self.probes) and all(
            each.state not in {"mismatch", "failed"} for each in self.exit_addresses
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One probe to be made."""

    primary: Primary
    server: PrimaryServer
    tunnel: Tunnel
    transport: Transport
    zone: str
    key: TsigKey | None

    async def run(self, limit: float) -> Probed:
        """Make it; whatever comes of it is a result."""
        counters, replace = self.tunnel.counters, msgspec.structs.replace
        probed = Probed(
            primary=self.primary.name, tunnel=counters.name, transport=self.transport, zone=self.zone, ok=True
        )
        try:
            heard = await probe(self.server, self.tunnel, self.transport, self.zone, self.key, limit)
        except ProxyError as error:
            advice = remedy(error.reason, counters.kind)
            return replace(probed, ok=False, reason=error.reason, error=str(error), remedy=advice)
        rcode = dns.rcode.to_text(dns.rcode.Rcode(heard.rcode))
        probed = replace(probed, round_trip=heard.seconds, rcode=rcode)
        # Of the root, which is asked for where no zone is known, any answer will do.
        if heard.rcode == dns.rcode.NOERROR or self.zone == ROOT:
            return probed
        said = f"the primary answers {rcode} to SOA of {self.zone}"
        return replace(probed, ok=False, reason="rcode", error=said, remedy=remedy_of_code(heard.rcode))


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be asked."""

    tasks: tuple[Task, ...]
    tunnels: tuple[tuple[TunnelSettings, Tunnel], ...]


async def prepare(settings: GatewaySettings, file: Path, only: str | None, zone: str | None) -> Job:
    """Make tunnels and primaries of the settings in `file`; nothing is opened yet. `only` is the name of a tunnel.

    Raises:
        ValueError: TLS material that can't be used, a zone that is none, or a tunnel that is not there.
    """
    base = file.parent
    egress, addresses = recall_egress(settings, file)
    if zone is not None:
        try:
            zone_wire(zone)
        except FilterError as error:
            raise ValueError(f"{zone!r} is no zone: {error}") from None
    ways = make_tunnels(egress.tunnels, {}, TunnelCounters, addresses)
    if only is not None and only not in ways:
        raise ValueError(f"there is no tunnel {only!r}; known are {', '.join(ways) or 'none'}")
    servers = Primaries(base, lambda _name, _fields: None).compile(egress.primaries).servers
    zones = _zones(egress)
    keys = {each.name: each for each in egress.tsig_keys}
    tasks = (
        Task(primary, servers[primary.name], ways[name].tunnel, transport, zone or zones.get(primary.name, ROOT), key)
        for primary in egress.primaries
        for key in (keys.get(primary.tsig_key or ""),)
        for name in primary.tunnels
        if only in {None, name}
        for transport in _transports(servers[primary.name], ways[name].tunnel)
    )
    chosen = tuple((made.settings, made.tunnel) for name, made in ways.items() if only in {None, name})
    return Job(tuple(tasks), chosen)


def _zones(egress: EgressSettings) -> dict[str, str]:
    """A zone of each primary of which one is known.

    Of doors to one primary only: the zones of others say of none which of them it has.
    """
    doors = [
        *((door.primaries, door.zones) for door in egress.socks_doors),
        *(([each.name for each in door.chosen(egress.primaries)], door.zones) for door in egress.transparent_doors),
    ]
    named = [(each.primary, each.zones) for each in egress.forwarders]
    named += [(primaries[0], zones) for primaries, zones in doors if len(primaries) == 1]
    return {primary: zones[0] for primary, zones in reversed(named) if zones}


def _transports(server: PrimaryServer, tunnel: Tunnel) -> tuple[Transport, ...]:
    return ("udp", "tcp") if server.carries_udp and tunnel.carries_udp else ("tcp",)


async def run(made: Iterable[Task], limit: float) -> AsyncIterator[Probed]:
    """Make the probes, some at a time; results as they come."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(task: Task) -> Probed:
        async with gate:
            return await task.run(limit)

    for done in asyncio.as_completed([one(task) for task in made]):
        yield await done


async def ask_exits(tunnels: Iterable[tuple[TunnelSettings, Tunnel]]) -> tuple[ExitAddressStatus, ...]:
    """From where each tunnel is seen, where a server that says so is configured."""

    gate = asyncio.Semaphore(AT_ONCE)

    async def one(settings: TunnelSettings, tunnel: Tunnel) -> ExitAddressStatus:
        check = Check(settings, tunnel)
        try:
            async with gate:
                check.seen = await ask_whoami(settings, tunnel)
        except ProxyError as error:
            check.error = str(error)
        return check.status()

    return tuple(await asyncio.gather(*(one(settings, tunnel) for settings, tunnel in tunnels)))
