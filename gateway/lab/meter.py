"""The gateway's own account, read from its /metrics: what it did with the queries, and what went through the tunnel."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from gateway.lab.asking import page
from proxy.values import Endpoint


@dataclass(slots=True)
class Reading:
    """One look at the metrics."""

    received: int = 0
    forwarded: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)  # (verdict, reason) of what was not forwarded
    checks: int = 0  # SOA queries of the nodes over UDP, through the tunnel
    connections: int = 0  # of the nodes, for transfers
    tunnel_in: int = 0  # bytes
    tunnel_out: int = 0


async def read(admin: Endpoint) -> Reading:
    """Read the metrics of a gateway.

    Raises:
        OSError: its admin address does not answer, or not with metrics.
    """
    status, text = await page(admin, "/metrics")
    if status != 200:
        raise OSError(f"{admin} answers /metrics with status {status}")
    reading = Reading()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            _take(reading, sample.name, sample.labels, int(sample.value))
    return reading


def _take(reading: Reading, name: str, labels: dict[str, str], value: int) -> None:
    match name:
        case "zonegate_ingress_received_total":
            reading.received += value
        case "zonegate_ingress_verdicts_total" if labels["verdict"] == "forward":
            reading.forwarded += value
        case "zonegate_ingress_verdicts_total":
            reading.reasons[labels["verdict"], labels["reason"]] += value
        case "zonegate_transfer_queries_total" if labels["transport"] == "udp":
            reading.checks += value
        case "zonegate_transfer_connections_opened_total":
            reading.connections += value
        case "zonegate_tunnel_received_bytes_total":
            reading.tunnel_in += value
        case "zonegate_tunnel_sent_bytes_total":
            reading.tunnel_out += value
