"""What a tunnel is: a way to open streams and datagram paths to a primary.

A stream has the shape of an asyncio transport, with an asyncio protocol on its upper side: flow control both ways,
no task and no copy per chunk, and anything that runs over a transport (a StreamReader, another tunnel, TLS) runs
over a tunnel.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from proxy.egress.counters import TunnelCounters
from proxy.errors import TunnelError
from proxy.values import Endpoint


class Datagrams(Protocol):
    """A datagram path to one target."""

    async def send(self, payload: bytes) -> None:
        """Send one datagram.

        Raises:
            TunnelError: the path is gone.
        """

    async def receive(self) -> bytes:
        """The next datagram from the target. Forged and foreign ones are counted and left out.

        Raises:
            TunnelError: the path is gone.
        """

    def close(self) -> None:
        """Give the path up."""


class Tunnel(Protocol):
    """A way out."""

    counters: TunnelCounters

    @property
    def carries_udp(self) -> bool:
        """Whether it has datagram paths. Where not, nobody needs to try: queries take a stream."""

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        """Open a stream to `target`. `first` is sent at once, with the tunnel's own header where that has room.

        `protocol.connection_made` was called when this returns. Later failures reach it as `connection_lost(error)`,
        with a ProxyError where the tunnel knows what went wrong.

        Raises:
            TunnelError: the tunnel is unreachable or refuses us.
            PrimaryError: the tunnel says that it can't reach the target.
            ProtocolError: the far end does not speak the tunnel's protocol.
        """

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        """Open a datagram path to `target`.

        Raises:
            TunnelError, PrimaryError, ProtocolError: as above.
        """


def no_udp() -> TunnelError:
    """What a tunnel without datagrams says to who asks for a path."""
    return TunnelError("this tunnel carries no UDP", "no-udp")
