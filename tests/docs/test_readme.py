"""What the pages tell an operator to type exists, and the five minutes of the README work as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gateway.cli import cli
from gateway.config import load
from tests.docs.pages import PAGES, ROOT, blocks, commands, page

README = "README.md"


def options(command: click.Command) -> set[str]:
    context = click.Context(command)
    return {option for parameter in command.get_params(context) for option in parameter.opts}


def unknown(line: str) -> str | None:
    """What of a `zonegate …` line doesn't exist; None when all of it does."""
    found = re.search(r"(?:^|[ /])zonegate ([a-z][a-z-]*)(.*)", line)
    if found is None:
        return None
    command: click.Command = cli
    words: list[str] = [found[1], *found[2].partition(" && ")[0].split()]
    while isinstance(command, click.Group) and words:
        if command.invoke_without_command and words[0].startswith("-"):
            break  # a command with commands of its own, such as zonegate exit
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            return words[0]
        command = inner
        del words[0]
    used: list[str] = [option for word in words for option in re.findall(r"^--?[a-z][a-z-]*", word)]
    return next((option for option in used if option not in options(command)), None)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_option_and_target_exists(file: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", page("Makefile")))
    for line in commands(file.read_text()):
        assert unknown(line) is None, line
        if found := re.match(r"make ([a-z]+)", line):
            assert found[1] in targets, line


@pytest.mark.parametrize(
    "line", ["zonegate fly", "zonegate blocks fly", "x && zonegate run --fast", "zonegate blocks add 192.0.2.1 --fast"]
)
def test_what_does_not_exist_is_found(line: str) -> None:
    assert unknown(line) is not None


def test_the_commands_of_the_unit_exist() -> None:
    lines = re.findall(r"(?m)^Exec.*", page("deploy/zonegate.service"))
    assert sum("zonegate " in line for line in lines) == 2
    assert [line for line in lines if unknown(line)] == []


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", file.read_text())
    assert [target for target in targets if not (file.parent / target).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = page("docs/README.md")
    pages = [file.name for file in (ROOT / "docs").glob("*.md") if file.name != "README.md"]
    assert len(pages) >= 4
    assert [name for name in pages if f"]({name})" not in index] == []


def test_the_five_minutes_as_they_are_written(tmp_path: Path) -> None:
    """The key, the file with the tunnel's secret and the configuration, by the lines that the README shows."""
    shell = "\n".join(blocks(page(README), "sh")).splitlines()
    typed = [line for line in shell if line.startswith(("zonegate exit-key ", "(umask ", "zonegate check "))]
    assert len(typed) == 3
    (tmp_path / "zonegate.toml").write_text(blocks(page(README), "toml")[0])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "umask 022\n" + "\n".join(typed)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "zonegate.toml is right" in done.stdout
    egress = load(tmp_path / "zonegate.toml").settings.egress
    assert egress is not None
    assert egress.tunnels[0].url.reveal() == (tmp_path / "fra.url").read_text().strip()


def test_what_stands_against_attacks_can_be_added_to_it(tmp_path: Path) -> None:
    gateway, _, defence = blocks(page(README), "toml")
    for name, secret in (("cookie.secret", "00112233445566778899aabbccddeeff"), ("fra.url", "direct://")):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "zonegate.toml").write_text(gateway + defence)
    filters = load(tmp_path / "zonegate.toml").settings.filters
    assert [limit.name for limit in filters.rate_limits] == [None, "client", "unproven"]
    assert filters.cookies.secret is not None


def test_what_the_way_out_can_have_goes_with_the_rest(tmp_path: Path) -> None:
    gateway, way_out, _ = blocks(page(README), "toml")
    begin, end = gateway.index("[[primaries]]"), gateway.index("[[forwarders]]")
    for name, secret in (
        ("fra.url", "socks5://192.0.2.1:1080"),
        ("ams.url", "socks5://192.0.2.2:1080"),
        ("customer-a.tsig", "c2VjcmV0"),
    ):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "zonegate.toml").write_text(gateway[:begin] + way_out + gateway[end:])
    settings = load(tmp_path / "zonegate.toml").settings
    assert settings.tunnels[1].through == "fra"
    assert settings.primaries[0].tls is not None
    assert settings.zones[0].primaries == ("customer-a",)
