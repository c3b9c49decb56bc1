"""What is known of one way: one tunnel towards one primary over one transport."""

from __future__ import annotations

from typing import Literal

from proxy.egress.pool.breaker import Breaker, State
from proxy.egress.pool.delay import Delay
from proxy.egress.pool.fault import Fault, fault_of
from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.settings.failover import Failover

Transport = Literal["udp", "tcp"]


class Way:
    """Outlives a reload, as long as tunnel and primary stay what they are. Times are of the loop's clock."""

    def __init__(self, tunnel: Tunnel, transport: Transport, rules: Failover, now: float) -> None:
        self.tunnel = tunnel
        self.transport = transport
        self.breaker = Breaker(rules)
        self.delay = Delay()
        self.error: ProxyError | None = None  # the last, also after it worked again
        self.fault: Fault | None = None  # of the failures since the last answer
        self.failing_since: float | None = None
        self.heard = now  # the last signal, good or bad
        self.answered: float | None = None  # the last good one
        self.probes = 0
        self.rcode: int | None = None  # of the last answer to a probe

    @property
    def name(self) -> str:
        """That of the tunnel."""
        return self.tunnel.counters.name

    @property
    def state(self) -> State:
        """That of the breaker."""
        return self.breaker.state

    @property
    def cost(self) -> float:
        """What a query is expected to take, in seconds."""
        return self.delay.cost(self.breaker.rules.first_wait)

    @property
    def failing(self) -> bool:
        """Whether the last signal was a bad one."""
        return self.failing_since is not None

    def note_answer(self, seconds: float | None, now: float) -> None:
        """What an answer tells, the breaker aside."""
        self.delay.worked(seconds)
        self.fault = self.failing_since = None
        self.heard = self.answered = now

    def note_failure(self, error: ProxyError, now: float) -> None:
        """What a failure tells, the breaker aside."""
        self.delay.failed()
        self.error = error
        self.fault = fault_of(error, self.tunnel.counters.kind)
        self.failing_since = now if self.failing_since is None else self.failing_since
        self.heard = now
