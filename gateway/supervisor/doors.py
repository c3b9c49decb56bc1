"""Every listening socket of the gateway. The supervisor opens them and keeps them, the processes inherit them.

A crash of a worker therefore loses nothing that is queued, and a start that can't have an address fails before anything
runs.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gateway import ipc
from gateway.errors import StartError
from gateway.settings import GatewaySettings
from proxy.errors import ProxyError
from proxy.values import Endpoint

if TYPE_CHECKING:
    from proxy.egress.sockets import EgressSocket


class Doors:
    """The open sockets of one gateway."""

    def __init__(self, settings: GatewaySettings, workers: int) -> None:
        """Open all of them.

        Raises:
            StartError: an address can't be had; nothing stays open.
        """
        self._workers: list[list[ipc.Socket]] = []
        self._ingress: list[socket.socket] = []
        self._egress: list[EgressSocket] = []
        try:
            self._open_ingress(settings, workers)
            self._egress = _open_missing(settings, [])
            self.admin = open_admin(settings.admin.address)
        except (OSError, ProxyError) as error:
            self.close()
            raise StartError((error.strerror if isinstance(error, OSError) else None) or str(error)) from error

    def of_worker(self, index: int) -> tuple[ipc.Socket, ...]:
        """What ingress worker `index` inherits."""
        return tuple(self._workers[index])

    def of_transfer(self) -> tuple[ipc.Socket, ...]:
        """What the transfer process inherits."""
        return tuple(
            ipc.Socket(
                owner=item.role,
                endpoint=str(item.endpoint),
                transport=item.transport,
                descriptor=item.socket.fileno(),
            )
            for item in self._egress
        )

    def move_transfer(self, settings: GatewaySettings) -> Callable[[], None]:
        """Open what new settings need for the transfer process, and keep what they share with the old ones.

        Gives a function that closes what they don't need any more, to be called when the process has let go of it.

        Raises:
            StartError: an address can't be had; nothing has changed.
        """
        before = self._egress
        try:
            self._egress = _open_missing(settings, before)
        except OSError as error:
            raise StartError(error.strerror or str(error)) from error
        gone = [item for item in before if item not in self._egress]

        def close() -> None:
            for item in gone:
                item.socket.close()

        return close

    def close(self) -> None:
        """Close our copies of all but the admin socket; those that were inherited stay open."""
        for item in [*self._ingress, *(item.socket for item in self._egress)]:
            item.close()
        self._ingress.clear()
        self._egress.clear()

    def _open_ingress(self, settings: GatewaySettings, workers: int) -> None:
        if settings.ingress is None:
            return
        # Imported for the roles that are configured only, as everywhere in the supervisor: a start is quick.
        from proxy.ingress.sockets import open_listener_sockets

        for opened in open_listener_sockets(settings.ingress, workers):
            self._ingress += [item.socket for item in opened]
            self._workers.append(
                [
                    ipc.Socket(
                        owner="listener",
                        listener=item.listener,
                        transport=item.transport,
                        descriptor=item.socket.fileno(),
                    )
                    for item in opened
                ]
            )


def _open_missing(settings: GatewaySettings, have: Sequence[EgressSocket]) -> list[EgressSocket]:
    """The sockets of the transfer process: those we have under their name, and new ones for the others.

    Raises:
        OSError: an address can't be had; nothing new stays open.
    """
    if settings.egress is None:
        return []
    from proxy.egress.sockets import needed_sockets, open_egress_socket

    known = {item.key: item for item in have}
    result: list[EgressSocket] = []
    try:
        for key in needed_sockets(settings.egress):
            result.append(known[key] if key in known else open_egress_socket(*key))
    except OSError:
        for item in result:
            if item.key not in known:
                item.socket.close()
        raise
    return result


def open_admin(address: Endpoint) -> socket.socket:
    """The listening socket of the admin API.

    Raises:
        OSError: it can't be bound; the text names the address.
    """
    family = socket.AF_INET6 if address.address.version == 6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address.sockaddr)
        opened.listen(64)
    except OSError as error:
        opened.close()
        raise OSError(error.errno, f"admin {address}: {error.strerror}") from error
    return opened
