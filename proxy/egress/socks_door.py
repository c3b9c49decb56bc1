"""A SOCKS5 server for software that speaks SOCKS: it leads to the configured primaries, through their tunnels.

    client ──hello, user──▶ handshake ──CONNECT primary──▶ a connection of a forwarder
                                └──UDP ASSOCIATE──▶ an association: a UDP socket, as long as the connection stands

Behind the handshake everything is as at a forwarder of that primary: the same gate, exchanges, tunnels and numbers.
Nothing else can be reached: a target is the address of one of the door's primaries, or it is refused.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from proxy.egress.counters import ITSELF, ForwarderCounters
from proxy.egress.crowd import Crowd
from proxy.egress.forwarder import Forwarder
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.sockets import BACKLOG
from proxy.egress.socks_client import SocksClient
from proxy.egress.status import ForwarderStatus
from proxy.protocol.socks5_server import Users
from proxy.settings import EgressSettings, SocksDoor
from proxy.settings import Forwarder as ForwarderSettings
from proxy.values import Endpoint, IPAddress


@dataclass(frozen=True, slots=True)
class SocksPlan:
    """One door. `ways` are the forwarders that it amounts to, by the address of their primary."""

    settings: SocksDoor
    users: Users
    ways: Mapping[Endpoint, ForwarderPlan]

    def tell(self, reason: str, node: IPAddress | None) -> None:
        """Tell of what was refused before it was for one of the primaries."""
        for way in self.ways.values():  # all tell through one sink
            way.refusals.of_door().tell(reason, node)
            return


def compile_socks_door(
    door: SocksDoor, settings: EgressSettings, compile_way: Callable[[ForwarderSettings], ForwarderPlan]
) -> SocksPlan:
    """Compile the door, and by `compile_way` the forwarders that it amounts to: one for each of its primaries.

    Raises:
        ValueError: it names a primary that is not there, or what `compile_way` finds.
    """
    known = {primary.name: primary for primary in settings.primaries}
    missing = [name for name in door.primaries if name not in known]
    if missing:
        raise ValueError(f"SOCKS door {door.listen}: there is no primary {missing[0]!r}")
    users = Users((user.name, user.password.reveal().encode()) for user in door.users)
    return SocksPlan(door, users, {known[name].address: compile_way(_way(door, name)) for name in door.primaries})


def _way(door: SocksDoor, primary: str) -> ForwarderSettings:
    return ForwarderSettings(
        listen=door.listen,
        primary=primary,
        allow=door.allow,
        zones=door.zones,
        idle_timeout=door.idle_timeout,
        connections=door.connections,
        answer_timeout=door.answer_timeout,
        queries=door.queries,
        udp_timeout=door.udp_timeout,
    )


class SocksServer:
    """Serves its socket from `start` to `close`, and owns it."""

    def __init__(self, plan: SocksPlan) -> None:
        self.plan = plan
        self.refused: Counter[str] = Counter()
        self.ways = {target: Forwarder(way) for target, way in plan.ways.items()}
        self._gone: list[Forwarder] = []  # of primaries that the door does not lead to any more, while they are busy
        self._clients: Crowd[SocksClient] = Crowd()
        self._accepted = 0
        self._server: asyncio.Server | None = None

    async def start(self, tcp: socket.socket) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SocksClient(self), sock=tcp, backlog=BACKLOG)

    def reload(self, plan: SocksPlan) -> None:
        """New connections follow this plan; what is open goes on as it began."""
        self.plan = plan
        self._gone = [way for way in self._gone if way.busy]
        for target in self.ways.keys() - plan.ways.keys():
            gone = self.ways.pop(target)
            gone.retire()
            self._gone.append(gone)
        for target, way in plan.ways.items():
            if target in self.ways:
                self.ways[target].reload(way)
            else:
                self.ways[target] = Forwarder(way)

    def admit(self, client: SocksClient, address: IPAddress) -> bool:
        """Whether a connection is taken in."""
        self._accepted += 1
        settings = self.plan.settings
        taken = len(self._clients) + sum(way.status().connections_open for way in self._all())
        if not any(address in network for network in settings.allow):
            self.refuse("address", address)
        elif taken >= settings.connections:
            self.refuse("too-many-connections", address)
        else:
            self._clients.add(client)
            return True
        return False

    def refuse(self, reason: str, node: IPAddress | None) -> None:
        """A connection, or what a client asks for; counted and told."""
        self.refused[reason] += 1
        self.plan.tell(reason, node)

    def left(self, client: SocksClient) -> None:
        """It is over, or has become a connection of a forwarder."""
        self._clients.discard(client)

    def stop_accepting(self) -> None:
        """No new connections; those without a request end."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.close_unused()
        for way in self._all():
            way.stop_accepting()

    def retire(self) -> None:
        """Nothing new; open connections go on to their end. Associations, which have none of their own, end now."""
        self.stop_accepting()
        for client in self._clients:
            client.abort()
        for way in self._all():
            way.retire()

    @property
    def busy(self) -> bool:
        """Whether a connection is open."""
        return bool(len(self._clients)) or any(way.busy for way in self._all())

    async def drained(self) -> None:
        """Return when nothing is open. Associations have no end of their own; they are not waited for."""
        for way in self._all():
            await way.drained()

    def close(self) -> None:
        """Stop at once."""
        self.stop_accepting()
        for client in self._clients:
            client.abort()
        for way in self._all():
            way.close()

    def status(self) -> tuple[ForwarderStatus, ...]:
        """The numbers now: for each primary, and behind them those of the door itself."""
        own = ForwarderCounters(
            connections_open=len(self._clients), connections_total=self._accepted, refused=self.refused
        ).status(str(self.plan.settings.listen), ITSELF)
        rows = (*(way.status() for way in self.ways.values()), own)
        return tuple(msgspec.structs.replace(row, listen=f"socks5://{row.listen}") for row in rows)

    def _all(self) -> list[Forwarder]:
        return [*self._gone, *self.ways.values()]
