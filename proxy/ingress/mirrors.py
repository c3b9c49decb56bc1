"""Sockets that copies of queries leave by, for rules that mirror. Whatever a mirror answers is not read."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from dataplane import StreamRelay

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class MirrorSockets:
    """At most one socket for each IP version. Answers fill its small buffer, and the kernel drops the rest."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def open(self, versions: Iterable[int]) -> None:
        """Open what is missing for these IP versions.

        Raises:
            OSError: no socket can be had.
        """
        for version in set(versions) - self._sockets.keys():
            opened = socket.socket(FAMILIES[version], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            self._sockets[version] = opened

    def descriptor(self, version: int) -> int | None:
        """That of the socket for an IP version; None if it is not open."""
        found = self._sockets.get(version)
        return found.fileno() if found is not None else None

    def send(self, relay: StreamRelay) -> None:
        """Send the copies that a stream relay has, and tell it how many left."""
        sent = failed = 0
        for to, port, message in relay.take_copies():
            try:
                self._sockets[to.version].sendto(message, (str(to), port))
                sent += 1
            except (OSError, KeyError):  # counted; a copy is not worth more
                failed += 1
        relay.mirrored(sent, failed)

    def close(self) -> None:
        """Close all."""
        for opened in self._sockets.values():
            opened.close()
        self._sockets.clear()
