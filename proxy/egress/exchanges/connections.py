"""The connections to one primary, by tunnel: which of them a query takes, and how long they stay open.

An SOA check joins others that wait on a connection, as many as the settings and the primary's manners allow. A
transfer takes one that is idle. Who finds none opens a new one; how many there can be is bounded by the quotas.
Connections are taken from the end, so that those that are not needed grow old (as Knot DNS's remote pool does).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from proxy.egress.exchanges.connection import Attempt, Connection, Passed
from proxy.egress.exchanges.judge import Judge
from proxy.egress.exchanges.manners import Manners
from proxy.egress.exchanges.query import Query
from proxy.egress.exchanges.turns import Turns
from proxy.egress.primary import PrimaryServer
from proxy.egress.tunnel import Tunnel
from proxy.settings import Primary


@dataclass(slots=True)
class ConnectionCounters:
    """Of the connections to one primary."""

    open: int = 0
    opened: int = 0
    reused: int = 0  # queries that found a connection


class Connections:
    """Made for one plan of one forwarder. `retire` when another plan takes its place."""

    def __init__(
        self,
        primary: PrimaryServer,
        settings: Primary,
        judge: Judge,
        manners: Manners,
        turns: Turns,
        counters: ConnectionCounters,
    ) -> None:
        self._primary = primary
        self._settings = settings
        self._judge = judge
        self._manners = manners
        self._turns = turns
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._open: defaultdict[Tunnel, list[Connection]] = defaultdict(list)
        self._idle: dict[Connection, asyncio.TimerHandle] = {}
        self._retired = False

    def ask(self, tunnel: Tunnel, query: Query, passed: Passed, *, fresh: bool) -> Attempt:
        """Send a query on a connection through this tunnel; `fresh`: on one that is new, and stays alone.

        Raises:
            ValueError: the guard can't follow this query.
        """
        now = self._loop.time()
        if not fresh:
            pipeline = self._settings.pipeline if self._manners.pipelines(now) else 1
            for connection in reversed(self._open[tunnel]):
                if not connection.takes(query, pipeline):
                    continue
                try:
                    attempt = connection.ask(self._primary, query, passed)
                except ValueError:  # the ID still waits there for an answer that nobody wants
                    continue
                self._counters.reused += 1
                self._wake(connection)
                return attempt
        connection = Connection(self, tunnel, self._judge.answers(), self._turns, alone=fresh)
        attempt = connection.ask(self._primary, query, passed)
        self._counters.open += 1
        self._counters.opened += 1
        self._open[tunnel].append(connection)
        return attempt

    def retire(self) -> None:
        """Nothing new: idle connections are closed, the others at the end of what is on them."""
        self._retired = True
        for connection in self._all():
            connection.retire()

    def close(self) -> None:
        """Close all at once."""
        self._retired = True
        for connection in self._all():
            connection.abort()

    def rests(self, connection: Connection) -> bool:
        """See `connection.Owner`."""
        if self._retired or not self._settings.keep_open or not self._manners.reuses(self._loop.time()):
            return False
        if connection not in self._idle:
            self._idle[connection] = self._loop.call_later(self._settings.keep_open, connection.retire)
        mine = self._open[connection.tunnel]
        mine.remove(connection)
        mine.append(connection)
        return True

    def lost(self, connection: Connection, *, closed_by_primary: bool) -> None:
        """See `connection.Owner`."""
        self._counters.open -= 1
        self._wake(connection)
        self._open[connection.tunnel].remove(connection)
        if closed_by_primary and connection.last_answer is not None:
            waited = any(attempt.asked < connection.last_answer for attempt in connection.attempts.values())
            self._manners.closed(self._loop.time(), last_answer=connection.last_answer, others_waited=waited)

    def _wake(self, connection: Connection) -> None:
        timer = self._idle.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def _all(self) -> list[Connection]:
        return [connection for connections in self._open.values() for connection in connections]
