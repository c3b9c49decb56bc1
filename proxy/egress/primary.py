"""A primary as something to open streams to, through a tunnel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.egress.tunnel import Tunnel
from proxy.values import Endpoint


@dataclass(frozen=True, slots=True)
class PrimaryServer:
    """Where zones come from, as the settings say."""

    name: str
    address: Endpoint

    @property
    def carries_udp(self) -> bool:
        """Whether datagrams lead to it as well. Where not, queries that nodes send over UDP take a stream."""
        return True

    async def open_stream(self, tunnel: Tunnel, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        """Open a stream that carries DNS messages with their lengths in front, `first` among them.

        Raises:
            ProxyError: as `Tunnel.open_stream`.
        """
        return await tunnel.open_stream(self.address, protocol, first)
