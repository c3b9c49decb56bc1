"""A change at the primary, and how long it takes until clients see it: the whole point of the ring."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import dns.serial

from gateway.lab.asking import serial
from gateway.lab.ring import Ring
from gateway.lab.servers.waiting import WaitError, auntil
from proxy.values import Endpoint

PATIENCE = 30.0  # seconds; the nodes look every second


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made, and after how many seconds it was seen; None: not in time."""

    zone: str
    serial: int
    nodes: dict[str, float | None]  # by the name of the node
    clients: float | None  # through the gateway


async def change(ring: Ring, zone: str, moment: str) -> Change:
    """Change a zone at the primary, and watch it arrive at every node and at a client of the gateway."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    wanted = ring.publish(zone, moment)

    async def seen(at: Endpoint) -> float | None:
        async def arrived() -> bool:
            found = await serial(at, zone)
            return found is not None and dns.serial.Serial(found) >= dns.serial.Serial(wanted)

        try:
            await auntil(arrived, PATIENCE)
        except WaitError:
            return None
        return loop.time() - start

    clients, *nodes = await asyncio.gather(*(seen(at) for at in (ring.at.gateway, *dict(ring.at.nodes).values())))
    return Change(zone, wanted, dict(zip(ring.nodes, nodes, strict=True)), clients)
