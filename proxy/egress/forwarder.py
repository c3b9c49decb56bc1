"""A forwarder: a local address, UDP and TCP, that leads through tunnels to one primary and nowhere else.

It carries DNS alone: SOA, AXFR and IXFR queries of nodes that its `allow` names, for the zones that it is
configured for. All else is refused and counted. Answers pass as they come.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from proxy.egress.counters import ForwarderCounters
from proxy.egress.crowd import Crowd
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.node_datagrams import NodeDatagrams
from proxy.egress.node_stream import NodeStream
from proxy.egress.sockets import BACKLOG
from proxy.egress.status import ForwarderStatus
from proxy.egress.udp_door import DatagramDoor, Receive, UdpDoor
from proxy.values import IPAddress


class Forwarder:
    """Serves its sockets from `start` to `close`, and owns them."""

    def __init__(self, plan: ForwarderPlan) -> None:
        self._plan = plan
        self._counters = ForwarderCounters()
        self._nodes: Crowd[NodeStream] = Crowd()
        self._server: asyncio.Server | None = None
        self._datagrams: NodeDatagrams | None = None
        self._lent: set[NodeDatagrams] = set()  # on doors of others

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Begin to serve."""
        self._datagrams = self._serve(lambda receive: UdpDoor(udp, receive, self._counters.refused))
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=tcp, backlog=BACKLOG)

    def reload(self, plan: ForwarderPlan) -> None:
        """New queries follow this plan; what is under way goes on as it began."""
        self._plan.connections.retire()
        self._plan = plan
        for datagrams in self._all_datagrams():
            datagrams.plan_changed()

    def stop_accepting(self) -> None:
        """No new TCP connections, and no new queries on the old. UDP goes on until `close`: it is soon answered."""
        if self._server is not None:
            self._server.close()
        for node in self._nodes:
            node.finish()

    def retire(self) -> None:
        """Nothing new, on neither transport; open connections go on to their end."""
        self.stop_accepting()
        self._plan.connections.retire()
        for datagrams in self._all_datagrams():
            datagrams.close()

    @property
    def busy(self) -> bool:
        """Whether a connection is open."""
        return bool(len(self._nodes))

    async def drained(self) -> None:
        """Return when no connection is open and no UDP query waits."""
        await self._nodes.empty()
        for datagrams in self._all_datagrams():
            await datagrams.open.empty()

    def close(self) -> None:
        """Stop at once."""
        self.stop_accepting()
        self._plan.connections.close()
        for node in self._nodes:
            node.abort()
        for datagrams in self._all_datagrams():
            datagrams.close()

    def lost(self, reason: str) -> None:
        """A door of another could not send an answer of ours."""
        self._counters.refused[reason] += 1

    def status(self) -> ForwarderStatus:
        """The numbers now."""
        return self._counters.status(str(self._plan.settings.listen), self._plan.settings.primary)

    def admit(self, node: NodeStream, address: IPAddress) -> bool:
        """Whether a connection is taken in; see `node_stream.Host`."""
        self._counters.connections_total += 1
        if not self._plan.allows(address):
            self._plan.refusals.count(self._counters, "address", address)
        elif len(self._nodes) >= self._plan.settings.connections:
            self._plan.refusals.count(self._counters, "too-many-connections", address)
        else:
            self._nodes.add(node)
            self._counters.connections_open = len(self._nodes)
            return True
        return False

    def closed(self, node: NodeStream) -> None:
        """A connection is over; see `node_stream.Host`."""
        self._nodes.discard(node)
        self._counters.connections_open = len(self._nodes)

    def _accept(self) -> NodeStream:
        return NodeStream(lambda: self._plan, self._counters, self)

    def _serve(self, connect: Callable[[Receive], DatagramDoor]) -> NodeDatagrams:
        return NodeDatagrams(connect, lambda: self._plan, self._counters)

    def _all_datagrams(self) -> list[NodeDatagrams]:
        return [*self._lent, *([] if self._datagrams is None else [self._datagrams])]

    # For doors to several primaries, whose connections and datagrams of one primary it takes.

    def take(self, transport: asyncio.Transport, came: bytes) -> None:
        """A connection of a node, opened elsewhere; `came` is what has come already."""
        node = self._accept()
        transport.set_protocol(node)
        node.connection_made(transport)
        if came:
            node.data_received(came)

    def add_datagrams(self, connect: Callable[[Receive], DatagramDoor]) -> NodeDatagrams:
        """Serve what comes by this door, until `drop_datagrams`; see `NodeDatagrams`."""
        datagrams = self._serve(connect)
        self._lent.add(datagrams)
        return datagrams

    def drop_datagrams(self, datagrams: NodeDatagrams) -> None:
        """No more of these."""
        self._lent.discard(datagrams)
        datagrams.close()
