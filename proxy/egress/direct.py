"""`direct://`: no tunnel at all. Only there for those who name it; nothing falls back to it."""

from __future__ import annotations

import asyncio

from proxy.egress.counters import TunnelCounters
from proxy.egress.dial_options import PLAIN, DialOptions
from proxy.egress.dialing import NetworkDialer
from proxy.egress.stream import TunnelStream
from proxy.egress.tunnel import Datagrams, no_udp
from proxy.errors import PrimaryError
from proxy.protocol.tunnel_urls import TunnelHost
from proxy.values import Endpoint


class DirectTunnel:
    """See `proxy.egress.tunnel.Tunnel`."""

    def __init__(
        self, counters: TunnelCounters, connect_timeout: float, *, options: DialOptions = PLAIN, udp: bool = True
    ) -> None:
        self.counters = counters
        self.carries_udp = udp
        self._dialer = NetworkDialer(options, connect_timeout, PrimaryError)

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        """Connect to the primary itself."""
        stream = TunnelStream(protocol, self.counters, target, first)
        await self._dialer.open_stream(TunnelHost(*target.sockaddr), stream)
        return stream

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        """A socket towards the primary itself."""
        if not self.carries_udp:
            raise no_udp()
        return _DirectDatagrams(await self._dialer.open_datagrams(TunnelHost(*target.sockaddr)), self.counters)


class _DirectDatagrams:
    """See `proxy.egress.tunnel.Datagrams`."""

    def __init__(self, path: Datagrams, counters: TunnelCounters) -> None:
        self._path = path
        self._counters = counters

    async def send(self, payload: bytes) -> None:
        await self._path.send(payload)
        self._counters.datagrams_out += 1
        self._counters.bytes_out += len(payload)

    async def receive(self) -> bytes:
        payload = await self._path.receive()
        self._counters.datagrams_in += 1
        self._counters.bytes_in += len(payload)
        return payload

    def close(self) -> None:
        self._path.close()
