"""The Shadowsocks tunnel, client's end. One TCP connection a stream, one UDP socket and session a datagram path.

The first payload goes out with the tunnel's header in one write (SIP022 §3.1.4), so opening costs no round trip
beyond TCP's own. The exit does not confirm anything: a wrong key, a clock that is off and an address that it does
not open all look like silence or a close.
"""

from __future__ import annotations

import asyncio
import time

from proxy.egress.counters import TunnelCounters
from proxy.egress.dialing import Dialer
from proxy.egress.stream import TunnelStream
from proxy.egress.tunnel import Datagrams, no_udp
from proxy.errors import ProtocolError
from proxy.protocol.editions import client_datagrams, client_stream
from proxy.protocol.tunnel_urls import ShadowsocksAddress
from proxy.values import Endpoint


class ShadowsocksTunnel:
    """See `proxy.egress.tunnel.Tunnel`."""

    def __init__(
        self, address: ShadowsocksAddress, counters: TunnelCounters, dialer: Dialer, *, udp: bool = True
    ) -> None:
        self.counters = counters
        self._address = address
        self._dialer = dialer
        self._udp = udp

    @property
    def carries_udp(self) -> bool:
        """See `Tunnel`."""
        return self._udp and self._dialer.carries_udp

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        """Connect to the exit and send the header with `first`."""
        codec = client_stream(self._address.method, self._address.key, self._address.identity_keys)
        stream = TunnelStream(protocol, self.counters, target, first, codec, self._dialer.hop)
        await self._dialer.open_stream(self._address.host, stream)
        return stream

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        """A socket towards the exit, with a session of its own."""
        if not self.carries_udp:
            raise no_udp()
        path = await self._dialer.open_datagrams(self._address.host)
        return _ShadowsocksDatagrams(path, self._address, target, self.counters)


class _ShadowsocksDatagrams:
    """See `proxy.egress.tunnel.Datagrams`."""

    def __init__(
        self, path: Datagrams, address: ShadowsocksAddress, target: Endpoint, counters: TunnelCounters
    ) -> None:
        self._path = path
        self._codec = client_datagrams(address.method, address.key, address.identity_keys)
        self._target = target
        self._counters = counters

    async def send(self, payload: bytes) -> None:
        await self._path.send(self._codec.seal(self._target, payload, time.time()))
        self._counters.datagrams_out += 1
        self._counters.bytes_out += len(payload)

    async def receive(self) -> bytes:
        while True:
            packet = await self._path.receive()
            try:
                answer = self._codec.open(packet, time.time())
            except ProtocolError as error:
                self._counters.failed(error)
                continue
            if answer.source != self._target:
                self._counters.failed(ProtocolError("a datagram from another address than asked", "wrong-source"))
                continue
            self._counters.datagrams_in += 1
            self._counters.bytes_in += len(answer.payload)
            return answer.payload

    def close(self) -> None:
        self._path.close()
