"""One TCP connection to a primary, and the exchanges that are on it (RFC 7766 §6.2, RFC 9103 §6.2).

    exchange ──▶ ask ──▶ query ──▶ primary
    exchange ◀── pieces and verdict ◀── guard ◀── turns ◀── bytes

Several SOA checks may wait together; a transfer has the connection for itself, because nothing else should wait
behind it, and because only then can a slow node stop its primary without stopping others. IDs are those of the nodes,
so two queries with one ID never meet on one connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from dataplane import Answers, Piece, Verdict
from proxy.egress.exchanges.turns import SLICE, Turns
from proxy.egress.primary import PrimaryServer
from proxy.egress.tunnel import Tunnel
from proxy.errors import PrimaryError, ProxyError, TunnelError
from proxy.protocol.dns_frames import frame

if TYPE_CHECKING:
    from proxy.egress.exchanges.query import Query

TICK = 0.25  # seconds between two looks at limits of time and rate
QUIET = 5.0  # seconds without such a look when a slow node reads again: what had to wait comes first


Passed = Callable[[bytes, Verdict | None], None]  # whole messages, each behind its length; with the last, the verdict


class Owner(Protocol):
    """Who keeps the connections."""

    def rests(self, connection: Connection) -> bool:
        """Its last exchange is over. True: it is kept for the next."""

    def lost(self, connection: Connection, *, closed_by_primary: bool) -> None:
        """It is over."""


class Attempt:
    """One exchange on one connection. `verdict` fails with a ProxyError where no verdict will come."""

    def __init__(self, connection: Connection, query: Query, passed: Passed, now: float) -> None:
        self.connection = connection
        self.query = query
        self.passed = passed
        self.asked = now
        self.delay: float | None = None  # seconds to the first byte that may belong to it
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    @property
    def heard(self) -> float | None:
        """When something came that may belong to it."""
        heard = self.connection.heard
        return heard if heard is not None and heard >= self.asked else None

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self.verdict.cancel()
        self.connection.forget(self)

    def hold(self, held: bool) -> None:
        """The node takes no more for now, or takes it again."""
        if self.connection.attempts.get(self.query.id) is self:  # else the connection is already free for others
            self.connection.hold(held)


class StaleError(ProxyError):
    """The primary closed behind the answer to another query: it had enough of the connection, not of this query."""


class Connection(asyncio.Protocol):
    """The connection; opens itself with the first `ask`."""

    def __init__(self, owner: Owner, tunnel: Tunnel, answers: Answers, turns: Turns, *, alone: bool) -> None:
        self.tunnel = tunnel
        self.alone = alone  # never shared
        self.attempts: dict[int, Attempt] = {}
        self.answered = 0
        self.last_answer: float | None = None
        self.heard: float | None = None
        self.transfers = False  # whether the one exchange on it is a transfer
        self.fit = True  # whether more may be asked on it
        self._owner = owner
        self._answers = answers
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self._stream: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early: list[bytes] = []  # queries that came while it was being opened
        self._inbox: deque[bytes] = deque()
        self._at = 0  # so much of the first of these is done
        self._ended: tuple[Exception | None] | None = None
        self._held = False
        self._quiet_until = 0.0  # while a node is slow, nobody can say that its primary is
        self._aborted = False
        self._told = False  # its owner, that it is over
        self._timer: asyncio.TimerHandle | None = None

    # The side of the exchanges.

    def takes(self, query: Query, pipeline: int) -> bool:
        """Whether this query may be asked here now, with at most `pipeline` waiting together."""
        if not self.fit or query.id in self.attempts or self._inbox or self._ended is not None:
            return False
        if not self.attempts:
            return True
        return not (self.transfers or self.alone or query.transfers) and len(self.attempts) < pipeline

    def ask(self, primary: PrimaryServer, query: Query, passed: Passed) -> Attempt:
        """Send a query; what comes for it goes to `passed`.

        Raises:
            ValueError: the guard can't follow this query, or its ID still waits for an answer nobody wants.
        """
        now = self._loop.time()
        self._answers.expect(query.message, time.time())
        attempt = self.attempts[query.id] = Attempt(self, query, passed, now)
        self.transfers = query.transfers
        data = frame(query.message)
        if self._stream is not None:
            self._stream.write(data)
        elif self._opening is None:
            self._opening = asyncio.create_task(self._open(primary, data))
        else:
            self._early.append(data)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)
        return attempt

    def forget(self, attempt: Attempt) -> None:
        """An attempt that nobody waits for. What would still come of a transfer is not worth its way."""
        if self.attempts.get(attempt.query.id) is not attempt:
            return
        del self.attempts[attempt.query.id]
        if attempt.query.transfers:
            self.abort()
        else:
            self._answers.forget(attempt.query.id)
            self._rest()

    def hold(self, held: bool) -> None:
        """Stop reading, or go on. Only a transfer's connection, which has a single node, can be held."""
        if not self.transfers or held == self._held:
            return
        self._held = held
        self._regulate()
        self._quiet_until = self._loop.time() + QUIET
        if not held and (self._inbox or self._ended is not None):
            self._turns.add(self)

    def retire(self) -> None:
        """Nothing new; what is on it goes on."""
        self.fit = False
        if not self.attempts:
            self.abort()

    def abort(self) -> None:
        """Close at once. Exchanges that are on it fail."""
        self.fit = False
        self._aborted = True
        self._empty()
        if self._opening is not None:
            self._opening.cancel()
        if self._stream is not None:
            self._stream.abort()
        elif self._ended is not None:
            self._over(self._ended[0])
        else:
            self._over(TunnelError("given up", "given-up"))

    async def _open(self, primary: PrimaryServer, first: bytes) -> None:
        try:
            await primary.open_stream(self.tunnel, self, first)
        except ProxyError as error:
            if self._ended is None:
                self._over(error)

    # The side of the stream.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._stream = cast("asyncio.Transport", transport)
        if self._ended is not None:
            self._stream.abort()
            return
        for data in self._early:
            self._stream.write(data)
        self._early.clear()
        if self._held:
            self._stream.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self._ended is not None:
            return
        if not self.attempts:  # late, or never asked for
            self.abort()
            return
        self.heard = self._loop.time()
        for attempt in self.attempts.values():
            if attempt.delay is None:
                attempt.delay = self.heard - attempt.asked
        if not self.transfers and not self._inbox and len(data) <= SLICE:
            self._pass(self._answers.feed(data, time.time()))
            return
        self._inbox.append(data)
        self._regulate()
        self._turns.add(self)

    def eof_received(self) -> None:
        """The primary closed; the stream closes itself and says so."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream = None
        if self._ended is not None:
            return
        self.fit = False
        self._ended = (exc,)
        if exc is not None:
            self._empty()  # a broken way: the nodes learn it at once
        if self._inbox:
            self._turns.add(self)
        else:
            self._over(exc)

    def pause_writing(self) -> None:
        """Queries are few and small; the primary that does not take them will not answer, and that has its limits."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    # Turns.

    @property
    def has_work(self) -> bool:
        """See `turns.Worker`."""
        return bool(self._inbox) and not self._held

    def work(self, limit: int) -> int:
        """See `turns.Worker`."""
        if not self.has_work:
            return 0
        data, start = self._inbox[0], self._at
        self._at = end = min(start + limit, len(data))
        if end == len(data):
            self._inbox.popleft()
            self._at = 0
        self._pass(self._answers.feed(data, time.time(), start, end))
        if not self._inbox:
            if self._ended is not None:
                self._over(self._ended[0])
            else:
                self._regulate()
        return end - start

    def _empty(self) -> None:
        self._inbox.clear()
        self._at = 0

    def _regulate(self) -> None:
        if self._stream is None:
            return
        if self._inbox or self._held:
            self._stream.pause_reading()
        else:
            self._stream.resume_reading()

    def _tick(self) -> None:
        self._timer = None
        if not self._held and self._loop.time() >= self._quiet_until:
            self._pass(self._answers.tick(time.time()))
        if self.attempts and self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)

    # What comes back.

    def _pass(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            attempt = self.attempts.get(piece.id)
            if attempt is None:
                continue
            if piece.data:
                attempt.passed(piece.data, piece.verdict)
            if piece.verdict is not None:
                self.answered += 1
                self.last_answer = self._loop.time()
                del self.attempts[piece.id]
                if not attempt.verdict.done():
                    attempt.verdict.set_result(piece.verdict)
                if not piece.verdict.accepted:
                    self.fit = False  # what else comes from there is not to be trusted
        if pieces or not self.attempts:
            self._rest()

    def _rest(self) -> None:
        if self.attempts or self._ended is not None:
            return
        self._held = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # More than was asked for, as behind a SOA that says all: it must not be taken for the next answer of that ID.
        strays = any(self._answers.faults().values())
        if not self.fit or strays or self.alone or self._inbox or not self._owner.rests(self):
            self.abort()

    def _over(self, error: Exception | None) -> None:
        if self._told:
            return
        self._told = True
        self._ended = (error,)
        self.fit = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._owner.lost(self, closed_by_primary=error is None and not self._aborted)
        attempts, self.attempts = self.attempts, {}
        cut = {piece.id: piece.verdict for piece in self._answers.finish()} if attempts else {}
        for attempt in attempts.values():
            if attempt.verdict.done():
                continue
            verdict = cut.get(attempt.query.id)
            if error is None and verdict is not None and verdict.messages:
                attempt.verdict.set_result(verdict)
            elif self.answered and (error is None or attempt.heard is None or not attempt.query.transfers):
                attempt.verdict.set_exception(StaleError("closed behind another answer", "stale"))
            else:
                attempt.verdict.set_exception(error if isinstance(error, ProxyError) else closed_unanswered())
            attempt.verdict.exception()  # who waits was told; nobody need wait


def closed_unanswered() -> PrimaryError | TunnelError:
    """The stream ended where an answer should begin."""
    return TunnelError(
        "closed before any answer: the exit does not reach or may not open this primary, or the primary refuses us",
        "closed",
    )
