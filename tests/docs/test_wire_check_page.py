"""The tables of docs/wire-check.md: every key with its default, and tests that exist."""

from __future__ import annotations

import re

from filters.settings.checks import Checks, reason
from gateway.config.schema import fields
from tests.docs.pages import ROOT, page

ROW = re.compile(
    r"(?m)^\| [\d, ]+ \| (?P<what>.+?) \| (?P<usual>\w+) \| (?:`(?P<key>\w+)`)? ?\|(?P<rfc>[^|]*)\| "
    r"(?:`(?P<reason>[\w-]+)`)? ?\| `(?P<test>\w+)` \|$"
)


def test_every_choice_stands_there_with_its_default() -> None:
    rows = [row.groupdict() for row in ROW.finditer(page("docs/wire-check.md"))]
    told = {row["key"]: (row["usual"], row["reason"]) for row in rows if row["key"]}
    assert told == {key: (field.default, reason(key)) for key, field in fields(Checks).items()}
    assert all(row["rfc"].strip() for row in rows if row["reason"])


def test_the_tests_that_it_names_exist() -> None:
    named = {row["test"] for row in ROW.finditer(page("docs/wire-check.md"))}
    files = [f"dataplane/crates/{name}.rs" for name in ("wire/tests/table", "engine/tests/decide")]
    written = "".join((ROOT / name).read_text() for name in files)
    assert named
    assert all(f"#[test]\nfn {name}()" in written for name in named)
