"""What docs/rules.md says of `zonegate rules test` is what it prints."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.docs.pages import block, blocks, page
from tests.gateway.configs import INGRESS
from tests.support.captures import RAW, pcap, udp

PAGE = "docs/rules.md"
LINES = [
    line.partition("| ")[2] or line
    for shell in blocks(page(PAGE), "sh")
    for line in shell.splitlines()
    if "zonegate rules test" in line
]


def typed(line: str) -> Result:
    words = shlex.split(line)
    capture = pcap(RAW, [(10**18, udp(b"\0" * 12))])
    return CliRunner().invoke(cli, words[1:], input=capture)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the files that the page names."""
    monkeypatch.chdir(tmp_path)
    policy = INGRESS + 'pools = ["default", "transfers"]\n' + block(PAGE, "toml")
    for name in ("zonegate.toml", "new.toml"):
        (tmp_path / name).write_text(policy)
    (tmp_path / "queries.txt").write_text("www.example.com A\n")
    (tmp_path / "yesterday.pcap").write_bytes(pcap(RAW, [(10**18, udp(b"\0" * 12, local="127.0.0.1", to=5300))]))
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_each_command_of_the_page_works(folder: Path, line: str) -> None:
    assert len(LINES) >= 8
    assert (typed(line).exit_code, len(list(folder.iterdir()))) == (0, 4)


def test_the_explanation_on_the_page(folder: Path) -> None:
    assert folder.is_dir()
    printed = [line.rstrip() for line in typed(LINES[0]).output.splitlines()]
    assert printed == block(PAGE, "text").splitlines()


def test_the_rule_that_sees_nothing(folder: Path) -> None:
    (folder / "any.txt").write_text("www.example.com ANY\n")
    line = "zonegate rules test --queries any.txt --json"
    assert '"reason":"any-over-udp"' in typed(line).output
    assert '"no-any"' in typed(line).output.partition('"never_matched":[')[2].partition("]")[0]
