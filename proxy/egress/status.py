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


class ExitStatus(Struct, frozen=True, kw_only=True):
    """The exit."""

    listen: str
    streams_open: int
    streams_total: int
    associations_open: int
    associations_total: int
    datagrams_in: int  # from clients
    datagrams_out: int
    bytes_in: int  # from clients, payload
    bytes_out: int
    rejects: dict[str, int]  # by reason


class EgressStatus(Struct, frozen=True, kw_only=True):
    """All of it."""

    tunnels: tuple[TunnelStatus, ...]
    forwarders: tuple[ForwarderStatus, ...]
    exit: ExitStatus | None
