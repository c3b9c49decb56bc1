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

ICMP_WAIT = 0.25  # seconds behind a datagram; an ICMP error that comes later is noticed with the next datagram


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


_openings: set[asyncio.Task[asyncio_dgram.DatagramClient]] = set()


def _close_unused(opening: asyncio.Task[asyncio_dgram.DatagramClient]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def openings_settled() -> None:
    """Wait until no socket is half open any more: a moment, or what the system takes to look up a name."""
    if _openings:
        await asyncio.wait(_openings)


class UdpPath:
    """A connected UDP socket: the kernel lets only datagrams of the one peer in.

    An ICMP error closes it, so that who waits for an answer learns of it at once and not by a time-out.
    """

    def __init__(self, stream: asyncio_dgram.DatagramClient, peer: str) -> None:
        self._stream = stream
        self._peer = peer
        self._looking: asyncio.TimerHandle | None = None
        self._broken: OSError | None = None  # what closed it, until somebody was told

    @classmethod
    async def open(cls, host: str, port: int) -> UdpPath:
        """A socket with a random port, towards one peer.

        Raises:
            TunnelError: "unreachable".
        """
        # Shielded: a transport of uvloop whose opening is cancelled is never closed.
        opening = asyncio.create_task(asyncio_dgram.connect((host, port)))
        _openings.add(opening)
        opening.add_done_callback(_openings.discard)
        try:
            return cls(await asyncio.shield(opening), f"{host} port {port}")
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise
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
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(ICMP_WAIT, self._look)

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
        if self._looking is not None:
            self._looking.cancel()
        self._stream.close()

    def _look(self) -> None:
        """A `receive` that waits already is not told of errors by the stream, but of its end."""
        self._looking = None
        try:
            _ = self._stream.exception
        except OSError as error:
            self._broken = error
            self._stream.close()

    def _error(self, error: Exception) -> TunnelError:
        if self._broken is not None:
            error, self._broken = self._broken, None
        if isinstance(error, ConnectionRefusedError):
            return TunnelError(f"{self._peer} refused a datagram: nothing listens there", "refused")
        if isinstance(error, OSError):
            return TunnelError(f"{self._peer} can't be reached: {error.strerror or error}", "unreachable")
        return TunnelError(f"the datagram path to {self._peer} was closed", "closed")
