"""Mistakes in `[[socks_doors]]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load_tree

DOOR: dict[str, object] = {"listen": "127.0.0.1:1080", "primaries": ["a"]}
USER = {"name": "node", "password": "x"}
LONG = {**USER, "password": "x" * 256}


def faults(**more: object) -> list[tuple[str, str]]:
    places = (("a", "203.0.113.5:53"), ("b", "203.0.113.5:53"), ("c", "203.0.113.6:53"))
    tree: dict[str, object] = {
        "version": 1,
        "tunnels": [{"name": "t", "url": "direct://"}],
        "primaries": [{"name": name, "address": address, "tunnels": ["t"]} for name, address in places],
        "socks_doors": [{**DOOR, **more}],
    }
    try:
        load_tree(str(Path("page.toml")), tree)
    except ConfigError as error:
        return [(problem.key, problem.found) for problem in error.problems]
    return []


def test_a_door_alone_is_a_configuration() -> None:
    assert faults(users=[USER], primaries=["a", "c"], zones=["example.com"]) == []


@pytest.mark.parametrize(
    ("more", "key", "found"),
    [
        ({"primaries": ["z"]}, "socks_doors[0].primaries[0]", '"z"'),
        ({"primaries": ["a", "b"]}, "socks_doors[0].primaries[1]", '"b"'),
        ({"primaries": []}, "socks_doors[0].primaries", "0 items"),
        ({"users": [USER, USER]}, "socks_doors[0].users[1].name", '"node"'),
        ({"users": [LONG]}, "socks_doors[0].users[0].password", "a password that SOCKS5 can't carry"),
        ({"zones": ["a..b"]}, "socks_doors[0].zones[0]", '"a..b"'),
        ({"listen": "127.0.0.1:0"}, "socks_doors[0].listen", '"127.0.0.1:0"'),
    ],
)
def test_a_mistake_is_named(more: dict[str, object], key: str, found: str) -> None:
    assert faults(**more) == [(key, found)]
