"""docs/troubleshooting.md: the events and reasons that it names are those that the code gives."""

from __future__ import annotations

import re

from proxy.egress.exchanges.remedies import REFUSALS
from tests.docs.pages import ROOT, page

PAGE = page("docs/troubleshooting.md")
SOURCES = "".join(file.read_text() for room in ("proxy", "gateway") for file in (ROOT / room).rglob("*.py"))


def test_its_events_are_emitted() -> None:
    events = set(re.findall(r"`((?:transfer|tunnel|primary|notify|node|exit)\.[a-z-]+)`", PAGE)) - {"exit.allow"}
    assert len(events) > 10
    assert {event for event in events if f'"{event}"' not in SOURCES} == set()


def test_refusals_are_those_that_are_told() -> None:
    rows = re.findall(r"`transfer\.refused`, reason (.*?) \|", PAGE)
    named = {reason for row in rows for reason in re.findall(r"`([a-z-]+)`", row)}
    assert {"zone", "tsig-mac", "address", "queue-full"} <= named
    assert named <= REFUSALS.keys()


def test_reasons_of_the_exit_are_on_its_page() -> None:
    table = PAGE[PAGE.index("| the gateway sees | the exit logs") :].partition("\n\n")[0]
    reasons = {reason for row in table.splitlines()[2:] for reason in re.findall(r"`([a-z-]+)`", row.split("|")[2])}
    assert "unknown-user" in reasons
    assert {reason for reason in reasons if f"`{reason}`" not in page("docs/exits.md")} == set()
