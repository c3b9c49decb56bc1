"""The command line: what it prints and the exit codes it promises."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from filters.cookies import secret_bytes
from gateway.cli import cli
from gateway.cli.client import reachable
from gateway.config import load
from proxy.values import Endpoint, Secret
from tests.gateway.configs import FULL, INGRESS, KEY_32, PLANTED
from tests.gateway.running import Running
from tests.support.peers import free_port

COMMANDS = [
    "run",
    "check",
    "init",
    "status",
    "reload",
    "top",
    "tunnels",
    "blocks",
    "rules",
    "exit",
    "exit-key",
    "cookie-secret",
    "lab",
]


opened = os.open


def zonegate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_help_teaches() -> None:
    result = zonegate("--help")
    assert result.exit_code == 0
    assert all(f"  {command} " in result.output for command in COMMANDS)
    assert "Exit codes:" in result.output
    assert "zonegate init" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = zonegate(command, "--help")
    assert result.exit_code == 0
    assert command == "lab" or "Examples:" in result.output


def test_version() -> None:
    result = zonegate("--version")
    assert (result.exit_code, result.output) == (0, "zonegate 0.1.0\n")


def test_wrong_use() -> None:
    assert zonegate("nothing").exit_code == 2
    assert zonegate("exit-key", "rot13").exit_code == 2


def test_init_writes_a_file_that_check_likes(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    result = zonegate("init", file)
    assert result.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert zonegate("check", file).exit_code == 0
    file.write_text("mine")
    result = zonegate("init", file)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert file.read_text() == "mine"
    file.chmod(0o644)
    assert zonegate("init", "--force", file).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file).settings.ingress is not None
    assert zonegate("init", tmp_path / "none" / "zonegate.toml").exit_code == 1


def test_check_shows_a_summary_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(FULL)
    file.chmod(0o600)
    result = zonegate("check", file)
    assert result.exit_code == 0
    assert "127.0.0.1:5301 to customer-a (203.0.113.5:53) through fra, ams" in result.output
    assert "tunnels    fra, ams" in result.output
    machine = zonegate("check", "--json", file)
    body = json.loads(machine.output)
    assert body["ok"] is True
    assert body["summary"]["ingress"].startswith("2 workers")
    assert not any(secret in result.output + machine.output for secret in PLANTED)


def test_check_shows_every_error(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text("version = 2\n[exit]\nkye = 1\n")
    result = zonegate("check", file)
    assert result.exit_code == 1
    assert f"{file}:1: version: found 2; write 1" in result.output
    assert 'exit.kye: found an unknown key; did you mean "key"?' in result.output
    assert "5 errors" in result.output
    body = json.loads(zonegate("check", "--json", file).output)
    assert body["ok"] is False
    assert {problem["line"] for problem in body["problems"]} == {1, 2, 3}
    assert zonegate("run", "--config", file).exit_code == 1


def test_the_file_comes_from_the_option_the_variable_or_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZONEGATE_CONFIG", raising=False)
    assert "zonegate.toml: found a file that can't be read" in zonegate("check").output
    monkeypatch.setenv("ZONEGATE_CONFIG", str(tmp_path / "named.toml"))
    assert "named.toml: found a file that can't be read" in zonegate("check").output


def test_exit_keys_are_fresh_and_fit(tmp_path: Path) -> None:
    first, second = zonegate("exit-key").output, zonegate("exit-key").output
    assert first != second
    assert len(base64.b64decode(first)) == 32
    assert len(base64.b64decode(zonegate("exit-key", "2022-blake3-aes-128-gcm").output)) == 16
    file = tmp_path / "exit.key"
    result = zonegate("exit-key", "--output", file)
    assert result.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() not in result.output
    assert zonegate("exit-key", "--output", file).exit_code == 1


def test_cookie_secrets_are_fresh_and_fit(tmp_path: Path) -> None:
    first, second = zonegate("cookie-secret").output, zonegate("cookie-secret").output
    assert first != second
    assert len(secret_bytes(Secret(first))) == 16
    file = tmp_path / "cookie.secret"
    assert zonegate("cookie-secret", "--output", file).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    configured = INGRESS + f'[filters.cookies]\nsecret = {{ file = "{file}" }}\n'
    (tmp_path / "zonegate.toml").write_text(configured)
    assert zonegate("check", tmp_path / "zonegate.toml").exit_code == 0


def test_exit_options_are_checked_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZONEGATE_EXIT_KEY", raising=False)
    result = zonegate("exit", "--listen", "nowhere", "--allow", "192.0.2.0/24")
    assert result.exit_code == 1
    for words in ("exit.listen", "exit.allow[0]", "ZONEGATE_EXIT_KEY", "3 errors"):
        assert words in result.output
    assert zonegate("exit", "--config", tmp_path / "x", "--listen", "127.0.0.1:1").exit_code == 2


def test_status_and_reload_of_a_gateway_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(f'[admin]\naddress = "127.0.0.1:{free_port("tcp")}"\n')
    for command in ("status", "reload"):
        result = zonegate(command, "--config", file)
        assert result.exit_code == 3
        assert "Connection refused; is it running?" in result.output
    file.write_text("[admin]\naddress = 1\n")
    assert zonegate("status", "--config", file).exit_code == 1


def test_status_and_reload_of_a_running_gateway(tmp_path: Path) -> None:
    text = f"""
        version = 1
        [exit]
        listen = "127.0.0.1:{free_port()}"
        key = "{KEY_32}"
        allow = ["127.0.0.1/32:53"]
        [admin]
        address = "{{admin}}"
        token = "planted-token"
    """
    with Running(tmp_path, text) as gateway:
        gateway.notified("READY=1")
        result = zonegate("status", "-c", gateway.file)
        assert (result.exit_code, "is ready" in result.output) == (0, True)
        assert "transfer" in result.output
        body = json.loads(zonegate("status", "--json", "-c", gateway.file).output)
        assert body["readiness"]["ready"] is True
        assert zonegate("reload", "-c", gateway.file).output == "nothing has changed\n"
        gateway.write(text + '[log]\nlevel = "error"\n')
        assert zonegate("reload", "-c", gateway.file).output == "in use: log.level\n"
        gateway.write(text + "[admin2]\n")
        result = zonegate("reload", "-c", gateway.file)
        assert result.exit_code == 1
        assert "admin2: found an unknown key" in result.output
        assert "nothing was changed" in result.output
        gateway.write(text.replace("planted-token", "another-token"))
        result = zonegate("status", "-c", gateway.file)
        assert result.exit_code == 3
        assert "answers 401" in result.output
        assert "token" not in result.output.replace("with the token of [admin]", "")


@pytest.mark.parametrize(
    ("listens", "connects"), [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
)
def test_a_wildcard_is_reached_over_loopback(listens: str, connects: str) -> None:
    assert str(reachable(Endpoint.parse(listens))) == connects


@pytest.mark.parametrize("arguments", [("init",), ("exit-key", "--output")])
def test_a_full_disk_is_said_in_one_line(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The device takes no byte, and no chmod of ours may reach it.
    monkeypatch.setattr(os, "open", lambda *_: opened("/dev/full", os.O_WRONLY))
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    result = zonegate(*arguments, tmp_path / "file")
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path / 'file'}: No space left on device\n"
