"""Opening TCP connections, with the time limit and the error that belong to it.

A host given by name is looked up at each connection. All its addresses are tried, the families in turn, each a
quarter of a second after the one before or as soon as that has failed (RFC 8305 §4, §5); the first that stands wins.

TCP fast open (RFC 7413): the kernel keeps a cookie of the server. Where it has one, connect() only notes the address,
and the first bytes that are sent ride in the SYN.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from proxy.egress.dial_options import PLAIN, DialOptions
from proxy.egress.lookups import look_up
from proxy.egress.openings import adopt
from proxy.errors import NO_DESCRIPTORS, ProxyError, SetupError, TunnelError

P = TypeVar("P", bound=asyncio.Protocol)
Place = tuple[int, tuple[Any, ...]]  # family and address, as the socket module takes them

ATTEMPT_DELAY = 0.25  # seconds; RFC 8305 §5
TCP_FASTOPEN_CONNECT = 30  # linux/tcp.h, since Linux 4.11
_OURS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


async def connect_tcp(
    host: str,
    port: int,
    factory: Callable[[], P],
    limit: float,
    fault: type[ProxyError] = TunnelError,
    *,
    options: DialOptions = PLAIN,
    head: Callable[[], bytes] | None = None,
) -> tuple[asyncio.Transport, P]:
    """Connect over TCP within `limit` seconds; with keep-alive, so that a dead peer is noticed some day.

    `head` gives what the protocol would write first. It is called only where that can ride in the SYN, and is sent
    before `connection_made`.

    Raises:
        fault: "unresolved", "unreachable", "connect-timeout" or "refused".
        SetupError: as `DialOptions.apply`.
        TunnelError: NO_DESCRIPTORS.
    """
    loop = asyncio.get_running_loop()
    where = f"{host} port {port}"
    try:
        async with asyncio.timeout(limit):
            sock = await _connected(host, port, options, head)
            transport, protocol = await adopt(loop.create_connection(factory, sock=sock), sock)
    except TimeoutError:
        raise fault(f"{where} did not accept the connection within {limit:g} s", "connect-timeout") from None
    except ConnectionRefusedError:
        raise fault(f"{where} refused the connection", "refused") from None
    except socket.gaierror as error:
        raise fault(f"the name {host} can't be looked up: {error.strerror}", "unresolved") from None
    except OSError as error:
        raise unreachable(where, error, fault) from None
    return transport, protocol


def unreachable(where: str, error: OSError, fault: type[ProxyError] = TunnelError) -> ProxyError:
    """What the system says of a connection that it does not make: the network's fault, or our own want of something."""
    if error.errno in _OURS:
        return TunnelError(f"no socket to reach {where}: {error.strerror}", NO_DESCRIPTORS)
    return fault(f"{where} can't be reached: {error.strerror or error}", "unreachable")


async def find_places(host: str, port: int, kind: int, options: DialOptions) -> list[Place]:
    """The addresses of a host that the options let us reach, the families in turn.

    Raises:
        OSError: it can't be looked up.
        SetupError: "no-source": it has no address of a family that a source address was given for.
    """
    found = await look_up(host, port, kind)
    places: list[Place] = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    suiting = [place for place in places if options.suits(place[0])]
    if not suiting:
        raise SetupError(f"{host} has no address of the family of `source`: name one of its family", "no-source")
    first = suiting[0][0]
    turns = {family: iter(range(len(suiting))) for family, _ in suiting}
    order = {place: (next(turns[place[0]]), place[0] != first) for place in suiting}
    return sorted(suiting, key=order.__getitem__)


async def _connected(host: str, port: int, options: DialOptions, head: Callable[[], bytes] | None) -> socket.socket:
    places = await find_places(host, port, socket.SOCK_STREAM, options)
    if len(places) == 1:
        # Only here may bytes ride in the SYN: of several attempts, each would bring the server the same ones.
        return await _attempt(places[0], options, head if options.fast_open else None)
    return await _race(deque(places), options)


async def _race(places: deque[Place], options: DialOptions) -> socket.socket:
    attempts: set[asyncio.Task[socket.socket]] = set()
    error: Exception = OSError("no address")
    try:
        while places or attempts:
            if places:
                attempts.add(asyncio.create_task(_attempt(places.popleft(), options, None)))
            patience = ATTEMPT_DELAY if places else None
            done, _ = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.discard(attempt)
                failure = attempt.exception()
                if failure is None:
                    return attempt.result()
                if not isinstance(failure, OSError | SetupError):
                    raise failure
                error = failure
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_close_unused)
            attempt.cancel()
    raise error


def _close_unused(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _attempt(place: Place, options: DialOptions, head: Callable[[], bytes] | None) -> socket.socket:
    family, address = place
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        options.apply(sock)
        if head is not None:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        try:
            sock.connect(address)
        except BlockingIOError:
            head = None  # the kernel has no cookie yet: a SYN without data is under way, and asks for one
        rest = b"" if head is None else _send(sock, head())
        await _writable(sock)
        if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number))
        while rest:
            rest = _send(sock, rest)
            await _writable(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _send(sock: socket.socket, data: bytes) -> bytes:
    """Send what the kernel takes; what is left. A fast open takes what has room in the SYN."""
    try:
        return data[sock.send(data) :]
    except BlockingIOError:
        return data


async def _writable(sock: socket.socket) -> None:
    """Wait until the socket takes bytes: it is connected then, or has failed."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(sock.fileno(), wake)
    try:
        await ready
    finally:
        loop.remove_writer(sock.fileno())
