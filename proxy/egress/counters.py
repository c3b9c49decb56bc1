"""Plain counters of the egress. They outlive a reload: their owner is found again by its name or address."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from proxy.egress.status import ExitStatus, ExitUserStatus, ForwarderStatus, TunnelStatus
from proxy.errors import ProxyError

ITSELF = "-"  # stands for the primary in the numbers of a door to several


@dataclass(slots=True)
class TunnelCounters:
    """Of one tunnel."""

    name: str
    kind: str = ""
    streams_open: int = 0
    streams_total: int = 0
    datagrams_in: int = 0
    datagrams_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    last_error: str | None = None

    def failed(self, error: ProxyError) -> None:
        """Something went wrong in this tunnel."""
        self.failures[error.reason] += 1
        self.last_error = str(error)

    def status(self) -> TunnelStatus:
        """The numbers now."""
        return TunnelStatus(
            name=self.name,
            kind=self.kind,
            streams_open=self.streams_open,
            streams_total=self.streams_total,
            datagrams_in=self.datagrams_in,
            datagrams_out=self.datagrams_out,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            failures=dict(self.failures),
            last_error=self.last_error,
        )


@dataclass(slots=True)
class ForwarderCounters:
    """Of one forwarder."""

    connections_open: int = 0
    connections_total: int = 0
    queries_udp: int = 0
    queries_tcp: int = 0
    answers_udp: int = 0
    waiting_udp: int = 0
    bytes_in: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind of answer and reason
    errors: Counter[str] = field(default_factory=Counter)  # answers of the primary that bring no zone, by RCODE
    turns: Counter[str] = field(default_factory=Counter)  # queries that had their turn, by class
    wait_seconds: dict[str, float] = field(default_factory=lambda: {"soa": 0.0, "transfer": 0.0})

    def waited(self, class_: str, seconds: float) -> None:
        """A query of this class has its turn, after so long."""
        self.turns[class_] += 1
        self.wait_seconds[class_] += seconds

    def status(self, listen: str, primary: str) -> ForwarderStatus:
        """The numbers now."""
        return ForwarderStatus(
            listen=listen,
            primary=primary,
            connections_open=self.connections_open,
            connections_total=self.connections_total,
            queries_udp=self.queries_udp,
            queries_tcp=self.queries_tcp,
            answers_udp=self.answers_udp,
            waiting_udp=self.waiting_udp,
            refused=dict(self.refused),
            bytes_in=self.bytes_in,
            verdicts=tuple((kind, reason, count) for (kind, reason), count in self.verdicts.items()),
            errors=dict(self.errors),
            turns=dict(self.turns),
            wait_seconds=dict(self.wait_seconds),
        )


@dataclass(slots=True)
class ExitUserCounters:
    """Of one user of the exit."""

    name: str
    streams_open: int = 0
    streams_total: int = 0
    associations_open: int = 0
    associations_total: int = 0
    datagrams_in: int = 0
    datagrams_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    throttled: int = 0
    rejects: Counter[str] = field(default_factory=Counter)

    def status(self) -> ExitUserStatus:
        """The numbers now."""
        return ExitUserStatus(
            name=self.name,
            streams_open=self.streams_open,
            streams_total=self.streams_total,
            associations_open=self.associations_open,
            associations_total=self.associations_total,
            datagrams_in=self.datagrams_in,
            datagrams_out=self.datagrams_out,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            throttled=self.throttled,
            rejects=dict(self.rejects),
        )


@dataclass(slots=True)
class ExitCounters:
    """Of the exit."""

    streams_open: int = 0
    streams_total: int = 0
    associations_open: int = 0
    associations_total: int = 0
    datagrams_in: int = 0
    datagrams_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    rejects: Counter[str] = field(default_factory=Counter)

    def status(self, listen: str, handshakes: int, salts: int, users: tuple[ExitUserStatus, ...]) -> ExitStatus:
        """The numbers now."""
        return ExitStatus(
            listen=listen,
            handshakes=handshakes,
            salts=salts,
            users=users,
            streams_open=self.streams_open,
            streams_total=self.streams_total,
            associations_open=self.associations_open,
            associations_total=self.associations_total,
            datagrams_in=self.datagrams_in,
            datagrams_out=self.datagrams_out,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            rejects=dict(self.rejects),
        )
