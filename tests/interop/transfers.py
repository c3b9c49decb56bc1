"""Transfers: each primary with each node, whole and incremental, open and signed, over TCP and over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns
from tests.interop.page import Section
from tests.interop.transfer_stage import Cell, Row, Software, TransferStage, transfer_stage
from tests.interop.transfer_zones import text
from tests.support.peers import WaitError, auntil, require_server
from tests.support.zones import parsed, serial, settled

SERVERS: tuple[Software, ...] = (Bind, Nsd, Knot, PowerDns)
WITH_TLS = (Bind, Nsd)
READERS = 4  # zones that are compared at the same time
PATIENCE = 60.0  # seconds; some servers have missed a look on a busy machine, and wait for their timers
WORDS = {"ixfr": "IXFR", "axfr-style": "whole zone", "axfr": "AXFR"}
HEADINGS = ("primary", "way", "TSIG", "zone")
TEXT = """
Rows are primaries, columns nodes. The primary of each node is a forwarder, from which a tunnel (Shadowsocks 2022) leads
to our exit, and from there TCP, or TLS (XoT, RFC 9103), to the real primary. Way "none" is the same pair of servers
without us, heard on a wire between them. The zones hold some thirty record types. One kind is signed by DNSSEC; the
other is large: several messages, with an RRset of 300 records. What is signed by TSIG is verified by the guard too.

A cell says how the zone came, and then how its change came: as the guard let it pass, or as the wire heard it. Both
times every record at the node was compared. "whole zone" is what a primary without IXFR answers to it; PowerDNS has
none. As a node it asks for IXFR only where the zone is not signed. The IXFRs that NSD before 4.7 makes of zone files
add records that have not changed: Knot DNS then asks for all ("IXFR + AXFR"), NSD 4.6 does so, or, where it happens to
several zones at once, forgets one of them ("IXFR not applied").
"""


def rows() -> list[Row]:
    """Those of the table, with ports of their own."""
    found = []
    for primary in SERVERS:
        found += [Row(primary, "none", zone) for zone in ("signed", "large")]
        found += [Row(primary, "TCP", "signed"), Row(primary, "TCP", "large", "hmac-sha256")]
        if primary in WITH_TLS:
            found += [Row(primary, "TLS", "large"), Row(primary, "TLS", "signed", "hmac-sha256")]
    return [*found, Row(Knot, "TCP", "signed", "hmac-sha512")]


async def through_the_gateway(directory: Path) -> Section:
    """Every primary, every node."""
    for software in SERVERS:
        require_server(software)
    table = rows()
    cells = [(row, node) for row in table for node in SERVERS]
    async with transfer_stage(directory, table, SERVERS) as on:
        arrivals = Arrivals(on)
        came = await arrivals.of(cells, 1)
        await on.publish(cells, 2)
        changed = await arrivals.of(cells, 2)
        details = (*arrivals.details, *on.rejected())
    lines = [
        (
            *(row.primary.software, row.way, row.algorithm or "-", row.zone),
            *(f"{came[row, node]}, {changed[row, node]}" for node in SERVERS),
        )
        for row in table
    ]
    columns = (*HEADINGS, *(node.software for node in SERVERS))
    return Section("Transfers", TEXT, columns, tuple(lines), details)


class Arrivals:
    """Waits for zones at nodes, compares them, and says how they came."""

    def __init__(self, on: TransferStage, patience: float = PATIENCE) -> None:
        self._on = on
        self._patience = patience  # seconds
        self._room = asyncio.Semaphore(READERS)
        self.details: list[str] = []

    async def of(self, cells: Sequence[Cell], number: int) -> dict[Cell, str]:
        """These cells at a serial."""
        words = await asyncio.gather(*(self._one(row, node, number) for row, node in cells))
        return dict(zip(cells, words, strict=True))

    async def _one(self, row: Row, node: Software, number: int) -> str:
        zone, place = row.zone_of(node), self._on.nodes[node].endpoint

        async def arrived() -> bool:
            async with self._room:
                return self._not_applied(node, zone) or await asyncio.to_thread(serial, place, zone) == number

        try:
            await auntil(arrived, self._patience, f"{zone} at serial {number}")
            if self._not_applied(node, zone):
                return "IXFR not applied"
            async with self._room:
                held = await asyncio.to_thread(settled, place, zone)
        except WaitError as error:
            self.details.append(str(error))
            return "nothing"
        if held != await asyncio.to_thread(parsed, text(row.zone, zone, number), zone):
            self.details.append(f"{zone}: other records at serial {number} than its primary has")
            return "other records"
        kinds = self._on.transfers(row, node, number)
        return " + ".join(word for kind, word in WORDS.items() if kind in kinds) or "unseen"

    def _not_applied(self, node: Software, zone: str) -> bool:
        """NSD says so in its log. Then it asks for all, or forgets to."""
        lines = self._on.nodes[node].process.log.read_text(errors="replace").splitlines()
        return any("Failed to apply IXFR" in line and f" {zone}." in line for line in lines)
