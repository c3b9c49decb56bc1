"""Four primaries, four nodes, and between them a gateway and an exit of ours: everything runs once, for all cells.

    node ── SOA over UDP, AXFR and IXFR over TCP ── forwarder ── Shadowsocks 2022 ── exit ── the same, or TLS ── primary
    node ── a wire that hears what passes ── primary

Each row of the table is a forwarder, or such a wire. Each cell has a zone of its own, so that what is said of a
transfer is said of that cell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Key, Primary, Secondary, ServerTls
from gateway.lab.servers.server import NameServer
from proxy.settings import EgressSettings, Forwarder, PrimaryTls, TsigKey
from proxy.settings import Primary as PrimarySettings
from proxy.values import Endpoint, Secret
from tests.egress.ring import (
    Events,
    exit_settings,
    fresh_endpoint,
    fresh_key,
    running,
    ss_url,
    tunnel,
)
from tests.interop.transfer_zones import LARGE_RRSET, Kind, text
from tests.support.certificates import Authority
from tests.support.tap import Tap, tapped

METHOD = "2022-blake3-aes-256-gcm"
SERVER_NAME = "ns.primary.example"
Software = type[NameServer]
Way = Literal["none", "TCP", "TLS"]


@dataclass(frozen=True, eq=False)
class Row:
    """How transfers from one primary go. `key` is of TSIG."""

    primary: Software
    way: Way  # from our exit to the primary; "none": we are not there at all
    zone: Kind
    algorithm: str = ""
    listen: Endpoint = field(default_factory=fresh_endpoint)

    @property
    def name(self) -> str:
        """As names of zones, keys and primaries want it."""
        words = [self.primary.software, self.way, self.algorithm.removeprefix("hmac-") or "open", self.zone]
        return "-".join(words).lower()

    def zone_of(self, node: Software) -> str:
        """The zone of a cell."""
        return f"{node.software.lower()}.{self.name}.example"


Cell = tuple[Row, Software]  # and the node


class TransferStage:
    """What runs, and what was seen of transfers."""

    def __init__(self, directory: Path, rows: Sequence[Row], nodes: Sequence[Software]) -> None:
        self.events = Events()  # of our gateway
        self.nodes: dict[Software, NameServer] = {}
        self._directory = directory
        self._rows = rows
        self._kinds = nodes
        self._keys = {row: Key.generate(f"{row.name}-key", row.algorithm) for row in rows if row.algorithm}
        self._authority = Authority(directory / "ca")
        self._primaries = {kind: self._primary(kind) for kind in dict.fromkeys(row.primary for row in rows)}
        self._taps: dict[Row, Tap] = {}

    async def publish(self, cells: Iterable[Cell], serial: int) -> None:
        """Change the zones of these cells at their primaries."""
        changes: dict[Software, dict[str, str]] = {}
        for row, node in cells:
            zone = row.zone_of(node)
            changes.setdefault(row.primary, {})[zone] = text(row.zone, zone, serial)
        await asyncio.gather(
            *(asyncio.to_thread(self._primaries[kind].publish_all, texts) for kind, texts in changes.items())
        )

    def transfers(self, row: Row, node: Software, serial: int) -> set[str]:
        """The kinds of transfers to this serial: those that the guard let pass, or that the wire heard."""
        zone = row.zone_of(node)
        if row in self._taps:
            return self._taps[row].transfers(zone, serial)
        accepted = self.events.named("transfer.accepted")
        return {str(seen["kind"]) for seen in accepted if (seen["zone"], seen["serial"]) == (zone, serial)}

    def rejected(self) -> list[str]:
        """What the guard rejected, and why."""
        return [f"{seen['zone']}: {seen['detail']}" for seen in self.events.named("transfer.rejected")]

    async def start(self, ending: AsyncExitStack) -> None:
        """Start all that is needed, until `ending`. The zones come to the nodes after that."""
        await _start(ending, self._primaries.values())
        for row in self._rows:
            if row.way == "none":
                self._taps[row] = await ending.enter_async_context(tapped(self._primaries[row.primary].endpoint))
        await self._start_gateway(ending)
        self.nodes = {kind: kind(self._node(kind), self._directory / f"node-{kind.software}") for kind in self._kinds}
        await _start(ending, self.nodes.values())

    def _primary(self, kind: Software) -> NameServer:
        shown = self._authority.issue(SERVER_NAME, file=kind.software)
        tls = ServerTls(fresh_endpoint(), shown.file, shown.key)
        roles = [
            Primary(
                {name: text(row.zone, name, 1) for name in map(row.zone_of, self._kinds)},
                key=self._keys.get(row),
                tls=tls if row.way == "TLS" else None,
                rrset=LARGE_RRSET,
            )
            for row in self._rows
            if row.primary is kind
        ]
        return kind(roles, self._directory / f"primary-{kind.software}")

    def _node(self, kind: Software) -> list[Secondary]:
        places = {row: self._taps[row].endpoint if row in self._taps else row.listen for row in self._rows}
        return [
            Secondary((row.zone_of(kind),), place, self._keys.get(row), rrset=LARGE_RRSET)
            for row, place in places.items()
        ]

    async def _start_gateway(self, ending: AsyncExitStack) -> None:
        """An exit, and the gateway whose one tunnel ends there."""
        rows = [row for row in self._rows if row.way != "none"]
        primaries, key = [self._seen_by_us(row) for row in rows], fresh_key(METHOD)
        exit_ = exit_settings(METHOD, key, list(dict.fromkeys(primary.address for primary in primaries)))
        near = EgressSettings(
            tunnels=(tunnel("way", ss_url(METHOD, key, exit_.listen)),),
            tsig_keys=tuple(
                TsigKey(name=key.name, algorithm=key.algorithm, secret=Secret(key.secret))  # type: ignore[arg-type]  # by name
                for key in self._keys.values()
            ),
            primaries=tuple(primaries),
            forwarders=tuple(
                Forwarder(listen=row.listen, primary=row.name, zones=tuple(map(row.zone_of, self._kinds)))
                for row in rows
            ),
        )
        await ending.enter_async_context(running(EgressSettings(exit=exit_)))
        await ending.enter_async_context(running(near, self.events))

    def _seen_by_us(self, row: Row) -> PrimarySettings:
        """What our gateway is told of the primary of a row. NSD 4.6 selects no ALPN."""
        server, key = self._primaries[row.primary], self._keys.get(row)
        place, tls = server.endpoint, None
        if row.way == "TLS" and server.tls is not None:
            place, alpn = server.tls.endpoint, "offered" if row.primary is Nsd else "required"
            tls = PrimaryTls(server_name=SERVER_NAME, ca=str(self._authority.file), alpn=alpn)  # type: ignore[arg-type]  # by name
        return PrimarySettings(
            name=row.name, address=place, tunnels=("way",), tsig_key=key.name if key else None, tls=tls
        )


@asynccontextmanager
async def transfer_stage(
    directory: Path, rows: Sequence[Row], nodes: Sequence[Software]
) -> AsyncIterator[TransferStage]:
    """A stage on which everything has been started."""
    on = TransferStage(directory, rows, nodes)
    async with AsyncExitStack() as ending:
        await on.start(ending)
        yield on


async def _start(ending: AsyncExitStack, servers: Iterable[NameServer]) -> None:
    await asyncio.gather(*(ending.enter_async_context(server) for server in servers))
