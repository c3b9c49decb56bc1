"""The ring: primary, exit, gateway and nodes on loopback, each a process of its own.

    clients ──► gateway ──► node, node          every query reaches the nodes through the gateway
                   ▲          │
                   └──────────┘ forwarder       every SOA check and transfer leaves through the gateway:
                   │
                   └─ tunnel ──► exit ──► primary

Started in the order in which they need each other: primary, exit, gateway, nodes. Stopped in the reverse order.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.lab.asking import serial
from gateway.lab.configuration import Addresses, exit_file, gateway_file, write_key
from gateway.lab.program import Zonegate
from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.choice import installed
from gateway.lab.servers.ports import free_port
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.roles import Primary, Secondary
from gateway.lab.servers.server import LOOPBACK, NameServer
from gateway.lab.servers.waiting import WaitError, auntil
from gateway.lab.zones import LabZone
from proxy.values import Endpoint

NODES = 2
PATIENCE = 30.0  # seconds until everything must be ready


class Ring:
    """A whole ring. An async context manager: entered, every zone is served through the gateway; left, all have ended.

    Attributes:
        zones: the zones by name.
        serials: the serial of each that was published last.
        at: who listens where.
        primary, nodes: the name servers.
        exit, gateway: the two processes of zonegate.
    """

    def __init__(
        self,
        directory: Path,
        zones: Sequence[LabZone],
        *,
        software: Sequence[type[NameServer]] = (),
        dns_port: int | None = None,
        admin_port: int | None = None,
    ) -> None:
        """`software` serves in turn as nodes, then as primary; unless given, what is installed, else the built-in."""
        self.directory = directory
        self.zones = {zone.name: zone for zone in zones}
        self.serials = dict.fromkeys(self.zones, 1)
        kinds = itertools.cycle(software or installed() or (Builtin,))
        node_kinds = list(itertools.islice(kinds, NODES))
        texts = {name: zone.text(1, "as it began") for name, zone in self.zones.items()}
        self.primary = next(kinds)(Primary(texts), directory / "primary")
        forwarder = loopback(free_port())
        role = Secondary(tuple(self.zones), forwarder)
        self.nodes = {
            name: kind(role, directory / name)
            for number, kind in enumerate(node_kinds, start=1)
            for name in [f"{kind.software.lower()}-{number}"]
        }
        self.at = Addresses(
            gateway=loopback(dns_port or free_port()),
            admin=loopback(admin_port or free_port("tcp")),
            forwarder=forwarder,
            exit=loopback(free_port()),
            exit_admin=loopback(free_port("tcp")),
            primary=self.primary.endpoint,
            nodes=tuple((name, node.endpoint) for name, node in self.nodes.items()),
        )
        self.exit = Zonegate("exit", directory, self.at.exit_admin)
        self.gateway = Zonegate("gateway", directory, self.at.admin)
        self._running = AsyncExitStack()

    async def start(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Start everything; `tell` hears what comes next.

        Raises:
            ChildError: something did not start; nothing is left running. The text ends with the end of its log.
        """
        self._write_files()
        async with AsyncExitStack() as running:
            tell(f"the primary ({self.primary.software})")
            await running.enter_async_context(self.primary)
            tell("the exit")
            await self._start_zonegate(running, self.exit, "/readyz")
            tell("the gateway")
            await self._start_zonegate(running, self.gateway, "/healthz")
            for name, node in self.nodes.items():
                tell(f"node {name}")
                await running.enter_async_context(node)
            tell("the first transfers through the tunnel")
            for zone, (name, node) in itertools.product(self.zones, self.nodes.items()):
                await self._holds(partial(serial, node.endpoint, zone), f"{name} to serve {zone}")
            await self._holds(partial(self.gateway.answers, "/readyz"), "the gateway to be ready")
            self._running = running.pop_all()

    async def stop(self) -> None:
        """End everything."""
        await self._running.aclose()

    def publish(self, zone: str, moment: str) -> int:
        """Change a zone at the primary, its `clock` to `moment`. Returns its new serial."""
        self.serials[zone] += 1
        self.primary.publish(zone, self.zones[zone].text(self.serials[zone], moment))
        return self.serials[zone]

    def check(self) -> None:
        """Nothing, as long as every process runs.

        Raises:
            ChildError: one has ended.
        """
        for child in [self.primary.process, self.exit, self.gateway, *(node.process for node in self.nodes.values())]:
            child.check()

    def _write_files(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        write_key(self.directory, self.at.exit)
        self.exit.file.write_text(exit_file(self.at))
        self.gateway.file.write_text(gateway_file(self.at, tuple(self.zones)))

    async def _start_zonegate(self, running: AsyncExitStack, child: Zonegate, page: str) -> None:
        running.push_async_callback(asyncio.to_thread, child.stop)
        child.start()

        async def up() -> bool:
            child.check()
            return await child.answers(page)

        try:
            await auntil(up, PATIENCE)
        except WaitError:
            raise ChildError(
                f"{child.name} did not answer {page}; last lines of {child.log}:\n{child.tail()}"
            ) from None

    async def _holds(self, condition: Callable[[], Awaitable[object]], what: str) -> None:
        async def look() -> object:
            self.check()
            return await condition()

        try:
            await auntil(look, PATIENCE, what)
        except WaitError as error:
            # What stands in the way is most likely said by the gateway, between the nodes and all the rest.
            raise ChildError(f"{error}; last lines of {self.gateway.log}:\n{self.gateway.tail()}") from None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def loopback(port: int) -> Endpoint:
    """A port on loopback."""
    return Endpoint(ip_address(LOOPBACK), port)
