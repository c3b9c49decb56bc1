"""What the egress reports: plain numbers, frozen, ready for msgpack and for metrics."""

from __future__ import annotations

from msgspec import Struct


class TunnelStatus(Struct, frozen=True, kw_only=True):
    """One tunnel. Bytes are payload, without the tunnel's own headers; `in` is what came from primaries."""

    name: str
    kind: str  # "shadowsocks", "socks5", "direct"
    streams_open: int
    streams_total: int
    datagrams_in: int
    datagrams_out: int
    bytes_in: int
    bytes_out: int
    failures: dict[str, int]  # by reason
    last_error: str | None


class WayStatus(Struct, frozen=True, kw_only=True):
    """One tunnel towards one primary over one transport. Times are in seconds."""

    tunnel: str
    state: str  # "closed": in use; "failing": in doubt; "open": left alone; "half-open": tried again
    delay: float | None  # of answers, the mean of the last few
    failed_share: float  # of the last few, 0 to 1
    trips: int  # how often it was taken out
    probes: int
    rcode: int | None  # of the last answer to a probe
    answered_ago: float | None
    retry_in: float | None  # where it is not closed
    fault: str | None  # "tunnel", "configuration", "primary" or "unknown", while it fails
    error: str | None  # the last, also after it works again
    remedy: str  # what to do while it fails


class RouteStatus(Struct, frozen=True, kw_only=True):
    """One primary over one transport."""

    primary: str
    transport: str
    chosen: str  # the tunnel that is tried first
    fault: str | None  # while no tunnel leads to an answer: "primary", "tunnels" or "unknown"
    ways: tuple[WayStatus, ...]  # in the order of the configuration


class ExitAddressStatus(Struct, frozen=True, kw_only=True):
    """From where primaries see what comes through a tunnel."""

    tunnel: str
    declared: tuple[str, ...]  # exit_addresses of the configuration
    seen: tuple[str, ...]  # what a whoami server last said
    state: str  # "off", "pending", "verified", "mismatch", "learned" (nothing is declared) or "failed"
    error: str | None  # of the last question, if it had no answer


class ForwarderStatus(Struct, frozen=True, kw_only=True):
    """One forwarder."""

    listen: str
    primary: str
    connections_open: int
    connections_total: int
    queries_udp: int  # passed to the primary
    queries_tcp: int
    answers_udp: int
    waiting_udp: int
    refused: dict[str, int]  # by reason: what was not passed, and what failed
    bytes_in: int  # answers over TCP
    verdicts: tuple[tuple[str, str, int], ...]  # of the guard: kind of answer, reason, how many
    errors: dict[str, int]  # answers of the primary that bring no zone, by RCODE
    turns: dict[str, int]  # queries that had their turn in the queue, by class
    wait_seconds: dict[str, float]  # that they waited for it, all together, by class


class PrimaryStatus(Struct, frozen=True, kw_only=True):
    """One primary, through all forwarders that lead to it."""

    name: str
    connections_open: int
    connections_opened: int
    connections_reused: int  # queries that went on a connection that was there
    transfers_running: int
    waiting: dict[str, int]  # for their turn, by class


class ExitUserStatus(Struct, frozen=True, kw_only=True):
    """One user of the exit."""

    name: str
    streams_open: int
    streams_total: int
    associations_open: int
    associations_total: int
    datagrams_in: int  # from the user
    datagrams_out: int
    bytes_in: int  # from the user, payload
    bytes_out: int
    throttled: int  # how often a stream was made to wait by the user's rate
    rejects: dict[str, int]  # by reason


class ExitStatus(Struct, frozen=True, kw_only=True):
    """The exit."""

    listen: str
    handshakes: int  # connections that have not shown a key yet
    salts: int  # remembered against replays
    users: tuple[ExitUserStatus, ...]  # none where the exit has a single key
    streams_open: int
    streams_total: int
    associations_open: int
    associations_total: int
    datagrams_in: int  # from clients
    datagrams_out: int
    bytes_in: int  # from clients, payload
    bytes_out: int
    rejects: dict[str, int]  # by reason


class PrimaryTlsStatus(Struct, frozen=True, kw_only=True):
    """TLS to one primary."""

    primary: str
    handshakes: int
    resumed: int  # of these
    failures: dict[str, int]  # by reason; of handshakes, and of what came behind
    last_error: str | None
    expires_in: float | None  # seconds until our own certificate expires; None without one


class EgressStatus(Struct, frozen=True, kw_only=True):
    """All of it."""

    tunnels: tuple[TunnelStatus, ...]
    forwarders: tuple[ForwarderStatus, ...]
    routes: tuple[RouteStatus, ...] = ()
    exit_addresses: tuple[ExitAddressStatus, ...] = ()
    primaries: tuple[PrimaryStatus, ...] = ()
    exit: ExitStatus | None
    tls: tuple[PrimaryTlsStatus, ...] = ()
