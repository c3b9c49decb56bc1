"""One TCP connection to the exit: a Shadowsocks stream of a client, and the connection to the target that it asks for.

    HEADER ──header right──▶ CONNECTING ──target connected──▶ RELAY ──▶ closed
      └──anything wrong──▶ SILENT ──handshake timeout──▶ reset

What a prober can tell. SIP022 §3.1.4 asks that the reaction to a bad header does not show how many bytes were
consumed, and proposes a reset at once, or FIN at once and draining. Here the reaction is none: a connection that
has not shown that it knows the key is treated as one that sent nothing. It is held, unread, until the handshake
timeout counted from its accept, and then reset (SO_LINGER 0), whatever came before: noise, a replay, half a header,
a FIN, or nothing. Holding it costs what an idle connection costs, which a prober can have anyway; when the exit is
full, the oldest such connection goes first. Once the key is shown, refusals close at once: the peer is one of ours.

A relayed stream (SIP023) is for an exit behind this one. Whether it is genuine only that exit can tell, so its client
stays a stranger until that exit has answered: if none comes before the handshake timeout, or the other exit closes, the
reaction is as above.

A user's limits. A new stream beyond the user's rate waits in CONNECTING for its turn; payload beyond it makes both
sides of the stream rest, unread, until the debt is paid. Nothing of a stream is dropped.
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
from proxy.egress.exit_account import Account
from proxy.egress.exit_plan import ExitPlan, UserPlan
from proxy.egress.exit_strangers import source_of
from proxy.egress.exit_target import ExitTarget
from proxy.egress.gate import Gate
from proxy.egress.idle import IdleTimer
from proxy.egress.keepalive import keep_alive
from proxy.egress.stream import HIGH_WATER
from proxy.egress.usable import usable
from proxy.errors import PrimaryError, ProtocolError, ProxyError, TunnelError
from proxy.protocol.relay import RelayStream
from proxy.protocol.shadowsocks import Opened, ServerStream

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

    def proven(self, stream: ExitStream, user: UserPlan) -> Account:
        """It has shown that it knows the key of this user, whose account is returned.

        Raises:
            TunnelError: the user has so much that others would find no place.
        """

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
        self._codec: ServerStream = plan.stream()
        self._state = State.HEADER
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._idle: IdleTimer | None = None
        self._resting: asyncio.TimerHandle | None = None  # the user's rate is used up
        self._pending: list[bytes] = []  # payload that came before the target was connected; one read at most
        self._ended = False  # the client has sent its last byte
        self._connecting: asyncio.Task[None] | None = None
        self._target: ExitTarget | None = None
        self._account: Account | None = None
        self._inlet = Gate()
        self._first_read = True
        self._hop: UserPlan | None = None  # the exit behind this one, until it has answered
        self._early = 0  # bytes for it meanwhile
        self.user: UserPlan | None = None
        self.client = self.source = "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.client, self.source = str(name[0]) if name else "?", source_of(name)
        if not self._host.admit(self):
            self.reset()
            return
        self._transport.set_write_buffer_limits(HIGH_WATER)
        self._inlet.attach(self._transport)
        keep_alive(transport)
        limit = self._plan.settings.handshake_timeout
        self._deadline = asyncio.get_running_loop().call_later(limit, self._handshake_over)

    def data_received(self, data: bytes) -> None:
        if self._state is State.SILENT:
            return
        self._touch()
        try:
            if self._state is State.HEADER and self._first_read and self._relayed(data):
                return
            events = self._codec.feed(data, time.time())
            if not self._codec.begun:
                raise ProtocolError("less than a header in the first read", "short-header")
        except ProtocolError as error:
            self._fault(error)
            return
        for event in events:
            if not isinstance(event, Opened):
                self._pending.append(event)
            elif not self._open(event):
                return
        self._count_in(sum(len(event) for event in events if not isinstance(event, Opened)))
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
            self._target.inlet.hold("client")

    def resume_writing(self) -> None:
        self._touch()
        if self._target is not None:
            self._target.inlet.release("client")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()
        if self._idle is not None:
            self._idle.stop()
        if self._resting is not None:
            self._resting.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._target is not None:
            self._target.abort()
        if self._account is not None:
            self._account.close_stream()
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
            self._inlet.hold("silent")
        else:
            self.reset()

    def _handshake_over(self) -> None:
        if self._state is State.HEADER:
            self._host.rejected(self, ProtocolError("no complete header in time", "handshake-timeout"))
        elif self._hop is not None:
            self._host.rejected(self, TunnelError("the exit behind this one did not answer in time", "relay-silent"))
        self.reset()

    def _relayed(self, data: bytes) -> bool:
        """Whether the first read says that the stream is for an exit behind this one."""
        self._first_read = False
        found = self._plan.relayed(data, time.time())
        if found is None:
            return False
        self.user = self._hop = found[0]
        self._codec = RelayStream()
        self._state = State.CONNECTING
        self._inlet.hold("connecting")
        self._pending.append(found[1])
        self._early = len(found[1])
        self._connecting = asyncio.create_task(self._connect_hop(found[0]))
        return True

    async def _connect_hop(self, hop: UserPlan) -> None:
        assert hop.relay is not None
        host, port = hop.relay.sockaddr
        try:
            connected = (await connect_tcp(host, port, lambda: ExitTarget(self), self._plan.settings.connect_timeout))[
                1
            ]
        except TunnelError as error:
            self._hop_failed(error)
        else:
            self._connected(connected)

    def _hop_failed(self, error: TunnelError) -> None:
        """Nothing is to be seen of it."""
        self._host.rejected(self, error)
        self._hop = None
        self._state = State.SILENT
        self._inlet.hold("silent")
        self._pending.clear()
        if self._target is not None:
            self._target.abort()
            self._target = None

    def _hop_answered(self, hop: UserPlan) -> bool:
        """The client has shown a key, to the exit behind this one. Whether the stream goes on."""
        self._hop = None
        wait = self._admit(hop)
        self._rest(wait or 0.0)
        self._count_in(self._early)
        return wait is not None

    def _open(self, opened: Opened) -> bool:
        """The header is right. Whether the stream goes on."""
        user = self._plan.user(opened.user)
        if user is None:  # the table of keys is made of the users
            raise RuntimeError("a stream of nobody")
        self.user = user
        wait = self._admit(user)
        if wait is None:
            return False
        self._state = State.CONNECTING
        self._inlet.hold("connecting")
        self._connecting = asyncio.create_task(self._connect(opened, user, wait))
        return True

    def _admit(self, user: UserPlan) -> float | None:
        """The key is shown. The seconds until the user's turn; None if the user may have no more, and it is over."""
        if self._deadline is not None:
            self._deadline.cancel()
        try:
            account = self._host.proven(self, user)
            wait = account.open_stream(self._plan.settings.connect_timeout)
        except TunnelError as error:
            self._host.rejected(self, error)
            self.reset()
            return None
        self._account = account
        self._idle = IdleTimer(self._plan.settings.idle_timeout, self._idle_over)
        return wait

    async def _connect(self, opened: Opened, user: UserPlan, wait: float) -> None:
        try:
            host, port = self._plan.check_target(opened.target, user).sockaddr
            if wait:
                await asyncio.sleep(wait)
            limit = self._plan.settings.connect_timeout
            _, connected = await connect_tcp(host, port, lambda: ExitTarget(self), limit, PrimaryError)
        except ProxyError as error:
            self._host.rejected(self, error)
            self.reset()
            return
        self._connected(connected)

    def _connected(self, connected: ExitTarget) -> None:
        self._state = State.RELAY
        self._target = connected
        if self._resting is not None:
            connected.inlet.hold("rate")
        self._inlet.release("connecting")
        self._send_pending()
        if self._ended:
            connected.write_eof()

    def _count_in(self, count: int) -> None:
        if self._hop is not None:
            self._early += count
        if count and self._account is not None:
            self._counters.bytes_in += count
            self._account.counters.bytes_in += count
            self._rest(self._account.pass_bytes(count))

    def _rest(self, seconds: float) -> None:
        """Read from neither side until the user's debt is paid."""
        if seconds <= 0:
            return
        if self._resting is not None:
            self._resting.cancel()
        self._resting = asyncio.get_running_loop().call_later(seconds, self._rested)
        self._inlet.hold("rate")
        if self._target is not None:
            self._target.inlet.hold("rate")

    def _rested(self) -> None:
        self._resting = None
        self._touch()
        self._inlet.release("rate")
        if self._target is not None:
            self._target.inlet.release("rate")

    def _idle_over(self) -> None:
        if self._resting is not None and self._idle is not None:
            self._idle.restart()  # it is we who do not read
        else:
            self.reset()

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
        if self._hop is not None and not self._hop_answered(self._hop):
            return
        self._touch()
        if self._account is not None:
            self._counters.bytes_out += len(data)
            self._account.counters.bytes_out += len(data)
            self._rest(self._account.pass_bytes(len(data)))
        if usable(self._transport):
            self._transport.write(self._codec.send(data, time.time()))

    def answer_eof(self) -> None:
        """The target has sent its last byte."""
        if self._hop is not None:
            self._hop_failed(_no_answer())
        elif usable(self._transport):
            self._transport.write_eof()

    def target_lost(self, error: Exception | None) -> None:
        """The target's connection is over."""
        self._target = None
        if self._hop is not None:
            self._hop_failed(_no_answer())
        elif error is not None:
            self.reset()
        elif usable(self._transport):
            self._transport.close()

    def pause_reading(self) -> None:
        """The target takes no more for now."""
        self._inlet.hold("target")

    def resume_reading(self) -> None:
        """It takes more again."""
        self._touch()
        self._inlet.release("target")


def _no_answer() -> TunnelError:
    return TunnelError(
        "the exit behind this one closed without an answer: a replay, or another key there", "relay-closed"
    )
