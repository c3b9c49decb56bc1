"""The tables of docs/guard.md: every reason and fault that the guard has, in its order, and its limits."""

from __future__ import annotations

import re

from dataplane import Answers
from tests.docs.pages import ROOT, page

REASON = re.compile(r"(?m)^\| `(?P<reason>[\w-]+)` \| (?P<what>[^|]+) \|(?P<rfc>[^|]*)\|$")


def test_every_reason_stands_there_in_its_order() -> None:
    rows = [row.groupdict() for row in REASON.finditer(page("docs/guard.md"))]
    assert {row["reason"] for row in rows} == set(Answers.REASONS)
    assert len(rows) == len(Answers.REASONS)
    ours = {"accepted", "too-many-bytes", "too-many-records", "too-many-messages", "rrset-too-large"}
    assert all(row["rfc"].strip() for row in rows if row["reason"] not in ours | {"too-long", "too-slow", "idle"})


def test_every_fault_stands_there() -> None:
    text = page("docs/guard.md")
    assert all(f"`{fault}`" in text for fault in Answers.FAULTS)


def test_the_limits_are_those_of_the_crate() -> None:
    source = (ROOT / "dataplane/crates/xfr/src/limits.rs").read_text()
    defaults = dict(re.findall(r"(?m)^            (\w+): ([\d_.]+)(?: << \d+)?,$", source))
    rows = re.findall(r"(?m)^\| (?!`|limit)[\w ]+ \| ([^|]+) \|[^|]*\|$", page("docs/guard.md").split("## Limits")[1])
    told = " ".join(rows).replace(",", "")
    wanted = [defaults[name].replace("_", "").removesuffix(".0") for name in defaults if name != "names"]
    assert len(wanted) == 9
    assert all(re.search(rf"\b{number}\b", told) for number in wanted), (wanted, told)
