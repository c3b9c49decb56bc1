"""One TCP connection to the exit: a Shadowsocks stream of a client, and the connection to the target that it asks for.

    HEADER ──header right──▶ CONNECTING ──target connected──▶ RELAY ──▶ closed
      └──anything wrong──▶ SILENT ──handshake timeout──▶ reset

What a prober can tell. SIP022 §3.1.4 asks that the reaction to a bad header does not show how many bytes were
consumed, and proposes a reset at once, or FIN at once and draining. Here the reaction is none: a connection that
has not shown that it knows the key is treated as one that sent nothing. It is held, unread, until the handshake
timeout counted from its accept, and then reset (SO_LINGER 0), whatever came before: noise, a replay, half a header,
a FIN, or nothing. Holding it costs what an idle connection costs, which a prober can have anyway; when the exit is
full, the oldest such connection goes first. Once the key is shown, refusals close at once: the peer is one of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from enum import Enum, auto
from typing import Protocol, cast

from proxy.egress.connecting import connect_tcp
from proxy.egress.counters import ExitCounters
from proxy.egress.exit_plan import ExitPlan
from proxy.egress.exit_target import ExitTarget
from proxy.egress.idle import IdleTimer
from proxy.egress.stream import HIGH_WATER
from proxy.egress.usable import usable
from proxy.errors import PrimaryError, ProtocolError, ProxyError
from proxy.protocol.address import Target
from proxy.protocol.shadowsocks import Opened

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds


class State(Enum):
    """Where the connection stands; see the drawing above."""

    HEADER = auto()
    CONNECTING = auto()
    RELAY = auto()
    SILENT = auto()


class Host(Protocol):
    """Who keeps the connections."""

    def admit(self, stream: ExitStream) -> bool:
        """Whether there is room for this connection; where not, it is closed at once."""

    def proven(self, stream: ExitStream) -> None:
        """It has shown that it knows the key."""

    def rejected(self, stream: ExitStream, error: ProxyError) -> None:
        """It was not served; to be counted and told."""

    def closed(self, stream: ExitStream) -> None:
        """It is over."""


class ExitStream(asyncio.Protocol):
    """The client's connection."""

    def __init__(self, plan: ExitPlan, counters: ExitCounters, host: Host) -> None:
        self._plan = plan
        self._counters = counters
        self._host = host
        self._codec = plan.stream()
        self._state = State.HEADER
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._idle: IdleTimer | None = None
        self._pending: list[bytes] = []  # payload that came before the target was connected; one read at most
        self._ended = False  # the client has sent its last byte
        self._connecting: asyncio.Task[None] | None = None
        self._target: ExitTarget | None = None
        self.client = "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.client = str(name[0]) if name else "?"
        if not self._host.admit(self):
            self.reset()
            return
        self._transport.set_write_buffer_limits(HIGH_WATER)
        limit = self._plan.settings.handshake_timeout
        self._deadline = asyncio.get_running_loop().call_later(limit, self._handshake_over)

    def data_received(self, data: bytes) -> None:
        if self._state is State.SILENT:
            return
        self._touch()
        try:
            events = self._codec.feed(data, time.time())
            if not self._codec.begun:
                raise ProtocolError("less than a header in the first read", "short-header")
        except ProtocolError as error:
            self._fault(error)
            return
        for event in events:
            if isinstance(event, Opened):
                self._open(event.target)
            else:
                self._counters.bytes_in += len(event)
                self._pending.append(event)
        self._send_pending()

    def eof_received(self) -> bool:
        """True keeps our half open: the target may go on, or nothing is to be told."""
        if self._state in (State.CONNECTING, State.RELAY):
            self._ended = True
            if not self._codec.at_end:
                self._fault(ProtocolError("the stream ends inside a chunk", "cut"))
            elif self._target is not None:
                self._target.write_eof()
        return True

    def pause_writing(self) -> None:
        if self._target is not None:
            self._target.pause_reading()

    def resume_writing(self) -> None:
        self._touch()
        if self._target is not None:
            self._target.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()
        if self._idle is not None:
            self._idle.stop()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._target is not None:
            self._target.abort()
        self._host.closed(self)

    def reset(self) -> None:
        """Close with RST, whatever is unread or unsent."""
        if self._transport is not None:
            with contextlib.suppress(OSError):  # closed already
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
                )
            self._transport.abort()

    def _fault(self, error: ProtocolError) -> None:
        """What the client sent is wrong. Before the key is shown nothing is to be seen of it."""
        self._host.rejected(self, error)
        if self._state is State.HEADER:
            self._state = State.SILENT
            self._codec = self._plan.stream()  # the old one keeps what it could not read: up to a whole read of noise
            if usable(self._transport):
                self._transport.pause_reading()
        else:
            self.reset()

    def _handshake_over(self) -> None:
        if self._state is State.HEADER:
            self._host.rejected(self, ProtocolError("no complete header in time", "handshake-timeout"))
        self.reset()

    def _open(self, target: Target) -> None:
        self._host.proven(self)
        if self._deadline is not None:
            self._deadline.cancel()
        self._state = State.CONNECTING
        self._idle = IdleTimer(self._plan.settings.idle_timeout, self.reset)
        if usable(self._transport):
            self._transport.pause_reading()
        self._connecting = asyncio.create_task(self._connect(target))

    async def _connect(self, target: Target) -> None:
        try:
            host, port = self._plan.check_target(target).sockaddr
            limit = self._plan.settings.connect_timeout
            _, connected = await connect_tcp(host, port, lambda: ExitTarget(self), limit, PrimaryError)
        except ProxyError as error:
            self._host.rejected(self, error)
            self.reset()
            return
        self._state = State.RELAY
        self._target = connected
        if usable(self._transport):
            self._transport.resume_reading()  # first: what is pending may already be too much for the target
        self._send_pending()
        if self._ended:
            connected.write_eof()

    def _send_pending(self) -> None:
        if self._target is not None and self._pending:
            self._target.write(self._pending[0] if len(self._pending) == 1 else b"".join(self._pending))
            self._pending.clear()

    def _touch(self) -> None:
        if self._idle is not None:
            self._idle.touch()

    # Called by the target's connection.

    def answer(self, data: bytes) -> None:
        """Bytes from the target, to the client."""
        self._touch()
        self._counters.bytes_out += len(data)
        if usable(self._transport):
            self._transport.write(self._codec.send(data, time.time()))

    def answer_eof(self) -> None:
        """The target has sent its last byte."""
        if usable(self._transport):
            self._transport.write_eof()

    def target_lost(self, error: Exception | None) -> None:
        """The target's connection is over."""
        self._target = None
        if error is not None:
            self.reset()
        elif usable(self._transport):
            self._transport.close()

    def pause_reading(self) -> None:
        """The target takes no more for now."""
        if usable(self._transport):
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """It takes more again."""
        self._touch()
        if usable(self._transport):
            self._transport.resume_reading()
