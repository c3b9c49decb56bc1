"""A UDP socket towards one peer."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import asyncio_dgram
from asyncio_dgram.aio import DatagramClient
from asyncio_dgram.aio import Protocol as Dgram

from proxy.egress.connecting import find_places, unreachable
from proxy.egress.dial_options import PLAIN, DialOptions
from proxy.egress.openings import adopt
from proxy.errors import TunnelError

QUEUE = 1024  # datagrams that wait for a reader; more are lost, as the kernel would lose them
ICMP_WAIT = 0.25  # seconds behind a datagram; an ICMP error that comes later is noticed with the next datagram


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
    async def open(cls, host: str, port: int, options: DialOptions = PLAIN) -> UdpPath:
        """A socket with a random port, towards one peer: of several addresses, the first that there is a route to.

        Raises:
            TunnelError: "unresolved", "unreachable", NO_DESCRIPTORS.
            SetupError: as `DialOptions.apply`.
        """
        peer = f"{host} port {port}"
        try:
            return cls(await _open(await _connected(host, port, options)), peer)
        except socket.gaierror as error:
            raise TunnelError(f"the name {host} can't be looked up: {error.strerror}", "unresolved") from None
        except OSError as error:
            raise unreachable(peer, error) from None

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


async def _connected(host: str, port: int, options: DialOptions) -> socket.socket:
    failure: OSError = OSError("no address")
    for family, address in await find_places(host, port, socket.SOCK_DGRAM, options):
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            options.apply(sock)
            sock.connect(address)
        except OSError as error:  # no route for this family, mostly
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


class _Received(asyncio.Queue[tuple[bytes | None, Any]]):
    """A path may wait without a reader for its next query; what comes meanwhile must not fill the memory."""

    def put_nowait(self, item: tuple[bytes | None, Any]) -> None:
        """Take a datagram, or the end of the path, which has none."""
        if item[0] is None or self.qsize() < QUEUE:
            super().put_nowait(item)


async def _open(sock: socket.socket) -> DatagramClient:
    """What `asyncio_dgram.from_socket` does, which does not know the transports of uvloop."""
    received = _Received()
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    drained = asyncio.Event()
    making = asyncio.get_running_loop().create_datagram_endpoint(lambda: Dgram(received, errors, drained), sock=sock)
    transport, _ = await adopt(making, sock)
    return DatagramClient(transport, received, errors, drained)
