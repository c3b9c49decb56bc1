"""Opening connections, with the time limit and the error that belong to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import TypeVar

import asyncio_dgram

from proxy.errors import ProxyError, TunnelError

P = TypeVar("P", bound=asyncio.Protocol)


async def connect_tcp(
    host: str,
    port: int,
    factory: Callable[[], P],
    limit: float,
    fault: type[ProxyError] = TunnelError,
) -> tuple[asyncio.Transport, P]:
    """Connect over TCP within `limit` seconds; with keep-alive, so that a dead peer is noticed some day.

    Raises:
        fault: "unreachable", "connect-timeout" or "refused".
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limit):
            transport, protocol = await loop.create_connection(factory, host, port)
    except TimeoutError:
        raise fault(f"{host} port {port} did not accept the connection within {limit:g} s", "connect-timeout") from None
    except ConnectionRefusedError:
        raise fault(f"{host} port {port} refused the connection", "refused") from None
    except OSError as error:
        raise fault(f"{host} port {port} can't be reached: {error.strerror or error}", "unreachable") from None
    with contextlib.suppress(OSError):  # closed again already; its protocol knows
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return transport, protocol


class UdpPath:
    """A connected UDP socket: the kernel lets only datagrams of the one peer in."""

    def __init__(self, stream: asyncio_dgram.DatagramClient, peer: str) -> None:
        self._stream = stream
        self._peer = peer

    @classmethod
    async def open(cls, host: str, port: int) -> UdpPath:
        """A socket with a random port, towards one peer.

        Raises:
            TunnelError: "unreachable".
        """
        try:
            return cls(await asyncio_dgram.connect((host, port)), f"{host} port {port}")
        except OSError as error:
            raise TunnelError(
                f"{host} port {port} can't be reached: {error.strerror or error}", "unreachable"
            ) from None

    async def send(self, data: bytes) -> None:
        """Send one datagram.

        Raises:
            TunnelError: "refused" (ICMP said so of an earlier datagram), "unreachable", "closed".
        """
        try:
            await self._stream.send(data)
        except (OSError, asyncio_dgram.TransportClosed) as error:
            raise self._error(error) from None

    async def receive(self) -> bytes:
        """The next datagram.

        Raises:
            TunnelError: as for `send`.
        """
        try:
            data, _ = await self._stream.recv()
        except (OSError, asyncio_dgram.TransportClosed) as error:
            raise self._error(error) from None
        return data

    def close(self) -> None:
        """Close the socket; a waiting `receive` ends with an error."""
        self._stream.close()

    def _error(self, error: Exception) -> TunnelError:
        if isinstance(error, ConnectionRefusedError):
            return TunnelError(f"{self._peer} refused a datagram: nothing listens there", "refused")
        if isinstance(error, OSError):
            return TunnelError(f"{self._peer} can't be reached: {error.strerror or error}", "unreachable")
        return TunnelError(f"the datagram path to {self._peer} was closed", "closed")
