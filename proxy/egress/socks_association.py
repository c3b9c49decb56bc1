"""The datagrams of one client of a SOCKS door (RFC 1928 §7): a UDP socket that ends with the client's connection.

Each datagram carries its target, which must be one of the door's primaries; what it carries is a query, and goes the
way of a forwarder's UDP query. Fragments are dropped, as they may be without reassembly. A datagram from elsewhere, or
for elsewhere, is dropped and counted: nothing is answered to an address that may be forged.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol, Self

from proxy.egress.forwarder import Forwarder
from proxy.egress.node_datagrams import NodeDatagrams
from proxy.egress.udp_door import Peer, Receive, UdpDoor
from proxy.errors import ProtocolError
from proxy.protocol.address import Target
from proxy.protocol.socks5_datagrams import unwrap_datagram, wrap_datagram
from proxy.values import Endpoint, IPAddress


class Host(Protocol):
    """Whose association it is."""

    refused: Counter[str]

    @property
    def ways(self) -> Mapping[Endpoint, Forwarder]:
        """Where the door leads."""


class Association:
    """From the request to the end of the connection; owns the socket."""

    def __init__(
        self, sock: socket.socket, client: tuple[IPAddress, int], host: Host, moved: Callable[[], None]
    ) -> None:
        """`client` is its address and port, 0 if it did not say. `moved` is called with each datagram of it."""
        self._client = client
        self._host = host
        self._moved = moved
        self._ways: dict[Endpoint, tuple[Forwarder, NodeDatagrams, _Replies]] = {}
        self._door = UdpDoor(sock, self._receive, host.refused)

    def close(self) -> None:
        """The connection is gone."""
        self._door.close()
        for forwarder, datagrams, _ in self._ways.values():
            forwarder.drop_datagrams(datagrams)
        self._ways.clear()

    def _receive(self, data: bytes, peer: Peer) -> None:
        source, (address, port) = Endpoint.of(peer.address), self._client
        if source.address != address or port not in (0, source.port):
            self._host.refused["association-source"] += 1
            return
        try:
            target, query = unwrap_datagram(data)
        except ProtocolError as error:
            self._host.refused[error.reason] += 1
            return
        replies = self._way(target)
        if replies is None:
            self._host.refused["target"] += 1
            return
        self._moved()
        replies.receive(query, peer)

    def _way(self, target: Target) -> _Replies | None:
        forwarder = self._host.ways.get(target) if isinstance(target, Endpoint) else None
        if forwarder is None or not isinstance(target, Endpoint):
            return None
        known = self._ways.get(target)
        if known is not None and known[0] is forwarder:
            return known[2]
        if known is not None:  # the primary has gone and come back meanwhile
            known[0].drop_datagrams(known[1])
        replies = _Replies(self._door, target)
        self._ways[target] = forwarder, forwarder.add_datagrams(replies.connect), replies
        return replies


class _Replies:
    """What stands for the socket towards the way to one target: it puts the target before each answer."""

    _receive: Receive

    def __init__(self, door: UdpDoor, target: Endpoint) -> None:
        self._below = door
        self._target = target

    def receive(self, query: bytes, peer: Peer) -> None:
        """A query of the client."""
        self._receive(query, peer)

    def connect(self, receive: Receive) -> Self:
        """Queries go there."""
        self._receive = receive
        return self

    def send(self, data: bytes, peer: Peer) -> bool:
        """See `DatagramDoor`."""
        return self._below.send(wrap_datagram(self._target, data), peer)

    def close(self) -> None:
        """The socket is the association's."""
