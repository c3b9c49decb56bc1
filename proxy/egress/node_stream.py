"""One TCP connection of a node to a forwarder, and the way through a tunnel that belongs to it.

    node ──▶ queries, whole and checked ──▶ leg: a stream of the first tunnel that gives an answer ──▶ primary
    node ◀── answers, untouched as they come ◀── leg

Until the first byte of an answer the queries are kept: a leg that fails before is replaced by one through the next
tunnel, and the node notices nothing. Behind that byte a failure closes the node's connection; a node never takes
half a transfer for a whole one. A node that closes its side wants nothing more (RFC 7766 §6.2.4), so half-closed
connections are not kept.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from dns.rcode import Rcode

from proxy.egress.counters import ForwarderCounters
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.idle import IdleTimer
from proxy.egress.leg import Leg, no_answer
from proxy.egress.stream import HIGH_WATER
from proxy.egress.tunnel import Tunnel
from proxy.egress.usable import usable
from proxy.errors import ProtocolError, ProxyError
from proxy.protocol.dns_frames import FrameMarks, FrameReader, frame
from proxy.protocol.transfer_queries import error_reply, read_query
from proxy.values import Endpoint, IPAddress

KEPT_QUERIES = 64 << 10  # bytes of queries without an answer; more are not read before one came
PATIENCE_OF_NODES = 1.0  # seconds; a node that leaves earlier had other reasons than a slow answer
KEPT_REFUSALS = 64  # refusals that wait for the end of an answer that is passing


class Host(Protocol):
    """Who keeps the connections."""

    def admit(self, node: NodeStream, address: IPAddress) -> bool:
        """Whether this connection is taken in; where not, it is closed at once."""

    def closed(self, node: NodeStream) -> None:
        """It is over."""


class NodeStream(asyncio.Protocol):
    """The connection."""

    def __init__(self, plan: ForwarderPlan, counters: ForwarderCounters, host: Host) -> None:
        self._plan = plan
        self._counters = counters
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._idle = IdleTimer(plan.settings.idle_timeout, self._expire)
        self._queries = FrameReader()
        self._marks = FrameMarks()
        self._kept = bytearray()  # queries without an answer, as long as the way may still be changed
        self._sent = 0  # bytes of these that the present leg has
        self._refusals: list[bytes] = []
        self._tunnel: Tunnel | None = None
        self._leg: Leg | None = None
        self._opening: asyncio.Task[None] | None = None
        self._began = 0.0  # when the present tunnel was first tried
        self._held = False  # the tunnel takes no more queries for now
        self._full = False  # the node takes no more answers for now
        self._answered = False  # the first byte of an answer came: the way is settled

    # The node's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        self._transport = cast("asyncio.Transport", transport)
        if name is None or not self._host.admit(self, Endpoint.of(name).address):
            self._transport.abort()
        else:
            self._transport.set_write_buffer_limits(HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        self._idle.touch()
        for message in self._queries.feed(data):
            if not usable(self._transport):
                return
            self._query(message)

    def eof_received(self) -> None:
        """Nothing is kept half open; the transport closes itself."""

    def pause_writing(self) -> None:
        # Queries are not read either: what is refused is answered from here, and would pile up.
        self._full = True
        self._regulate_reading()
        if self._leg is not None:
            self._leg.pause_reading()

    def resume_writing(self) -> None:
        self._idle.touch()
        self._full = False
        self._regulate_reading()
        if self._leg is not None:
            self._leg.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._idle.stop()
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            self._blame_tunnel()
        if self._leg is not None:
            self._leg.drop()
        self._host.closed(self)

    def _blame_tunnel(self) -> None:
        """The node has left before an answer came. If it had waited, its next attempt shall go another way."""
        waited = self._loop.time() - self._began
        if self._tunnel is not None and waited >= PATIENCE_OF_NODES:
            self._plan.route.failed(self._tunnel, "tcp", no_answer(waited))

    def close_unused(self) -> None:
        """Close, if nothing was asked yet."""
        if self._opening is None:
            self.abort()

    def abort(self) -> None:
        """Close without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    def _query(self, message: bytes) -> None:
        try:
            question = read_query(message)
        except ProtocolError as error:
            self._give_up(error.reason)
            return
        refusal = self._plan.gate.refusal(question)
        if refusal is None:
            self._counters.queries_tcp += 1
            self._pass(frame(message))
            return
        self._counters.refused[refusal] += 1
        self._refusals.append(frame(error_reply(message, question, Rcode.REFUSED)))
        if self._marks.between:
            self._write_refusals()
        elif len(self._refusals) > KEPT_REFUSALS:
            self._give_up("too-many-refusals")

    def _write_refusals(self) -> None:
        if self._refusals and usable(self._transport):
            self._transport.write(b"".join(self._refusals))
            self._refusals.clear()

    def _give_up(self, reason: str) -> None:
        self._counters.refused[reason] += 1
        self.abort()

    def _expire(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._idle.restart()  # the search for a tunnel has its own limits
        else:
            self._give_up("idle")

    # The primary's side.

    def pause_reading(self) -> None:
        """The tunnel takes no more queries for now."""
        self._held = True
        self._regulate_reading()

    def resume_reading(self) -> None:
        """It takes them again."""
        self._held = False
        self._regulate_reading()

    def _regulate_reading(self) -> None:
        if not usable(self._transport):
            return
        if self._held or self._full or len(self._kept) > KEPT_QUERIES:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _pass(self, data: bytes) -> None:
        if self._leg is not None and self._answered:
            self._leg.write(data)
            return
        self._kept += data
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        elif self._leg is not None and self._leg.open:
            self._send_kept()
        self._regulate_reading()

    def _send_kept(self) -> None:
        if self._leg is not None and self._sent < len(self._kept):
            self._leg.write(bytes(self._kept[self._sent :]))
            self._sent = len(self._kept)

    async def _open(self) -> None:
        """Find a tunnel through which an answer comes; without one, close the node's connection."""
        route, settings = self._plan.route, self._plan.settings
        ways = route.order("tcp")
        for number, tunnel in enumerate(ways, 1):
            patience = settings.answer_timeout if number < len(ways) else settings.idle_timeout
            self._tunnel, self._leg = tunnel, (leg := Leg(self))
            self._held = False
            first = bytes(self._kept)
            self._sent = len(first)
            self._began = self._loop.time()
            try:
                async with asyncio.timeout(patience):
                    await self._plan.primary.open_stream(tunnel, leg, first)
                    self._send_kept()
                    await asyncio.shield(leg.answered)
            except TimeoutError:
                leg.drop()
                route.failed(tunnel, "tcp", no_answer(patience))
            except ProxyError as error:  # also where the primary is at fault: another exit may reach it
                leg.drop()
                route.failed(tunnel, "tcp", error)
            else:
                route.worked(tunnel, "tcp")
                return
        self._give_up("no-tunnel")

    def answer(self, data: bytes) -> None:
        """Bytes of an answer came: to the node, at once."""
        self._idle.touch()
        if not usable(self._transport):
            return
        if not self._answered:
            self._answered = True
            self._send_kept()  # what came while the stream was being opened
            self._kept.clear()
            self._regulate_reading()
        self._counters.bytes_in += len(data)
        boundary = self._marks.feed(data)
        if self._refusals and boundary:
            self._transport.write(data[:boundary])
            self._write_refusals()
            data = data[boundary:]
        if data:
            self._transport.write(data)

    def leg_ended(self, error: Exception | None) -> None:
        """The stream is over, behind the first byte of an answer."""
        if isinstance(error, ProxyError) and self._tunnel is not None:
            self._plan.route.failed(self._tunnel, "tcp", error)
        if error is None and self._marks.between and usable(self._transport):
            self._transport.close()
        else:
            self._give_up("answer-cut")
