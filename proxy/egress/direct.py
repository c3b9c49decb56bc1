"""`direct://`: no tunnel at all. Only there for those who name it; nothing falls back to it."""

from __future__ import annotations

import asyncio

from proxy.egress.connecting import UdpPath, connect_tcp
from proxy.egress.counters import TunnelCounters
from proxy.egress.stream import TunnelStream
from proxy.egress.tunnel import Datagrams
from proxy.errors import PrimaryError
from proxy.values import Endpoint


class DirectTunnel:
    """See `proxy.egress.tunnel.Tunnel`."""

    def __init__(self, counters: TunnelCounters, connect_timeout: float) -> None:
        self.counters = counters
        self.carries_udp = True
        self._connect_timeout = connect_timeout

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        """Connect to the primary itself."""
        _, stream = await connect_tcp(
            *target.sockaddr,
            lambda: TunnelStream(protocol, self.counters, target, first),
            self._connect_timeout,
            PrimaryError,
        )
        return stream

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        """A socket towards the primary itself."""
        return _DirectDatagrams(await UdpPath.open(*target.sockaddr), self.counters)


class _DirectDatagrams:
    """See `proxy.egress.tunnel.Datagrams`."""

    def __init__(self, path: UdpPath, counters: TunnelCounters) -> None:
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
