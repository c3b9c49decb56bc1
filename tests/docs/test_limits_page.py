"""The examples of docs/limits.md are configurations, and what they say of themselves is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from filters.limits import KNOT_V4, KNOT_V6, limit_names
from gateway.config import load
from tests.docs.pages import blocks, page

EXAMPLES = blocks(page("docs/limits.md"), "toml")
INGRESS = """version = 1
[[ingress.listeners]]
address = "127.0.0.1:5300"
[[ingress.backends]]
name = "ns-a"
address = "127.0.0.1:5353"
"""


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_good_configuration(example: str, tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(INGRESS + example)
    loaded = load(file)
    filters = loaded.settings.filters
    assert loaded.warnings == ()
    assert filters.rate_limits or filters.response_limits is not None
    assert all(f'name = "{name}"' in example for name in limit_names(filters.rate_limits))


def test_the_lengths_of_knot_are_those_of_the_page() -> None:
    assert len(EXAMPLES) == 4
    for family in (KNOT_V4, KNOT_V6):
        written = [f"/{length.bits} x{length.factor}" for length in family]
        assert ", ".join(written) in page("docs/limits.md")
