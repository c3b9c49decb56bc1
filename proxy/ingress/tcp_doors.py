"""The listening TCP sockets of a worker: a bounded number of connections each turn of the loop.

The loop's own servers accept until no connection waits, so a flood of them would keep UDP and the timers from their
turn, and each gets its protocol and transport before anyone can refuse it. Here the data plane accepts: one it refuses
is reset before anything is made for it. With no descriptor left, the door rests until the next tick instead of spinning
on a socket that stays readable.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from proxy.ingress.sockets import ListenerSocket
from proxy.ingress.tcp_clients import ClientConnection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.ingress.tcp import TcpIngress

# Connections that one call takes; then other sockets have their turn, and the loop calls again while more wait.
AT_ONCE = 32

# What the data plane says of a door: no descriptors for what waits.
SHORTAGE = 2


class TcpDoors:
    """The doors of one ingress. The sockets stay the caller's."""

    def __init__(self, ingress: TcpIngress, loop: asyncio.AbstractEventLoop) -> None:
        self._ingress = ingress
        self._loop = loop
        self._sockets: dict[socket.socket, int] = {}
        self._resting: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, sockets: Sequence[ListenerSocket]) -> None:
        """Take connections at the TCP sockets among `sockets`."""
        for item in sockets:
            if item.transport == "tcp":
                self._sockets[item.socket] = item.listener
                self._loop.add_reader(item.socket, self._accept, item.socket)

    def close(self) -> None:
        """Take no more."""
        for item in self._sockets:
            self._loop.remove_reader(item)
        self._sockets.clear()
        self._resting.clear()

    def wake(self) -> None:
        """Try again where descriptors were short."""
        for item in self._resting:
            self._loop.add_reader(item, self._accept, item)
        self._resting.clear()

    def _accept(self, door: socket.socket) -> None:
        listener = self._sockets[door]
        taken, state = self._ingress.relay.accept(door.fileno(), listener, self._ingress.clock(), AT_ONCE)
        for descriptor, token in taken:
            connection = ClientConnection(self._ingress, token)
            self._ingress.add_client(token, connection)
            task = self._loop.create_task(self._adopt(connection, socket.socket(fileno=descriptor)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._ingress.relay.wants_flush:  # a refusal may have closed another
            self._ingress.schedule_flush()
        if state == SHORTAGE:
            self._loop.remove_reader(door)
            self._resting.append(door)
            self._ingress.emit("ingress.accept-paused", {"listener": str(self._ingress.doors[listener])})

    async def _adopt(self, connection: ClientConnection, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # it is gone already, or no memory is left for it; either way its end is counted
            with contextlib.suppress(OSError):
                accepted.close()
            connection.forget()
