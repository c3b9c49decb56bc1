"""How a tunnel reaches its far end: over the network, or through another tunnel.

    over the network   socket with the tunnel's options ──▶ far end
    through another    stream or datagram path of that tunnel ──▶ far end

What the protocol says first goes along with the opening: in the SYN where fast open allows that, else in the header
of the tunnel below, so that a chain costs no round trip that its tunnels do not cost each by itself.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from ipaddress import ip_address
from typing import Protocol

from proxy.egress.connecting import connect_tcp
from proxy.egress.dial_options import DialOptions
from proxy.egress.tunnel import Datagrams, Tunnel
from proxy.egress.udp_path import UdpPath
from proxy.errors import PrimaryError, ProxyError, TunnelError
from proxy.protocol.tunnel_urls import TunnelHost
from proxy.values import Endpoint


class Opening(asyncio.Protocol, ABC):
    """A protocol that speaks first."""

    @abstractmethod
    def take_head(self) -> bytes:
        """What it would write in `connection_made`, once: what was taken here it does not write itself."""


class Dialer(Protocol):
    """The way to the far end of a tunnel."""

    @property
    def hop(self) -> str | None:
        """The name of the tunnel below; None when there is none."""

    @property
    def carries_udp(self) -> bool:
        """Whether datagrams get there."""

    async def open_stream(self, host: TunnelHost, protocol: Opening) -> None:
        """Connect. The protocol has its connection when this returns.

        Raises:
            TunnelError: with what stands in the way; of a tunnel below, the text names it.
        """

    async def open_datagrams(self, host: TunnelHost) -> Datagrams:
        """Open a datagram path.

        Raises:
            TunnelError: as above.
        """


class NetworkDialer:
    """See `Dialer`."""

    hop = None
    carries_udp = True

    def __init__(self, options: DialOptions, limit: float, fault: type[ProxyError] = TunnelError) -> None:
        self._options = options
        self._limit = limit
        self._fault = fault

    async def open_stream(self, host: TunnelHost, protocol: Opening) -> None:
        """Connect over TCP."""
        await connect_tcp(
            host.host,
            host.port,
            lambda: protocol,
            self._limit,
            self._fault,
            options=self._options,
            head=protocol.take_head,
        )

    async def open_datagrams(self, host: TunnelHost) -> Datagrams:
        """A UDP socket."""
        return await UdpPath.open(host.host, host.port, self._options)


class ChainDialer:
    """See `Dialer`. `below` is the tunnel that this one goes through."""

    def __init__(self, below: Tunnel) -> None:
        self._below = below

    @property
    def hop(self) -> str:
        return self._below.counters.name

    @property
    def carries_udp(self) -> bool:
        return self._below.carries_udp

    async def open_stream(self, host: TunnelHost, protocol: Opening) -> None:
        """Open a stream of the tunnel below."""
        target = _endpoint(host)
        try:
            await self._below.open_stream(target, protocol, protocol.take_head())
        except ProxyError as error:
            self._below.counters.failed(error)
            raise hop_error(self.hop, error) from None

    async def open_datagrams(self, host: TunnelHost) -> Datagrams:
        """A datagram path of the tunnel below."""
        try:
            return _ChainDatagrams(await self._below.open_datagrams(_endpoint(host)), self.hop)
        except ProxyError as error:
            self._below.counters.failed(error)
            raise hop_error(self.hop, error) from None


class _ChainDatagrams:
    """See `proxy.egress.tunnel.Datagrams`: those of the tunnel below, whose errors name it."""

    def __init__(self, below: Datagrams, hop: str) -> None:
        self._below = below
        self._hop = hop

    async def send(self, payload: bytes) -> None:
        try:
            await self._below.send(payload)
        except ProxyError as error:
            raise hop_error(self._hop, error) from None

    async def receive(self) -> bytes:
        try:
            return await self._below.receive()
        except ProxyError as error:
            raise hop_error(self._hop, error) from None

    def close(self) -> None:
        self._below.close()


_OF_FAR_END = {"primary-unreachable": "unreachable", "primary-refused": "refused"}


def hop_error(hop: str, error: ProxyError) -> TunnelError:
    """What went wrong in the tunnel below, as an error of the tunnel that goes through it.

    What the tunnel below calls its primary is the far end of this one.
    """
    words = str(error).replace("the primary", "the far end") if isinstance(error, PrimaryError) else str(error)
    kind = type(error) if isinstance(error, TunnelError) else TunnelError
    return kind(f"hop {hop}: {words}", _OF_FAR_END.get(error.reason, error.reason))


def _endpoint(host: TunnelHost) -> Endpoint:
    try:
        return Endpoint(ip_address(host.host), host.port)
    except ValueError:  # the configuration was not checked
        raise TunnelError(
            f"the far end is the name {host.host}; behind another tunnel it must be an address", "unresolved"
        ) from None
