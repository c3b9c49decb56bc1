"""Fresh probes through every tunnel, from the configuration file, by the command itself.

So they work before the gateway is started and while it runs, take nothing from it, and try what the file says now.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dns.rcode
import msgspec
from msgspec import Struct

from proxy.egress.counters import TunnelCounters
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
from proxy.settings import Primary, TsigKey
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
        return replace(probed, ok=False, reason="rcode", error=said, remedy=remedy("rcode"))


def tasks(
    tunnels: dict[str, Tunnel],
    primaries: tuple[Primary, ...],
    servers: Mapping[str, PrimaryServer],
    zones: dict[str, str],
    keys: dict[str, TsigKey],
    only: str | None,
) -> Iterator[Task]:
    """Every tunnel of every primary over every transport that leads there; `zones` by the primary's name."""
    for primary in primaries:
        server = servers[primary.name]
        for name in primary.tunnels:
            tunnel = tunnels[name]
            if only is not None and name != only:
                continue
            transports: tuple[Transport, ...] = ("udp", "tcp")
            for transport in transports:
                if transport == "udp" and not (server.carries_udp and tunnel.carries_udp):
                    continue
                key = keys.get(primary.tsig_key or "")
                yield Task(primary, server, tunnel, transport, zones.get(primary.name, ROOT), key)


async def run(made: list[Task], limit: float) -> AsyncIterator[Probed]:
    """Make the probes, some at a time; results as they come."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(task: Task) -> Probed:
        async with gate:
            return await task.run(limit)

    for done in asyncio.as_completed([one(task) for task in made]):
        yield await done


async def ask_exits(tunnels: list[tuple[TunnelSettings, Tunnel]]) -> tuple[ExitAddressStatus, ...]:
    """From where each tunnel is seen, where a server that says so is configured."""

    async def one(settings: TunnelSettings, tunnel: Tunnel) -> ExitAddressStatus:
        check = Check(settings, tunnel)
        try:
            check.seen = await ask_whoami(settings, tunnel)
        except ProxyError as error:
            check.error = str(error)
        return check.status()

    return tuple(await asyncio.gather(*(one(settings, tunnel) for settings, tunnel in tunnels)))


def open_primaries(primaries: tuple[Primary, ...], base: Path) -> Mapping[str, PrimaryServer]:
    """The primaries of a configuration, by name. Paths in it are relative to `base`.

    Raises:
        ValueError: certificates or keys that can't be used.
    """
    return Primaries(base, lambda _name, _fields: None).compile(primaries).servers


def open_tunnels(settings: tuple[TunnelSettings, ...]) -> dict[str, Tunnel]:
    """The tunnels of a configuration that was checked; nothing is opened yet."""
    return {name: made.tunnel for name, made in make_tunnels(settings, {}, TunnelCounters).items()}
