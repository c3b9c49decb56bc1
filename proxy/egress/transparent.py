"""A transparent door: nodes keep the address of their primary, and nftables TPROXY hands what they send there to us.

    node ── to primary:53 ──▶ TPROXY ──▶ door: original destination? ──▶ forwarder to that primary ──▶ tunnels
    node ◀── from primary:53 ─────────────────────────────────────────── forwarder

Behind the door each primary has a forwarder without sockets of its own, with gate, quotas and guard as ever. A
destination that is no primary of the door is refused and counted: connections are reset, datagrams get no answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import cast

from proxy.egress.counters import ITSELF, ForwarderCounters
from proxy.egress.forwarder import Forwarder
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.original import OriginalDatagrams, Source
from proxy.egress.sockets import BACKLOG
from proxy.egress.sparse import SparseEmitter
from proxy.egress.status import ForwarderStatus
from proxy.egress.transparent_plan import TransparentPlan
from proxy.egress.udp_door import Peer
from proxy.values import Emit, Endpoint

Sources = Mapping[Endpoint, socket.socket]


class TransparentDoor:
    """Serves its sockets from `start` to `close`, and owns them; not those that answers leave from."""

    def __init__(self, plan: TransparentPlan, emit: Emit) -> None:
        self._plan = plan
        self._emit = SparseEmitter(emit, asyncio.get_running_loop().time)
        self._counters = ForwarderCounters()  # of what is for no primary
        self._behind: dict[Endpoint, _Behind] = {}
        self._retired: list[Forwarder] = []  # with open connections to a primary that is ours no more
        self._server: asyncio.Server | None = None
        self._datagrams: OriginalDatagrams | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket, sources: Sources) -> None:
        """Begin to serve. `sources` has the UDP socket bound to each destination of the plan."""
        self._place(sources)
        self._datagrams = OriginalDatagrams(udp, self._received, self._counters.refused)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Arrival(self._find), sock=tcp, backlog=BACKLOG)

    def reload(self, plan: TransparentPlan, sources: Sources) -> None:
        """New queries follow this plan; what is under way goes on as it began."""
        self._plan = plan
        self._place(sources)

    def stop_accepting(self) -> None:
        """No new TCP connections, and no new queries on the old. UDP goes on until `close`: it is soon answered."""
        if self._server is not None:
            self._server.close()
        for forwarder in self._forwarders():
            forwarder.stop_accepting()

    def retire(self) -> None:
        """Nothing new, on neither transport; open connections go on to their end."""
        if self._server is not None:
            self._server.close()
        if self._datagrams is not None:
            self._datagrams.close()
        for forwarder in self._forwarders():
            forwarder.retire()

    @property
    def busy(self) -> bool:
        """Whether a connection is open."""
        return any(forwarder.busy for forwarder in self._forwarders())

    async def drained(self) -> None:
        """Return when no connection is open and no UDP query waits."""
        for forwarder in self._forwarders():
            await forwarder.drained()

    def close(self) -> None:
        """Stop at once."""
        self.stop_accepting()
        if self._datagrams is not None:
            self._datagrams.close()
        for forwarder in self._forwarders():
            forwarder.close()

    def status(self) -> tuple[ForwarderStatus, ...]:
        """The numbers now: those of the door itself, under "-", then those of each primary."""
        own = self._counters.status(str(self._plan.settings.listen), ITSELF)
        return own, *(behind.forwarder.status() for behind in self._behind.values())

    def _forwarders(self) -> list[Forwarder]:
        return [*self._retired, *(behind.forwarder for behind in self._behind.values())]

    def _place(self, sources: Sources) -> None:
        """A forwarder for each primary of the plan, those that there are first."""
        self._retired = [forwarder for forwarder in self._retired if forwarder.busy]
        wanted = self._plan.primaries
        for destination, behind in list(self._behind.items()):
            if destination not in wanted or wanted[destination].settings.primary != behind.primary:
                del self._behind[destination]
                behind.forwarder.retire()
                self._retired.append(behind.forwarder)
        for destination, plan in wanted.items():
            known = self._behind.get(destination)
            if known is not None:
                known.forwarder.reload(plan)
            else:
                self._behind[destination] = _Behind(plan, sources[destination])

    def _find(self, destination: Endpoint, node: Endpoint) -> Forwarder | None:
        behind = self._behind.get(destination)
        if behind is None:
            self._refuse(destination, node)
            return None
        return behind.forwarder

    def _received(self, message: bytes, peer: Peer, destination: Endpoint) -> None:
        behind = self._behind.get(destination)
        if behind is None:
            self._refuse(destination, Endpoint.of(peer.address))
        else:
            behind.source.receive(message, peer)

    def _refuse(self, destination: Endpoint, node: Endpoint) -> None:
        self._counters.refused["destination"] += 1
        fields = {
            "door": str(self._plan.settings.listen),
            "destination": str(destination),
            "node": str(node.address),
            "remedy": "the destination is no primary of this door: configure it, or take it out of the nftables set",
        }
        self._emit("transparent.refused", "", fields)


class _Behind:
    """One primary behind the door."""

    def __init__(self, plan: ForwarderPlan, sock: socket.socket) -> None:
        self.primary = plan.settings.primary
        self.forwarder = Forwarder(plan)
        self.source = Source(sock, self.forwarder.lost)
        self.forwarder.add_datagrams(self.source.connect)


class _Arrival(asyncio.Protocol):
    """A connection that was just accepted. Its forwarder takes over before anything is read from it."""

    def __init__(self, find: Callable[[Endpoint, Endpoint], Forwarder | None]) -> None:
        self._find = find

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        local, peer = stream.get_extra_info("sockname"), stream.get_extra_info("peername")
        forwarder = self._find(Endpoint.of(local), Endpoint.of(peer)) if local and peer else None
        if forwarder is None:
            stream.abort()
        else:
            forwarder.take(stream, b"")
