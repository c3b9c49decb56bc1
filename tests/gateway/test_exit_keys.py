"""`zonegate exit keys`: keys that fit, a configuration that is right, URLs that lead there, and no secret unasked."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
import segno
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.config import load
from proxy.egress.exit_plan import compile_exit
from proxy.protocol.tunnel_urls import ShadowsocksAddress, parse_tunnel_url

HOST = "exit.example.net:8389"
METHODS = ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305", "aes-256-gcm"]


def keys(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["exit", "keys", *map(str, arguments)])


def tables(text: str) -> str:
    """What of the output is TOML."""
    return "version = 1\n" + "\n".join(line for line in text.splitlines() if not line.startswith("wrote "))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("names", [(), ("berlin",), ("berlin", "oslo")])
def test_what_is_printed_is_a_configuration_and_the_urls_fit_it(
    method: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    users = [part for name in names for part in ("--user", name)]
    result = keys("--method", method, "--host", HOST, *users)
    if len(names) > 1 and "aes" not in method.removeprefix("aes-"):
        assert result.exit_code == 2
        assert "can't tell users apart" in result.output
        return
    assert result.exit_code == 0, result.output
    file = tmp_path / "zonegate.toml"
    file.write_text(tables(result.stdout))
    file.chmod(0o600)
    settings = load(file).settings
    assert settings.exit is not None
    plan = compile_exit(settings.exit)
    assert settings.exit.listen.port == 8389
    assert [each.name for each in settings.tunnels] == list(names or ("exit",))
    for each, user in zip(settings.tunnels, plan.users.values(), strict=True):
        address = parse_tunnel_url(each.url.reveal())
        assert isinstance(address, ShadowsocksAddress)
        assert (address.host.host, address.host.port, address.method.name) == ("exit.example.net", 8389, method)
        assert address.key == user.key
        assert address.identity_keys == ((plan.key,) if plan.table is not None else ())


def test_files_hold_the_secrets_and_the_terminal_none(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "keys"
    result = keys("--host", HOST, "--user", "berlin", "--user", "oslo", "--output", directory)
    assert result.exit_code == 0, result.output
    found = {file.name: file for file in directory.iterdir()}
    assert found.keys() == {"exit.key", "berlin.key", "berlin.url", "oslo.key", "oslo.url"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in found.values()} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not any(file.read_text().strip() in result.output for file in found.values())
    (directory / "zonegate.toml").write_text(tables(result.stdout))
    settings = load(directory / "zonegate.toml").settings
    assert settings.exit is not None
    assert [user.name for user in settings.exit.users] == ["berlin", "oslo"]
    again = keys("--host", HOST, "--user", "berlin", "--output", directory)
    assert again.exit_code == 1
    assert "File exists" in again.output


def test_a_user_is_added_to_an_exit_that_is_there(tmp_path: Path) -> None:
    keys("--host", HOST, "--user", "berlin", "--output", tmp_path)
    identity = (tmp_path / "exit.key").read_text()
    result = keys("--host", HOST, "--user", "rome", "--key-file", tmp_path / "exit.key", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "exit.key").read_text() == identity
    berlin, rome = (parse_tunnel_url((tmp_path / f"{name}.url").read_text()) for name in ("berlin", "rome"))
    assert isinstance(berlin, ShadowsocksAddress)
    assert isinstance(rome, ShadowsocksAddress)
    assert berlin.identity_keys == rome.identity_keys
    assert berlin.key != rome.key


def test_json_has_it_all() -> None:
    told = json.loads(keys("--host", HOST, "--user", "berlin", "--json").stdout)
    assert told["method"] == METHODS[1]
    assert told["url"] is None
    (user,) = told["users"]
    assert user["name"] == "berlin"
    address = parse_tunnel_url(user["url"])
    assert isinstance(address, ShadowsocksAddress)
    assert address.method.key_from_text(user["key"]) == address.key
    assert address.identity_keys == (address.method.key_from_text(told["key"]),)
    alone = json.loads(keys("--host", "[2001:db8::1]", "--json").stdout)
    assert alone["users"] == []
    assert alone["url"].endswith("@[2001:db8::1]:8388")


def test_a_qr_code_holds_the_url() -> None:
    result = keys("--host", HOST, "--user", "berlin", "--qr")
    assert result.exit_code == 0
    (url,) = re.findall(r'url = "(ss://[^"]+)"', result.stdout)
    dark = segno.make(url, error="m", micro=False)
    shown = [line for line in result.stdout.splitlines() if "\u2588" in line or "\u2580" in line]
    assert len(shown) == (dark.symbol_size(border=2)[1] + 1) // 2
    rows = [list(row) for row in dark.matrix_iter(border=2)]
    for number, line in enumerate(shown):  # two rows a line, light modules drawn
        pictured = [_halves(cell) for cell in re.sub(r"\x1b\[[0-9;]*m", "", line)]
        assert [top for top, _ in pictured] == [not module for module in rows[2 * number]]


def _halves(cell: str) -> tuple[bool, bool]:
    return cell in "\u2588\u2580", cell in "\u2588\u2584"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--qr",), "needs --host"),
        (("--json", "--qr", "--host", HOST), "--json stands alone"),
        (("--user", "a b"), "no name"),
        (("--user", "../a"), "no name"),
        (("--user", "a", "--user", "a"), "twice"),
        (("--user", "exit", "--output", "x"), "otherwise"),
        (("--host", "a b:1"), "neither an IP address nor a host name"),
        (("--host", "h:x"), "HOST:PORT"),
        (("--host", "h:0"), "port 0"),
        (("--key-file", "x"), "name them with --user"),
        (("--method", "rot13"), "is not one of"),
    ],
)
def test_wrong_use_is_said(arguments: tuple[str, ...], says: str) -> None:
    result = keys(*arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_a_key_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "exit.key").write_text("not base64")
    for where in (("--host", HOST), ()):
        result = keys("--user", "a", *where, "--key-file", tmp_path / "exit.key")
        assert result.exit_code == 2
        assert "must be base64" in result.output
        assert "not base64" not in result.output
    assert keys("--user", "a", "--key-file", tmp_path / "none").exit_code == 1


def test_options_of_the_exit_do_not_get_lost() -> None:
    result = CliRunner().invoke(cli, ["exit", "--listen", "127.0.0.1:1", "keys"])
    assert result.exit_code == 2
    assert "stand behind its name" in result.output


def test_help_teaches() -> None:
    result = CliRunner().invoke(cli, ["exit", "--help"])
    assert "zonegate exit keys --host" in result.output
    assert "keys  Make keys" in result.output
    assert "Examples:" in keys("--help").output
