"""`[exit]` and its users in a configuration: every mistake with its key, what was found, and what would be right."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.config import ConfigError, load_tree

AES, CHACHA = "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305"


def fresh(size: int = 32) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode()


ONE, TWO, SAME = fresh(), fresh(), fresh()


def tree(method: str = AES, key: str | None = None, **users: dict[str, object]) -> dict[str, object]:
    table: dict[str, object] = {"listen": "127.0.0.1:8388", "method": method, "allow": ["203.0.113.0/24:53"]}
    if key is not None:
        table["key"] = key
    if users:
        table["users"] = [{"name": name, "key": fresh(), **fields} for name, fields in users.items()]
    return {"version": 1, "exit": table}


GOOD = {
    "one client": tree(key=ONE),
    "one client with a password": tree(method="aes-128-gcm", key="a password"),
    "one named user": tree(method=CHACHA, a={}),
    "one named user behind an identity key": tree(key=ONE, a={}),
    "two users": tree(key=ONE, a={"bytes_per_second": 10_000}, b={"allow": ["203.0.113.5/32:53"]}),
}
BAD = {
    "no key": (tree(), "exit.key", "nothing", "the key of the one client, or [[exit.users]]"),
    "no identity key": (tree(a={}, b={}), "exit.key", "nothing", "zonegate exit keys makes all keys"),
    "users of a method without identity": (
        tree(method=CHACHA, key=ONE, a={}, b={}),
        "exit.users",
        "2 users",
        "leave one user, or take a method that can: 2022-blake3-aes-128-gcm, 2022-blake3-aes-256-gcm",
    ),
    "an identity key of a method without": (tree(method=CHACHA, key=ONE, a={}), "exit.key", "identity", "leave it out"),
    "a short key": (tree(key=ONE, a={"key": fresh(16)}), "exit.users[0].key", "fit", "must have 32 bytes"),
    "a short identity key": (tree(key=fresh(16), a={}), "exit.key", "fit", "must have 32 bytes"),
    "a key twice": (
        tree(key=ONE, a={"key": SAME}, b={"key": SAME}),
        "exit.users[1].key",
        "used twice",
        "user a has the same",
    ),
    "a user with the identity key": (tree(key=ONE, a={"key": ONE}), "exit.users[0].key", "twice", "exit.key has the"),
    "a target outside": (
        tree(key=ONE, a={"allow": ["203.0.113.5/32:853"]}),
        "exit.users[0].allow[0]",
        "203.0.113.5/32:853",
        "a part of what exit.allow names",
    ),
    "a rate of nothing": (
        tree(key=ONE, a={"bytes_per_second": 0}),
        "exit.users[0].bytes_per_second",
        "0",
        "from 1024",
    ),
    "a relay without an identity key": (
        tree(a={"relay": "198.51.100.7:8388"}),
        "exit.users[0].relay",
        "without an identity key",
        "as exit.key",
    ),
    "targets of a relay": (
        tree(key=ONE, a={"relay": "198.51.100.7:8388", "allow": ["203.0.113.5/32:53"]}),
        "exit.users[0].allow",
        "targets of a relay",
        "the exit behind it opens targets",
    ),
    "a name that is none": (tree(key=ONE, a={"name": "a b"}), "exit.users[0].name", "a b", "letters, digits"),
}


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD.keys())
def test_what_fits_is_taken(good: dict[str, object]) -> None:
    assert load_tree(str(Path("zonegate.toml")), good).exit is not None


@pytest.mark.parametrize(("bad", "key", "found", "right"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_with_its_remedy(bad: dict[str, object], key: str, found: str, right: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_tree("zonegate.toml", bad)
    (problem,) = raised.value.problems
    assert problem.key == key
    assert found in problem.found
    assert right in problem.right
    assert not any(secret in str(raised.value) for secret in (ONE, TWO, SAME))


def test_names_are_unique() -> None:
    bad = tree(key=ONE, a={}, b={"name": "a"})
    with pytest.raises(ConfigError) as raised:
        load_tree("zonegate.toml", bad)
    (problem,) = raised.value.problems
    assert problem.key == "exit.users[1].name"
    assert "exit.users[0].name has this one" in problem.right


def test_every_mistake_is_told_at_once() -> None:
    bad = tree(key="x", a={"key": "y", "allow": ["192.0.2.0/24:53"]}, b={"connections": 0})
    with pytest.raises(ConfigError) as raised:
        load_tree("zonegate.toml", bad)
    keys = {problem.key for problem in raised.value.problems}
    assert keys == {"exit.key", "exit.users[0].key", "exit.users[0].allow[0]", "exit.users[1].connections"}


def test_the_check_names_the_users(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(
        f'version = 1\n[exit]\nlisten = "127.0.0.1:8388"\nkey = "{ONE}"\nallow = ["203.0.113.0/24:53"]\n'
        f'[[exit.users]]\nname = "berlin"\nkey = "{TWO}"\n[[exit.users]]\nname = "oslo"\nkey = "{SAME}"\n'
    )
    file.chmod(0o600)
    result = CliRunner().invoke(cli, ["check", str(file)])
    assert "opens 203.0.113.0/24:53, users berlin, oslo" in result.output
    assert not any(secret in result.output for secret in (ONE, TWO, SAME))
