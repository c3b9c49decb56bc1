"""The guard of the TCP door as the data plane takes it."""

from __future__ import annotations

from proxy.settings import TcpSettings

# The largest rate and burst that the data plane takes.
MOST = 1_000_000


def guard_row(tcp: TcpSettings, places: int | None = None) -> dict[str, object]:
    """The row for `StreamRelay.set_guard`. `places` are the clients that this worker has descriptors for."""
    return {
        "prefix_v4": tcp.prefix_v4,
        "prefix_v6": tcp.prefix_v6,
        "connection_rate": tcp.connection_rate or 0,
        "connection_burst": tcp.connection_burst or _twice(tcp.connection_rate),
        "time_limit": tcp.time_limit or 0,
        "time_burst": tcp.time_burst or _twice(tcp.time_limit),
        "time_action": tcp.time_action,
        "connections_of_worker": tcp.connections if places is None else places,
        "queries_per_connection": tcp.queries_per_connection or 0,
        "lifetime": tcp.lifetime or 0.0,
        "reads_per_message": tcp.reads_per_message,
        "overload_threshold": tcp.overload.threshold,
        "overload_idle_timeout": tcp.overload.idle_timeout,
        "overload_lifetime": tcp.overload.lifetime,
        "overload_in_flight": tcp.overload.in_flight,
    }


def _twice(rate: int | None) -> int:
    return min(2 * (rate or 1), MOST)
