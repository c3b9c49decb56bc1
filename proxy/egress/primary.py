"""A primary as something to open streams to, through a tunnel; with TLS inside where its settings say so (RFC 9103)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from proxy.egress.tls.client import TlsOpener
from proxy.egress.tunnel import Tunnel
from proxy.values import Endpoint


@dataclass(frozen=True, slots=True)
class PrimaryServer:
    """Where zones come from, as the settings say."""

    name: str
    address: Endpoint
    tls: TlsOpener | None = None

    @property
    def carries_udp(self) -> bool:
        """Whether datagrams lead to it as well. Where not, queries that nodes send over UDP take a stream."""
        return self.tls is None

    async def open_stream(self, tunnel: Tunnel, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        """Open a stream that carries DNS messages with their lengths in front, `first` among them.

        Raises:
            ProxyError: as `Tunnel.open_stream`, and with TLS as `TlsOpener.open`.
        """
        if self.tls is not None:
            return await self.tls.open(tunnel, self.address, protocol, first)
        return await tunnel.open_stream(self.address, protocol, first)
