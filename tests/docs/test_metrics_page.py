"""The reference of metrics says what the collector shows."""

from __future__ import annotations

import re

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics_reference import reference
from tests.docs.pages import PAGES, page
from tests.gateway.control import Still

ROW = re.compile(r"(?m)^\| `(zonegate_\w+)` \| (\w+) \| (.*?) \| (.*) \|$")


def test_the_page_is_what_the_collector_says() -> None:
    wanted = reference()
    assert page("docs/metrics.md") == wanted, "write it anew: python -m gateway.metrics_reference > docs/metrics.md"


def test_what_a_scrape_shows_is_on_the_page() -> None:
    """By another way: the text that Prometheus reads, of a gateway with something in every part."""
    rows = {name: (kind, re.findall(r"`(\w+)`", labels), text) for name, kind, labels, text in ROW.findall(reference())}
    families = list(text_string_to_metric_families(generate_latest(Still().registry).decode()))
    names = {f"{family.name}_total" if family.type == "counter" else family.name: family for family in families}
    assert set(rows) == set(names)
    for name, family in names.items():
        kind, labels, text = rows[name]
        assert (kind, text) == (family.type, family.documentation)
        assert all(sorted(sample.labels.keys() - {"le"}) == sorted(labels) for sample in family.samples), name


def test_every_metric_in_prose_and_queries_exists() -> None:
    known = {name for name, *_ in ROW.findall(reference())}
    for file in PAGES:
        assert set(re.findall(r"\bzonegate_(?!native)[a-z_]*[a-z]\b", file.read_text())) <= known, file
