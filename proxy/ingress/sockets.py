"""The sockets of the way in, opened before anything else and handed down: a listener outlives its worker.

Every worker has a socket of its own for each listener (SO_REUSEPORT), so the kernel spreads clients over the workers,
and what is queued at the socket of a crashed worker waits for the next one.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from proxy.errors import ProxyError
from proxy.settings import IngressSettings, Listener
from proxy.values import Endpoint

# Linux constants that the socket module does not name (linux/in.h, linux/in6.h, asm-generic/socket.h).
IP_MTU_DISCOVER = 10
IP_PMTUDISC_OMIT = 5
IP_PKTINFO = 8
IP_RECVERR = 11
IPV6_MTU_DISCOVER = 23
IPV6_PMTUDISC_OMIT = 5
IPV6_RECVERR = 25
SO_RCVBUFFORCE = 33

TCP_BACKLOG = 4096


class ListenError(ProxyError):
    """An address can't be opened; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class ListenerSocket:
    """An open socket: the number of its listener in the settings, what it speaks, and the socket itself."""

    listener: int
    transport: Literal["udp", "tcp"]
    socket: socket.socket


def open_listener_sockets(settings: IngressSettings, workers: int) -> list[list[ListenerSocket]]:
    """Open every listener once for each worker; item n of the result is what worker n gets.

    Raises:
        ListenError: with address, cause and remedy. Nothing stays open then.
    """
    result: list[list[ListenerSocket]] = [[] for _ in range(workers)]
    try:
        for number, listener in enumerate(settings.listeners):
            for transport in listener.transports:
                for worker, sockets in enumerate(result):
                    first = worker == 0
                    if transport == "udp":
                        opened = open_udp(listener, settings, first=first)
                    else:
                        opened = open_tcp(listener, first=first)
                    sockets.append(ListenerSocket(number, transport, opened))
    except OSError as error:
        close_all(result)
        raise ListenError(f"{transport} {listener.address}: {describe(error)}") from error
    return result


def close_all(workers: Sequence[Sequence[ListenerSocket]]) -> None:
    """Close what `open_listener_sockets` opened."""
    for sockets in workers:
        for item in sockets:
            item.socket.close()


def describe(error: OSError) -> str:
    """The cause of a failed bind in words, with what helps."""
    match error.errno:
        case errno.EADDRINUSE:
            return "address in use; another server listens there (see `ss -lntup`)"
        case errno.EACCES:
            return "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE"
        case errno.EADDRNOTAVAIL:
            return "no interface of this machine has this address"
        case _:
            return error.strerror or str(error)


def open_udp(listener: Listener, settings: IngressSettings, *, first: bool = False) -> socket.socket:
    """A UDP socket of a listener, bound and non-blocking. `first`: no other may have the address yet.

    Raises:
        OSError: of bind.
    """
    opened = bound_socket(listener.address, socket.SOCK_DGRAM, first=first)
    try:
        set_receive_buffer(opened, settings.udp.receive_buffer)
        omit_path_mtu(opened)
        if listener.address.address.is_unspecified:
            # A wildcard socket must learn which address was asked, to answer from it.
            if opened.family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                opened.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    except BaseException:
        opened.close()
        raise
    return opened


def open_tcp(listener: Listener, *, first: bool = False) -> socket.socket:
    """A listening TCP socket, non-blocking. `first`: no other may have the address yet.

    Raises:
        OSError: of bind or listen.
    """
    opened = bound_socket(listener.address, socket.SOCK_STREAM, first=first)
    try:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.listen(TCP_BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened


def open_backend_sockets(
    settings: IngressSettings, besides: Collection[socket.AddressFamily] = ()
) -> list[socket.socket]:
    """The UDP sockets of one worker towards its backends, on ports of the kernel's random choice.

    `besides` are families that have theirs already.

    They are not connected, so an answer from a wrong place arrives and can be counted; errors come by the error queue.

    Raises:
        OSError: of socket or bind, such as out of descriptors.
    """
    families = sorted({family_of(backend.address) for backend in settings.backends}.difference(besides))
    opened: list[socket.socket] = []
    try:
        for family in families:
            for _ in range(settings.udp.backend_sockets):
                item = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                opened.append(item)
                item.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 0))  # noqa: S104  the kernel picks the source by route
                set_receive_buffer(item, settings.udp.receive_buffer)
                omit_path_mtu(item)
                if family == socket.AF_INET6:
                    item.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
                else:
                    item.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    except BaseException:
        for item in opened:
            item.close()
        raise
    return opened


def family_of(endpoint: Endpoint) -> socket.AddressFamily:
    """The address family of an endpoint."""
    return socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET


def bound_socket(endpoint: Endpoint, kind: socket.SocketKind, *, first: bool = False) -> socket.socket:
    """A non-blocking socket bound to `endpoint`, shareable between workers.

    The `first` one is bound before it may be shared: with SO_REUSEPORT set at once, the kernel would let a second
    gateway of the same user in without a word, and give it a part of the clients.
    """
    opened = socket.socket(family_of(endpoint), kind | socket.SOCK_NONBLOCK)
    try:
        if opened.family == socket.AF_INET6:
            # One socket, one family: else IPv4 clients would come as mapped addresses and clash with an IPv4 listener.
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not first:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(endpoint.sockaddr)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except BaseException:
        opened.close()
        raise
    return opened


def set_receive_buffer(opened: socket.socket, size: int) -> None:
    """Ask for a receive buffer of `size` bytes; `receive_buffer` tells what the kernel granted."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    if receive_buffer(opened) < size:
        # Without CAP_NET_ADMIN it stays at net.core.rmem_max; the worker says so when it starts.
        with contextlib.suppress(PermissionError):
            opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)


def receive_buffer(opened: socket.socket) -> int:
    """The bytes of the receive buffer. The kernel doubles what it is asked for, for its own bookkeeping (socket(7))."""
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def omit_path_mtu(opened: socket.socket) -> None:
    """Neither probe the path MTU nor believe ICMP about it, as BIND and NSD do: forged ICMP fragments no answers."""
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT)
    else:
        opened.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT)
