"""Who may go now: how many transfers run, in all and for each primary, and how often a primary is asked for its SOA.

    transfers   transfers.parallel for the gateway, primaries.transfers for each primary; a transfer holds its place
                until its end
    SOA checks  primaries.soa_rate a second with a burst; they hold nothing, so they never wait for a transfer

What can't go yet waits in a fair queue, transfers and SOA checks apart. Primaries take turns for the places of the
gateway, so a primary with many waiting transfers does not keep another's out. The queue is bounded, and waiting is
too: behind it a node would only find out that it had given up already.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Literal

from proxy.egress.exchanges.fair_queue import FairQueue
from proxy.egress.exchanges.pace import Pace
from proxy.errors import ProxyError
from proxy.settings import Primary, Transfers

Class = Literal["soa", "transfer"]

Ticket = asyncio.Future[None]


class QuotaError(ProxyError):
    """It may not go. `reason` is "queue-full" or "queue-timeout"."""


class Quotas:
    """The places of one gateway. Outlives reloads, as the quotas of its primaries do."""

    def __init__(self, settings: Transfers, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._ring: dict[PrimaryQuota, None] = {}  # those with waiting transfers; the first has its turn
        self.running = 0  # transfers
        self.waiting = 0  # transfers and SOA checks

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds."""
        return self._clock

    @property
    def full(self) -> bool:
        """Whether the queue takes no more."""
        return self.waiting >= self._settings.queue

    @property
    def patience(self) -> float:
        """Seconds that something may wait."""
        return self._settings.patience

    def configure(self, settings: Transfers) -> None:
        """New numbers; what runs goes on."""
        self._settings = settings
        self.pump()

    def line_up(self, quota: PrimaryQuota) -> None:
        """This primary has a first transfer that waits."""
        self._ring[quota] = None

    def has_place(self) -> bool:
        """Whether one more transfer may run in this gateway."""
        return self.running < self._settings.parallel

    def pump(self) -> None:
        """Let go what may go."""
        stuck = 0
        while stuck < len(self._ring) and self.has_place():
            quota = next(iter(self._ring))
            del self._ring[quota]
            granted = quota.grant()
            if quota.lined_up:
                self._ring[quota] = None
                stuck = 0 if granted else stuck + 1  # who has left the ring is none of those to go round once


class PrimaryQuota:
    """The places and the pace of one primary."""

    def __init__(self, all_: Quotas, settings: Primary) -> None:
        self._all = all_
        self._settings = settings
        self._clock = all_.clock
        self._queues: dict[Class, FairQueue[Ticket]] = {"soa": FairQueue(), "transfer": FairQueue()}
        self._pace = Pace(settings.soa_rate, settings.soa_burst)
        self._timer: asyncio.TimerHandle | None = None
        self.running = 0  # transfers

    def configure(self, settings: Primary) -> None:
        """New numbers."""
        self._settings = settings
        self._pace.set(settings.soa_rate, settings.soa_burst)
        self._pump_soa()
        self._all.pump()

    def waiting(self, class_: Class) -> int:
        """How many wait."""
        return len(self._queues[class_])

    @property
    def lined_up(self) -> bool:
        """Whether transfers wait."""
        return bool(self._queues["transfer"])

    @asynccontextmanager
    async def place(self, class_: Class, node: Hashable, zone: Hashable) -> AsyncIterator[None]:
        """Wait for a place, and hold it inside of the block.

        Raises:
            QuotaError: the queue is full, or it would have to wait for too long.
        """
        if not self._at_once(class_):
            await self._wait(class_, node, zone)
        try:
            yield
        finally:
            if class_ == "transfer":
                self._leave()

    def grant(self) -> bool:
        """Let one transfer go; see `Quotas.pump`, which has looked for a place in the gateway."""
        queue = self._queues["transfer"]
        if not queue or self.running >= self._settings.transfers:
            return False
        self._enter()
        self._go(queue)
        return True

    def _at_once(self, class_: Class) -> bool:
        if self._queues[class_]:
            return False
        if class_ == "transfer":
            if self.running >= self._settings.transfers or not self._all.has_place():
                return False
            self._enter()
            return True
        now = self._clock()
        if self._pace.wait(now):
            return False
        self._pace.take(now)
        return True

    async def _wait(self, class_: Class, node: Hashable, zone: Hashable) -> None:
        if self._all.full:
            raise QuotaError("too many queries of nodes wait already", "queue-full")
        ticket: Ticket = asyncio.get_running_loop().create_future()
        queue = self._queues[class_]
        if class_ == "transfer" and not queue:
            self._all.line_up(self)
        queue.push(node, zone, ticket)
        self._all.waiting += 1
        if class_ == "soa":
            self._pump_soa()
        try:
            async with asyncio.timeout(self._all.patience):
                await ticket
        except BaseException as error:
            if queue.remove(node, zone, ticket):
                self._all.waiting -= 1
            elif class_ == "transfer":  # it was let go in this very moment
                self._leave()
            if isinstance(error, TimeoutError):
                raise QuotaError(f"waited {self._all.patience:g} s for its turn", "queue-timeout") from None
            raise

    def _enter(self) -> None:
        self.running += 1
        self._all.running += 1

    def _leave(self) -> None:
        self.running -= 1
        self._all.running -= 1
        self._all.pump()

    def _go(self, queue: FairQueue[Ticket]) -> None:
        ticket = queue.pop()
        self._all.waiting -= 1
        if not ticket.done():  # who has just been cancelled sees to it that its place is given on
            ticket.set_result(None)

    def _pump_soa(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        queue = self._queues["soa"]
        while queue:
            now = self._clock()
            if wait := self._pace.wait(now):
                self._timer = asyncio.get_running_loop().call_later(wait, self._pump_soa)
                return
            self._pace.take(now)
            self._go(queue)
