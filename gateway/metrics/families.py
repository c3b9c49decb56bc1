"""How a metric is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Row = tuple[Sequence[str], float]


def counter(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    """A counter `zonegate_<name>_total`."""
    family = CounterMetricFamily(f"zonegate_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    """A gauge `zonegate_<name>`."""
    family = GaugeMetricFamily(f"zonegate_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family
