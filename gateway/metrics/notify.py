"""The metrics of NOTIFY, from what the workers and the transfer process last said of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import HistogramMetricFamily, Metric

from gateway.metrics.families import Row, counter, gauge
from gateway.state import ProcessState
from proxy.transfer.status import BUCKETS


def notify_accepted(workers: Sequence[ProcessState]) -> Iterator[Metric]:
    """Of the doors."""
    yield counter(
        "transfer_notify_accepted",
        "NOTIFY messages for zones of [[zones]] that were accepted and handed on.",
        ["process"],
        (([p.name], p.body["notify_accepted"]) for p in workers),
    )
    yield counter(
        "transfer_notify_refused",
        "NOTIFY messages that had come past the data plane, and why they were not handed on.",
        ["process", "reason"],
        (([p.name, reason], count) for p in workers for reason, count in p.body["notify_refused"].items()),
    )


def notify_fanout(status: dict[str, Any]) -> Iterator[Metric]:
    """Of the backends that are told."""
    yield counter(
        "transfer_notify_coalesced",
        "NOTIFY messages that came while backends still followed an earlier one for the zone.",
        [],
        [((), status["coalesced"])],
    )
    yield counter(
        "transfer_notify_primary_queries",
        "Questions to primaries for the serial that there is to follow.",
        [],
        [((), status["primary_asked"])],
    )
    backends: Sequence[dict[str, Any]] = status["backends"]

    def rows(field: str) -> Iterator[Row]:
        return (([each["backend"]], each[field]) for each in backends)

    label = ["backend"]
    yield gauge("transfer_notify_pending", "Zones that the backend has yet to follow.", label, rows("pending"))
    yield counter("transfer_notify_sent", "NOTIFY messages to the backend.", label, rows("sent"))
    yield counter("transfer_notify_retries", "Those that were not the first of their round.", label, rows("retries"))
    yield counter("transfer_notify_gave_up", "Zones that the backend did not follow in time.", label, rows("gave_up"))
    yield counter(
        "transfer_notify_backend_refused",
        "Answers of the backend that refuse a NOTIFY.",
        [*label, "rcode"],
        (([each["backend"], code], count) for each in backends for code, count in each["refused"].items()),
    )
    lag = HistogramMetricFamily(
        "zonegate_transfer_notify_lag_seconds",
        "From the arrival of a NOTIFY until the backend serves the new zone.",
        labels=label,
    )
    for each in backends:
        lag.add_metric([each["backend"]], _cumulated(each["lags"]), each["lag_seconds"])
    yield lag


def _cumulated(counts: Sequence[int]) -> list[tuple[str, float]]:
    total, found = 0, []
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
