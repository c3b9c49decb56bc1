"""The metrics of the way out, from what the transfer process last said of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import Metric

from gateway.metrics.families import Row, counter, gauge

Rows = Sequence[dict[str, Any]]


def tunnels(states: Rows) -> Iterator[Metric]:
    """Of the ways out."""
    yield gauge("tunnel_streams", "Open streams.", ["tunnel"], (([t["name"]], t["streams_open"]) for t in states))
    texts = {
        "streams_opened": ("streams_total", "Streams opened."),
        "received_datagrams": ("datagrams_in", "Datagrams from primaries."),
        "sent_datagrams": ("datagrams_out", "Datagrams to primaries."),
        "received_bytes": ("bytes_in", "Payload from primaries."),
        "sent_bytes": ("bytes_out", "Payload to primaries."),
    }
    for name, (field, text) in texts.items():
        yield counter(f"tunnel_{name}", text, ["tunnel"], (([t["name"]], t[field]) for t in states))
    yield counter(
        "tunnel_failures",
        "What went wrong in the tunnel, by reason.",
        ["tunnel", "reason"],
        (([t["name"], reason], count) for t in states for reason, count in t["failures"].items()),
    )


_STATES = ("closed", "failing", "open", "half-open")
_FAULTS = ("primary", "tunnels", "unknown")


def pools(routes: Rows, exits: Rows) -> Iterator[Metric]:
    """Of the choice among the tunnels of each primary."""
    label = ["primary", "tunnel", "transport"]
    ways = [
        ([route["primary"], way["tunnel"], route["transport"]], route, way) for route in routes for way in route["ways"]
    ]
    yield gauge(
        "tunnel_state",
        "1 for the state that the tunnel is in: closed (in use), failing (in doubt), open (left alone), half-open.",
        [*label, "state"],
        (([*labels, state], float(way["state"] == state)) for labels, _, way in ways for state in _STATES),
    )
    yield gauge(
        "tunnel_chosen",
        "1 for the tunnel that is tried first.",
        label,
        ((labels, float(route["chosen"] == way["tunnel"])) for labels, route, way in ways),
    )
    yield gauge(
        "tunnel_delay_seconds",
        "From query to answer, the mean of the last few.",
        label,
        ((labels, way["delay"]) for labels, _, way in ways if way["delay"] is not None),
    )
    yield gauge(
        "tunnel_failed_share",
        "Of the last few queries and probes, 0 to 1.",
        label,
        ((labels, way["failed_share"]) for labels, _, way in ways),
    )
    for name, text in {"trips": "How often the tunnel was taken out.", "probes": "SOA queries of our own."}.items():
        yield counter(f"tunnel_{name}", text, label, ((labels, way[name]) for labels, _, way in ways))
    yield gauge(
        "transfer_primary_failing",
        "1 while no tunnel leads to an answer of the primary, by what is at fault.",
        ["primary", "transport", "fault"],
        (
            ([route["primary"], route["transport"], fault], float(route["fault"] == fault))
            for route in routes
            for fault in _FAULTS
        ),
    )
    yield gauge(
        "tunnel_exit_verified",
        "1 while a whoami server sees an address that exit_addresses has, 0 while another; absent: not known.",
        ["tunnel"],
        (
            ([exit_["tunnel"]], float(exit_["state"] == "verified"))
            for exit_ in exits
            if exit_["state"] in {"verified", "mismatch"}
        ),
    )


def transfer(forwarders: Rows) -> Iterator[Metric]:
    """Of the forwarders."""
    label = ["forwarder", "primary"]

    def rows(field: str) -> Iterator[Row]:
        return (([f["listen"], f["primary"]], f[field]) for f in forwarders)

    yield gauge("transfer_connections", "Open TCP connections of nodes.", label, rows("connections_open"))
    yield gauge("transfer_udp_waiting", "UDP queries that wait for the primary.", label, rows("waiting_udp"))
    yield counter("transfer_connections_opened", "TCP connections of nodes.", label, rows("connections_total"))
    yield counter(
        "transfer_queries",
        "Queries passed to the primary.",
        [*label, "transport"],
        (
            ([f["listen"], f["primary"], transport], f[f"queries_{transport}"])
            for f in forwarders
            for transport in ("udp", "tcp")
        ),
    )
    yield counter("transfer_udp_answers", "UDP answers of the primary.", label, rows("answers_udp"))
    yield counter("transfer_received_bytes", "Answers of the primary over TCP.", label, rows("bytes_in"))
    yield counter(
        "transfer_refused",
        "What was not passed on, by reason.",
        [*label, "reason"],
        (([f["listen"], f["primary"], reason], count) for f in forwarders for reason, count in f["refused"].items()),
    )


def primary_tls(states: Rows) -> Iterator[Metric]:
    """Of TLS to primaries."""
    label = ["primary"]
    yield counter(
        "primary_tls_handshakes",
        "TLS handshakes that were done.",
        label,
        (([t["primary"]], t["handshakes"]) for t in states),
    )
    yield counter(
        "primary_tls_resumed",
        "Of these, those with a session ticket.",
        label,
        (([t["primary"]], t["resumed"]) for t in states),
    )
    yield counter(
        "primary_tls_failures",
        "TLS that did not come about, or broke, by reason.",
        [*label, "reason"],
        (([t["primary"], reason], count) for t in states for reason, count in t["failures"].items()),
    )
    yield gauge(
        "primary_tls_certificate_seconds",
        "Seconds until our certificate for this primary expires.",
        label,
        (([t["primary"]], t["expires_in"]) for t in states if t["expires_in"] is not None),
    )


def exchanges(forwarders: Rows, primaries: Rows) -> Iterator[Metric]:
    """Of the queue, the guard, and the connections to primaries."""
    label = ["forwarder", "primary"]
    yield counter(
        "transfer_verdicts",
        "What the guard said of answers: accepted, or what was wrong.",
        [*label, "kind", "reason"],
        (
            ([f["listen"], f["primary"], kind, reason], count)
            for f in forwarders
            for kind, reason, count in f["verdicts"]
        ),
    )
    yield counter(
        "transfer_primary_errors",
        "Answers of the primary that bring no zone, such as REFUSED; those of every tunnel that was tried.",
        [*label, "rcode"],
        (([f["listen"], f["primary"], rcode], count) for f in forwarders for rcode, count in f["errors"].items()),
    )
    for name, field, text in (
        ("turns", "turns", "Queries that had their turn in the queue."),
        ("wait_seconds", "wait_seconds", "Time that they waited for it, all together."),
    ):
        rows = (([f["listen"], f["primary"], class_], value) for f in forwarders for class_, value in f[field].items())
        yield counter(f"transfer_{name}", text, [*label, "class"], rows)
    yield gauge(
        "transfer_waiting",
        "Queries that wait for their turn.",
        ["primary", "class"],
        (([p["name"], class_], count) for p in primaries for class_, count in p["waiting"].items()),
    )
    gauges = {
        "running": ("transfers_running", "Transfers that run now."),
        "primary_connections": ("connections_open", "Open TCP connections to the primary."),
    }
    for name, (field, text) in gauges.items():
        yield gauge(f"transfer_{name}", text, ["primary"], (([p["name"]], p[field]) for p in primaries))
    counters = {
        "primary_connections_opened": ("connections_opened", "TCP connections to the primary."),
        "primary_connections_reused": ("connections_reused", "Queries that went on a connection that was there."),
    }
    for name, (field, text) in counters.items():
        yield counter(f"transfer_{name}", text, ["primary"], (([p["name"]], p[field]) for p in primaries))


def exit_metrics(status: dict[str, Any] | None) -> Iterator[Metric]:
    """Of the far end of tunnels."""
    if status is None:
        return
    yield gauge("exit_streams", "Open streams.", [], [((), status["streams_open"])])
    yield gauge("exit_associations", "UDP sessions kept.", [], [((), status["associations_open"])])
    yield gauge("exit_handshakes", "Open connections that have not shown a key yet.", [], [((), status["handshakes"])])
    yield gauge("exit_salts", "Salts of streams, remembered against replays.", [], [((), status["salts"])])
    texts = {
        "streams_opened": ("streams_total", "Streams opened."),
        "associations_opened": ("associations_total", "UDP sessions begun."),
        "received_datagrams": ("datagrams_in", "Datagrams from clients of the exit."),
        "sent_datagrams": ("datagrams_out", "Datagrams to clients of the exit."),
        "received_bytes": ("bytes_in", "Payload from clients of the exit."),
        "sent_bytes": ("bytes_out", "Payload to clients of the exit."),
    }
    for name, (field, text) in texts.items():
        yield counter(f"exit_{name}", text, [], [((), status[field])])
    yield counter(
        "exit_rejects",
        "What the exit would not serve, by reason.",
        ["reason"],
        (([reason], count) for reason, count in status["rejects"].items()),
    )
    yield from _exit_users(status["users"])


def _exit_users(users: Rows) -> Iterator[Metric]:
    """Of each user of the exit; their names are configuration."""
    for name, (field, text) in {
        "streams": ("streams_open", "Open streams of the user."),
        "associations": ("associations_open", "UDP sessions of the user."),
    }.items():
        yield gauge(f"exit_user_{name}", text, ["user"], (([user["name"]], user[field]) for user in users))
    for name, (field, text) in {
        "streams_opened": ("streams_total", "Streams that the user opened."),
        "associations_opened": ("associations_total", "UDP sessions that the user began."),
        "received_datagrams": ("datagrams_in", "Datagrams from the user."),
        "sent_datagrams": ("datagrams_out", "Datagrams to the user."),
        "received_bytes": ("bytes_in", "Payload from the user."),
        "sent_bytes": ("bytes_out", "Payload to the user."),
        "throttled": ("throttled", "How often a stream rested because the user's rate was used up."),
    }.items():
        yield counter(f"exit_user_{name}", text, ["user"], (([user["name"]], user[field]) for user in users))
    yield counter(
        "exit_user_rejects",
        "What the exit would not serve of the user, by reason.",
        ["user", "reason"],
        (([user["name"], reason], count) for user in users for reason, count in user["rejects"].items()),
    )
