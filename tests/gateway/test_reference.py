"""The reference of settings says what the settings classes say."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.config.reference import reference
from gateway.config.starter import starter

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_classes_say() -> None:
    assert PAGE.read_text() == reference(), "write it anew: python -m gateway.config.reference > docs/settings.md"


def test_every_key_of_the_starter_file_is_on_the_page() -> None:
    page = reference()
    keys = {
        line.lstrip("#").partition(" = ")[0] for line in starter().splitlines() if " = " in line and "# " not in line
    }
    assert len(keys) > 40
    tables = set(re.findall(r"\.(\w+)\]", page))
    assert {key for key in keys - tables if f"`{key}`" not in page} == set()
