"""The egress of one process: forwarders and exit on sockets that were handed down, tunnels, and what they report."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.egress.counters import TunnelCounters
from proxy.egress.exchanges.judge import Learned
from proxy.egress.exchanges.shared import Shared
from proxy.egress.exit import ExitServer
from proxy.egress.exit_plan import ExitPlan, compile_exit
from proxy.egress.forwarder import Forwarder
from proxy.egress.forwarder_plan import ForwarderPlan, compile_forwarder
from proxy.egress.listed import Listed, expand
from proxy.egress.openings import openings_settled
from proxy.egress.pool.exit_checks import ExitChecks
from proxy.egress.pool.prober import Prober
from proxy.egress.pool.subjects import subjects
from proxy.egress.primaries import CompiledPrimaries, Primaries
from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.egress.routes import Routes
from proxy.egress.sockets import EgressSocket, Key, Role, needed_sockets
from proxy.egress.socks_door import SocksPlan, SocksServer, compile_socks_door
from proxy.egress.status import EgressStatus
from proxy.egress.transparent import Sources, TransparentDoor
from proxy.egress.transparent_plan import TransparentPlan, compile_transparent
from proxy.egress.tunnel import Tunnel
from proxy.egress.tunnels import Made, make_tunnels
from proxy.protocol.server_lists import ServerList
from proxy.settings import EgressSettings
from proxy.values import Emit, Endpoint

Server = Forwarder | SocksServer | TransparentDoor | ExitServer


@dataclass(frozen=True, slots=True)
class _Compiled:
    """Settings with all that can be wrong in them already found."""

    settings: EgressSettings
    tunnels: Mapping[str, Made]
    routes: Mapping[str, Route]
    primaries: CompiledPrimaries
    forwarders: Mapping[Endpoint, ForwarderPlan]
    doors: Mapping[Endpoint, SocksPlan]
    transparent: Mapping[Endpoint, TransparentPlan]
    exit: ExitPlan | None


class EgressService:
    """Runs on the loop from `start` to `drain`, and owns the sockets."""

    def __init__(
        self,
        *,
        settings: EgressSettings,
        sockets: Sequence[EgressSocket],
        emit: Emit,
        base: Path = Path(),
        since: float | None = None,
        learned: Callable[[Learned], None] | None = None,
    ) -> None:
        """On the loop; nothing happens before `start`. `sockets` are those of `open_egress_sockets(settings)`; paths
        in the settings are relative to `base`. `since` is the Unix time from which on nobody else served the sockets:
        what came to the exit later is no replay of what another process took. Default: the call of `start`.

        `learned` is called with each transfer that was accepted, on the loop; it must not block.
        """
        self._since = since
        self._settings = settings  # as they are written: with lists, not with their servers
        self._listed: dict[str, Listed] = {}
        self._running = False
        self._changing = asyncio.Lock()
        self._sockets = {each.key: each for each in sockets}
        self._emit = emit
        self._shared = Shared(settings.transfers, emit, learned)
        self._counters: dict[str, TunnelCounters] = {}
        self._tunnels: Mapping[str, Made] = {}
        self._routes = Routes(emit, asyncio.get_running_loop().time)
        self._exit_checks = ExitChecks(emit)
        self._prober = Prober(emit, asyncio.get_running_loop().time)
        self._primaries = Primaries(base, emit)
        self._forwarders: dict[Endpoint, Forwarder] = {}
        self._doors: dict[Endpoint, SocksServer] = {}
        self._exit: ExitServer | None = None
        self._transparent: dict[Endpoint, TransparentDoor] = {}
        self._retired: list[Server] = []  # without a place in the settings, but with open streams

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            ValueError: settings that do not fit together, a bad tunnel URL or key, or a socket that was not
                handed down; the text shows no secret.
        """
        async with self._changing:
            await self._apply(self._compile(self._settings, self._sockets))
            self._since = None  # an exit that comes later knows nothing of before
            self._running = True
        self._prober.start()

    async def reload(self, settings: EgressSettings, sockets: Sequence[EgressSocket]) -> None:
        """Swap tunnels, primaries and access lists; what is open goes on as it began.

        `sockets` is the whole new list. A socket that we have under its name already stays; the one given is closed
        unless it is the same. Forwarders and an exit without a place in the new settings take nothing new.

        Raises:
            ValueError: as `start`, or TLS files that can't be used; nothing has changed, and new sockets are closed.
        """
        async with self._changing:
            kept = {each.key: self._sockets.get(each.key, each) for each in sockets}
            try:
                compiled = self._compile(settings, kept)
            except ValueError:
                _close_all_but(sockets, self._sockets)
                raise
            _close_all_but(sockets, kept)
            before, self._sockets, self._settings = self._sockets, kept, settings
            await self._apply(compiled)
            _close_sources(before, kept)

    async def take_servers(self, name: str, found: ServerList) -> None:
        """The server list `name` is this from now on: its servers are tunnels, for new streams and queries.

        Before `start` it is only noted.
        """
        async with self._changing:
            self._listed.setdefault(name, Listed()).take(found)
            if self._running and any(each.name == name for each in self._settings.tunnel_lists):
                await self._apply(self._compile(self._settings, self._sockets))

    @property
    def sockets(self) -> tuple[EgressSocket, ...]:
        """The sockets that it serves."""
        return tuple(self._sockets.values())

    def tunnel(self, name: str) -> Tunnel:
        """The tunnel of that name, for those who carry something through it themselves.

        Raises:
            KeyError: there is none.
        """
        return self._tunnels[name].tunnel

    def ways(self, name: str) -> tuple[Tunnel, ...]:
        """What a name among the tunnels of a primary stands for: a tunnel, or those of a server list in its order.

        Raises:
            KeyError: there is neither.
        """
        if name in self._tunnels:
            return (self._tunnels[name].tunnel,)
        if all(each.name != name for each in self._settings.tunnel_lists):
            raise KeyError(name)
        labels = self._listed.get(name, Listed()).servers
        found = (self._tunnels.get(f"{name}/{label}") for label in labels)
        return tuple(made.tunnel for made in found if made is not None)

    def primary(self, name: str) -> PrimaryServer:
        """The primary of that name.

        Raises:
            KeyError: there is none.
        """
        return self._primaries.named(name)

    def route(self, name: str) -> Route:
        """The route to the primary of that name.

        Raises:
            KeyError: there is none.
        """
        return self._routes.named(name)

    def status(self) -> EgressStatus:
        """The numbers now."""
        return EgressStatus(
            tunnels=tuple(each.tunnel.counters.status() for each in self._tunnels.values()),
            forwarders=(
                *(forwarder.status() for forwarder in self._forwarders.values()),
                *(row for door in self._doors.values() for row in door.status()),
                *(status for door in self._transparent.values() for status in door.status()),
            ),
            routes=self._routes.status(),
            exit_addresses=self._exit_checks.status(),
            primaries=self._shared.status(self._settings.primaries),
            exit=self._exit.status() if self._exit is not None else None,
            tls=self._primaries.status(),
        )

    async def drain(self, grace: float) -> None:
        """Take nothing new, wait up to `grace` seconds for what is open, then close all."""
        await self._prober.stop()
        await self._exit_checks.stop()
        servers = self._servers()
        for server in servers:
            server.stop_accepting()
        try:
            async with asyncio.timeout(grace):
                for server in servers:
                    await server.drained()
        except TimeoutError:
            self._emit("egress.drain-incomplete", {"grace": grace})
        for server in servers:
            server.close()
        _close_sources(self._sockets, {})
        await openings_settled()

    def _servers(self) -> list[Server]:
        way_in = [] if self._exit is None else [self._exit]
        return [*self._retired, *self._forwarders.values(), *self._doors.values(), *self._transparent.values(), *way_in]

    def _compile(self, settings: EgressSettings, sockets: Mapping[Key, EgressSocket]) -> _Compiled:
        for role, endpoint, transport in needed_sockets(settings):
            if (role, endpoint, transport) not in sockets:
                raise ValueError(f"no socket for the {role} at {endpoint}/{transport} was handed down")
        settings, addresses = expand(settings, self._listed)
        tunnels = make_tunnels(
            settings.tunnels,
            self._tunnels,
            lambda name: self._counters.setdefault(name, TunnelCounters(name)),
            addresses,
        )
        by_name = {name: made.tunnel for name, made in tunnels.items()}
        routes = self._routes.make(settings, by_name)
        primaries = self._primaries.compile(settings.primaries)
        forwarders = {
            each.listen: compile_forwarder(each, settings, routes, primaries.servers, self._shared)
            for each in settings.forwarders
        }
        doors = {
            each.listen: compile_socks_door(
                each, settings, lambda way: compile_forwarder(way, settings, routes, primaries.servers, self._shared)
            )
            for each in settings.socks_doors
        }
        transparent = {
            each.listen: compile_transparent(each, settings, routes, primaries.servers, self._shared)
            for each in settings.transparent_doors
        }
        before = self._exit.plan if self._exit is not None else None
        way_in = compile_exit(settings.exit, before, self._since) if settings.exit is not None else None
        return _Compiled(settings, tunnels, routes, primaries, forwarders, doors, transparent, way_in)

    async def _apply(self, compiled: _Compiled) -> None:
        """Follow settings in which nothing is wrong."""
        self._tunnels = compiled.tunnels
        self._routes.keep(compiled.routes)
        self._primaries.take(compiled.primaries)
        self._exit_checks.configure((made.settings, made.tunnel) for made in compiled.tunnels.values())
        self._prober.configure(subjects(compiled.settings, _plans(compiled)))
        self._shared.configure(compiled.settings.transfers, compiled.settings.primaries)
        self._retired = [server for server in self._retired if server.busy]
        for listen in self._forwarders.keys() - compiled.forwarders.keys():
            self._retire(self._forwarders.pop(listen))
        for listen, plan in compiled.forwarders.items():
            known = self._forwarders.get(listen)
            if known is not None:
                known.reload(plan)
            else:
                self._forwarders[listen] = new = Forwarder(plan)
                await new.start(*self._pair("forwarder", listen))
        await self._place_doors(compiled.doors)
        await self._place_transparent(compiled.transparent)
        await self._place_exit(compiled.exit)

    async def _place_doors(self, plans: Mapping[Endpoint, SocksPlan]) -> None:
        for listen in self._doors.keys() - plans.keys():
            self._retire(self._doors.pop(listen))
        for listen, plan in plans.items():
            if listen in self._doors:
                self._doors[listen].reload(plan)
            else:
                self._doors[listen] = new = SocksServer(plan)
                await new.start(self._sockets["socks", listen, "tcp"].socket)

    async def _place_transparent(self, plans: Mapping[Endpoint, TransparentPlan]) -> None:
        for listen in self._transparent.keys() - plans.keys():
            self._retire(self._transparent.pop(listen))
        sources: Sources = {key[1]: each.socket for key, each in self._sockets.items() if key[0] == "source"}
        for listen, plan in plans.items():
            known = self._transparent.get(listen)
            if known is not None:
                known.reload(plan, sources)
            else:
                self._transparent[listen] = new = TransparentDoor(plan, self._emit)
                await new.start(*self._pair("transparent", listen), sources)

    async def _place_exit(self, plan: ExitPlan | None) -> None:
        if self._exit is not None and plan is not None and self._exit.plan.settings.listen == plan.settings.listen:
            self._exit.reload(plan)
            return
        if self._exit is not None:
            self._retire(self._exit)
            self._exit = None
        for server in self._retired:
            if isinstance(server, ExitServer):  # a revoked key must not work on through an address of before
                server.revoke(plan)
        if plan is not None:
            self._exit = ExitServer(plan, self._emit)
            await self._exit.start(*self._pair("exit", plan.settings.listen))

    def _retire(self, server: Server) -> None:
        server.retire()
        self._retired.append(server)

    def _pair(self, role: Role, listen: Endpoint) -> tuple[socket.socket, socket.socket]:
        return self._sockets[role, listen, "udp"].socket, self._sockets[role, listen, "tcp"].socket


def _plans(compiled: _Compiled) -> list[ForwarderPlan]:
    """Every way of nodes to primaries: forwarders, and what the doors amount to."""
    plans = [*compiled.forwarders.values(), *(way for door in compiled.doors.values() for way in door.ways.values())]
    # The zones of a transparent door with several primaries say of none which of them it has: nothing to probe with.
    lone = [door for door in compiled.transparent.values() if len(door.primaries) == 1]
    return [*plans, *(way for door in lone for way in door.primaries.values())]


def _close_all_but(sockets: Sequence[EgressSocket], kept: Mapping[Key, EgressSocket]) -> None:
    for each in sockets:
        if each.key not in kept or kept[each.key].socket is not each.socket:
            each.socket.close()


def _close_sources(before: Mapping[Key, EgressSocket], kept: Mapping[Key, EgressSocket]) -> None:
    """Sockets that answers left from, and that several doors may have shared; others are their server's."""
    for key, each in before.items():
        if key[0] == "source" and key not in kept:
            each.socket.close()
