"""The SOCKS5 tunnel: CONNECT for streams, UDP ASSOCIATE for datagrams (RFC 1928).

An association lives as long as the TCP connection that asked for it (§7); that connection is held open beside the
datagrams. A server that does not know the command (reply 7: `ssh -D`, microsocks) is not asked again for a while.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

from proxy.egress.counters import TunnelCounters
from proxy.egress.dialing import Dialer, Opening, hop_error
from proxy.egress.stream import TunnelStream
from proxy.egress.tunnel import Datagrams, no_udp
from proxy.errors import ProtocolError, ProxyError, TunnelError
from proxy.protocol.address import NamedTarget, Target
from proxy.protocol.socks5 import Command, Ready, Send, Socks5Client
from proxy.protocol.socks5_datagrams import unwrap_datagram, wrap_datagram
from proxy.protocol.tunnel_urls import Socks5Address, TunnelHost
from proxy.values import Endpoint

UDP_AGAIN = 600.0  # seconds after which a server that knew no UDP ASSOCIATE is asked again: it may be another by then


class Socks5Tunnel:
    """See `proxy.egress.tunnel.Tunnel`."""

    def __init__(
        self, address: Socks5Address, counters: TunnelCounters, dialer: Dialer, limit: float, *, udp: bool = True
    ) -> None:
        """`limit` is for the handshake, in seconds."""
        self.counters = counters
        self._address = address
        self._dialer = dialer
        self._limit = limit
        self._udp = udp
        self._no_udp_until = 0.0

    @property
    def carries_udp(self) -> bool:
        """See `Tunnel`; also what the server said of it."""
        return self._udp and self._dialer.carries_udp and time.monotonic() >= self._no_udp_until

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        """CONNECT to the target."""
        handshake, ready = await self._shake_hands(Socks5Client(self._address, Command.CONNECT, target))
        stream = TunnelStream(protocol, self.counters, target, first, hop=self._dialer.hop)
        handshake.hand_over(stream)
        if ready.rest:
            stream.data_received(ready.rest)
        return stream

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        """Ask for an association, and open a socket towards the address that the server names."""
        if not self.carries_udp:
            raise no_udp()
        try:
            control, ready = await self._shake_hands(Socks5Client(self._address, Command.UDP_ASSOCIATE))
        except TunnelError as error:
            if error.reason == "command-not-supported":
                self._no_udp_until = time.monotonic() + UDP_AGAIN
            raise
        try:
            path = await self._dialer.open_datagrams(self._relay(ready.bound, control.peer, target))
        except BaseException:
            control.close()
            raise
        return _Socks5Datagrams(path, control, target, self.counters)

    async def _shake_hands(self, client: Socks5Client) -> tuple[_Handshake, Ready]:
        host, limit = self._address.host, self._limit
        handshake = _Handshake(client, self._dialer.hop)
        await self._dialer.open_stream(host, handshake)
        try:
            async with asyncio.timeout(limit):
                return handshake, await handshake.ready
        except TimeoutError:
            handshake.close()
            raise TunnelError(
                f"the SOCKS server {host} did not answer within {limit:g} s", "handshake-timeout"
            ) from None
        except BaseException:
            handshake.close()
            raise

    @staticmethod
    def _relay(bound: Target, peer: Endpoint, target: Endpoint) -> TunnelHost:
        """Where datagrams go. A server that names no address means the one that it was reached at.

        It can't name the primary, in whatever form: that would be the direct way. Another port of the primary's address
        is right only where the SOCKS server has that address itself.
        """
        if isinstance(bound, NamedTarget):
            raise ProtocolError("the SOCKS server names its relay by a host name, not by an address", "bad-address")
        # "::ffff:192.0.2.1" leads where 192.0.2.1 leads, whoever writes it so.
        named, target = Endpoint.of(bound.sockaddr), Endpoint.of(target.sockaddr)
        relay = Endpoint(peer.address if named.address.is_unspecified else named.address, named.port)
        if relay == target or relay.address == target.address != peer.address:
            raise ProtocolError("the SOCKS server names the primary itself as its relay", "bad-address")
        return TunnelHost(*relay.sockaddr)


class _Handshake(Opening):
    """Drives the state machine on one connection; then holds the connection, or hands it over."""

    def __init__(self, client: Socks5Client, hop: str | None) -> None:
        self._client = client
        self._hop = hop
        self._hello = client.start()
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    def take_head(self) -> bytes:
        """See `Opening`."""
        hello, self._hello = self._hello, b""
        return hello

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if hello := self.take_head():
            self._transport.write(hello)

    def data_received(self, data: bytes) -> None:
        if self.ready.done():
            return  # a control connection has nothing more to say
        try:
            events = self._client.feed(data)
        except ProxyError as error:
            self._fail(error)
            return
        for event in events:
            if isinstance(event, Send):
                self.transport.write(event.data)
            else:
                self.transport.pause_reading()  # what comes now is for the next protocol
                self.ready.set_result(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        if self.ready.done():
            return
        if isinstance(exc, ProxyError) and self._hop is not None:
            self._fail(hop_error(self._hop, exc))
        else:
            self._fail(TunnelError("the SOCKS server closed the connection in the handshake", "closed"))

    def _fail(self, error: ProxyError) -> None:
        self.ready.set_exception(error)
        self.ready.exception()  # whoever waits is told; nobody may wait any more

    @property
    def transport(self) -> asyncio.Transport:
        """The connection."""
        if self._transport is None:
            raise RuntimeError("not connected")
        return self._transport

    @property
    def peer(self) -> Endpoint:
        """The server as it was reached."""
        return Endpoint.of(self.transport.get_extra_info("peername"))

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """The connection has a new protocol.

        Raises:
            TunnelError: it is gone already.
        """
        if self.lost.is_set():
            raise TunnelError("the SOCKS server closed the connection behind the handshake", "closed")
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        self.transport.resume_reading()

    def watch(self) -> None:
        """Go on reading: to see the end of the connection, nothing else."""
        self.transport.resume_reading()

    def close(self) -> None:
        """End the connection. A handshake that nobody waits for any more must not report an error."""
        self.ready.cancel()
        self.transport.abort()


class _Socks5Datagrams:
    """See `proxy.egress.tunnel.Datagrams`."""

    def __init__(self, path: Datagrams, control: _Handshake, target: Endpoint, counters: TunnelCounters) -> None:
        self._path = path
        self._control = control
        self._target = target
        self._counters = counters
        self._watcher = asyncio.create_task(self._close_with_control())
        control.watch()

    async def send(self, payload: bytes) -> None:
        await self._path.send(wrap_datagram(self._target, payload))
        self._counters.datagrams_out += 1
        self._counters.bytes_out += len(payload)

    async def receive(self) -> bytes:
        while True:
            data = await self._path.receive()
            try:
                source, payload = unwrap_datagram(data)
                if source != self._target:
                    raise ProtocolError("a datagram from another address than asked", "wrong-source")
            except ProtocolError as error:
                self._counters.failed(error)
                continue
            self._counters.datagrams_in += 1
            self._counters.bytes_in += len(payload)
            return payload

    def close(self) -> None:
        self._watcher.cancel()
        self._control.close()
        self._path.close()

    async def _close_with_control(self) -> None:
        await self._control.lost.wait()
        self._path.close()
