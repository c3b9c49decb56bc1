"""How a tunnel's sockets are made: the address, interface and mark that they leave by (socket(7), ip(7), tcp(7)).

What the system refuses is an error that names the missing capability; it never makes a connection leave another way.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass

from proxy.errors import SetupError
from proxy.values import IPAddress

IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
SO_BINDTODEVICE: int = getattr(socket, "SO_BINDTODEVICE", 25)
SO_MARK: int = getattr(socket, "SO_MARK", 36)
PROBES = 3  # unanswered ones, after which a connection is given up


@dataclass(frozen=True, slots=True)
class DialOptions:
    """The options of one tunnel; the default asks for nothing. `source` has at most one address of each family."""

    source: tuple[IPAddress, ...] = ()
    interface: str | None = None
    fwmark: int | None = None
    keepalive: int | None = None  # seconds
    fast_open: bool = False

    def source_for(self, family: int) -> IPAddress | None:
        """The source address of this family."""
        version = 6 if family == socket.AF_INET6 else 4
        return next((address for address in self.source if address.version == version), None)

    def suits(self, family: int) -> bool:
        """Whether an address of this family can be reached from the source asked for."""
        return not self.source or self.source_for(family) is not None

    def apply(self, sock: socket.socket) -> None:
        """Set the options on a socket that is not connected yet.

        Raises:
            SetupError: "permission", "no-interface", "no-source".
        """
        if self.interface is not None:
            self._bind_to_interface(sock, self.interface)
        if self.fwmark is not None:
            self._mark(sock, self.fwmark)
        source = self.source_for(sock.family)
        if source is not None:
            self._bind(sock, source)
        if sock.type == socket.SOCK_STREAM:
            self._keep_alive(sock)

    @staticmethod
    def _bind_to_interface(sock: socket.socket, interface: str) -> None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode())
        except PermissionError:
            raise SetupError(
                f"the system does not let us choose the interface {interface}: the gateway needs CAP_NET_RAW",
                "permission",
            ) from None
        except OSError as error:
            raise SetupError(f"interface {interface}: {error.strerror or error}", "no-interface") from None

    @staticmethod
    def _mark(sock: socket.socket, mark: int) -> None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("@I", mark))
        except OSError as error:
            raise SetupError(
                f"the system does not let us set fwmark {mark} ({error.strerror}): the gateway needs CAP_NET_ADMIN",
                "permission",
            ) from None

    @staticmethod
    def _bind(sock: socket.socket, source: IPAddress) -> None:
        # The port is chosen when the target is known, so that one port serves for many targets. An old kernel that
        # does not know the option has fewer ports, and nothing else.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        try:
            sock.bind((str(source), 0))
        except OSError as error:
            raise SetupError(
                f"source {source}: {error.strerror or error}; give this machine the address, or correct `source`",
                "no-source",
            ) from None

    def _keep_alive(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.keepalive is None:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self.keepalive)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, self.keepalive // PROBES))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        # Probes are not sent while bytes wait for their acknowledgement; this bounds that wait (tcp(7)).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000 * self.keepalive)


PLAIN = DialOptions()
