"""docs/exits.md: its commands make keys that fit its configuration, and its reasons are those that the exit gives."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import cli
from gateway.config import load
from proxy.egress.exit_plan import compile_exit
from proxy.protocol.salts import CAPACITY, KEEP
from tests.docs.pages import ROOT, blocks, page

PAGE = "docs/exits.md"


def typed(start: str) -> list[str]:
    return [line for shell in blocks(page(PAGE), "sh") for line in shell.splitlines() if line.startswith(start)]


def test_the_keys_of_the_page_fit_its_users(tmp_path: Path) -> None:
    one, several, more = (line.removeprefix("zonegate ").split() for line in typed("zonegate exit keys"))
    runner = CliRunner()
    for directory, command in (("one", one), ("keys", several), ("keys", more)):
        arguments = [
            word.replace("keys", str(tmp_path / directory)) if number > 1 else word
            for number, word in enumerate(command)
        ]
        result = runner.invoke(cli, arguments)
        assert result.exit_code == 0, result.output
    made = {file.name for file in (tmp_path / "keys").iterdir()}
    assert made >= {"exit.key", "berlin.key", "berlin.url", "oslo.key", "oslo.url", "rome.key", "rome.url"}
    (users,) = (toml for toml in blocks(page(PAGE), "toml") if "berlin" in toml)
    file = tmp_path / "keys" / "zonegate.toml"
    file.write_text("version = 1\n" + users)
    settings = load(file).settings.exit
    assert settings is not None
    assert list(compile_exit(settings).users) == ["berlin", "oslo"]


def test_its_reasons_are_in_the_code() -> None:
    table = page(PAGE).partition("| reason | says |")[2].partition("\n## ")[0]
    reasons = {name for row in table.splitlines() for name in re.findall(r"`([a-z-]+)`", row.partition(" | ")[0])}
    assert len(reasons) >= 19
    sources = [file.read_text() for part in ("egress", "protocol") for file in (ROOT / "proxy" / part).glob("*.py")]
    assert [reason for reason in reasons if not any(f'"{reason}"' in source for source in sources)] == []


def test_its_figures_are_those_of_the_code() -> None:
    assert f"{CAPACITY:,} salts" in page(PAGE)
    assert int(CAPACITY / KEEP) // 100 * 100 == 2100
    assert "2,100 new streams a second" in page(PAGE)
