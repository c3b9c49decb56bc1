"""What the exchanges of one gateway share, over all forwarders and reloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from dataplane import TsigKeys
from proxy.egress.exchanges.connections import ConnectionCounters, Connections
from proxy.egress.exchanges.judge import Judge, Learned
from proxy.egress.exchanges.manners import Manners
from proxy.egress.exchanges.quotas import PrimaryQuota, Quotas
from proxy.egress.exchanges.turns import Turns
from proxy.egress.primary import PrimaryServer
from proxy.egress.refusals import Refusals
from proxy.egress.sparse import SparseEmitter
from proxy.egress.status import PrimaryStatus
from proxy.settings import Primary, Transfers
from proxy.values import Emit


@dataclass(slots=True)
class _Known:
    """What is remembered of a primary, by its name."""

    quota: PrimaryQuota
    manners: Manners = field(default_factory=Manners)
    counters: ConnectionCounters = field(default_factory=ConnectionCounters)


class Shared:
    """Makes the parts of a plan that are more than settings. Needs the running loop."""

    def __init__(self, settings: Transfers, emit: Emit, learned: Callable[[Learned], None] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._quotas = Quotas(settings, loop.time)
        self._turns = Turns()
        self._emit = emit
        self._sparse = SparseEmitter(emit, loop.time)
        self._learned = learned
        self._known: dict[str, _Known] = {}

    def configure(self, transfers: Transfers, primaries: tuple[Primary, ...]) -> None:
        """New numbers for the quotas; what runs goes on."""
        self._quotas.configure(transfers)
        for primary in primaries:
            self._of(primary).quota.configure(primary)

    def quota(self, primary: Primary) -> PrimaryQuota:
        """Of this primary."""
        return self._of(primary).quota

    def judge(self, primary: Primary, keys: TsigKeys | None) -> Judge:
        """For answers of this primary."""
        return Judge(primary.name, primary.limits, keys, self._emit, self._sparse, self._learned)

    def refusals(self, listen: str, primary: Primary) -> Refusals:
        """For queries to this primary that come to this address."""
        return Refusals(listen, primary.name, self._sparse)

    def connections(self, server: PrimaryServer, primary: Primary, judge: Judge) -> Connections:
        """Connections to this primary, for one plan."""
        known = self._of(primary)
        return Connections(server, primary, judge, known.manners, self._turns, known.counters)

    def status(self, primaries: tuple[Primary, ...]) -> tuple[PrimaryStatus, ...]:
        """The numbers now."""
        return tuple(_status(primary.name, self._of(primary)) for primary in primaries)

    def _of(self, primary: Primary) -> _Known:
        known = self._known.get(primary.name)
        if known is None:
            known = self._known[primary.name] = _Known(PrimaryQuota(self._quotas, primary))
        return known


def _status(name: str, known: _Known) -> PrimaryStatus:
    return PrimaryStatus(
        name=name,
        connections_open=known.counters.open,
        connections_opened=known.counters.opened,
        connections_reused=known.counters.reused,
        transfers_running=known.quota.running,
        waiting={"soa": known.quota.waiting("soa"), "transfer": known.quota.waiting("transfer")},
    )
