"""Mistakes in `[[tunnels]]` that only show between the tables: ways through each other, and options without effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load_tree
from tests.gateway.configs import KEY_32

FAR = f"ss://2022-blake3-aes-256-gcm:{KEY_32}@192.0.2.8:8388"
NEAR = "socks5://192.0.2.9:1080"


def faults(*tunnels: dict[str, object], **more: object) -> list[tuple[str, str, str]]:
    exit_ = {"listen": "127.0.0.1:8388", "key": KEY_32, "allow": ["192.0.2.1/32:53"]}
    tree: dict[str, object] = {"version": 1, "exit": exit_, "tunnels": list(tunnels), **more}
    try:
        load_tree(str(Path("page.toml")), tree)
    except ConfigError as error:
        return [(problem.key, problem.found, problem.right) for problem in error.problems]
    return []


def named(name: str, url: str = NEAR, **more: object) -> dict[str, object]:
    return {"name": name, "url": url, **more}


def test_a_chain_of_three_is_right() -> None:
    chain = [named("c", FAR, through="b"), named("a", source=["192.0.2.1", "2001:db8::1"]), named("b", through="a")]
    assert faults(*chain) == []
    assert faults(named("a", source="192.0.2.1", interface="eth1", fwmark=7, fast_open=True, udp=False)) == []


@pytest.mark.parametrize(
    ("tunnels", "key", "found", "right"),
    [
        ([named("a", through="b")], "tunnels[0].through", '"b"', "name one of the [[tunnels]]"),
        ([named("a", through="a")], "tunnels[0].through", "a circle: a through a", "without `through`"),
        (
            [named("a", through="b"), named("b", through="c"), named("c", through="a")],
            "tunnels[0].through",
            "a circle: a through b through c through a",
            "without `through`",
        ),
        (
            [named("x", through="a"), named("a", through="b"), named("b", through="a")],
            "tunnels[1].through",
            "a circle: a through b through a",
            "without `through`",
        ),
        (
            [named("a", "socks5://far.example:1080", through="b"), named("b", "socks5://near.example:1080")],
            "tunnels[0].url",
            "a far end given by name",
            "write its IP address",
        ),
        (
            [named("a", "direct://", through="b"), named("b")],
            "tunnels[0].through",
            "direct:// through a tunnel",
            "leave `through` out",
        ),
        (
            [named("a", through="b"), named("b", "direct://")],
            "tunnels[0].through",
            '"b", which is direct://',
            "leave `through` out",
        ),
        (
            [named("a", through="b", fwmark=7), named("b")],
            "tunnels[0].fwmark",
            "a key that has no effect",
            "the one without `through`",
        ),
        (
            [named("a", source=["192.0.2.1", "192.0.2.2"])],
            "tunnels[0].source",
            "two addresses of one family",
            "one of IPv4",
        ),
        ([named("a", source="here")], "tunnels[0].source", '"here"', "write an IP address"),
    ],
)
def test_a_mistake_is_named_once(tunnels: list[dict[str, object]], key: str, found: str, right: str) -> None:
    ((where, what, remedy),) = faults(*tunnels)
    assert (where, what) == (key, found)
    assert right in remedy


URL = {"url": "https://provider.example/list.json", "address": "203.0.113.9", "tunnels": ["a"]}


@pytest.mark.parametrize(
    ("table", "key", "found"),
    [
        ({"name": "p"}, "tunnel_lists[0]", "no source"),
        ({"name": "p", "file": "x.json", **URL}, "tunnel_lists[0]", "file and url"),
        (
            {"name": "p", "file": "x.json", "address": "203.0.113.9"},
            "tunnel_lists[0].address",
            "a key that has no effect",
        ),
        ({"name": "a", "file": "x.json"}, "tunnel_lists[0].name", '"a"'),
        ({"name": "p", **URL, "tunnels": ["p"]}, "tunnel_lists[0].tunnels[0]", '"p"'),
        ({"name": "p", **URL, "tunnels": []}, "tunnel_lists[0]", "a url without tunnels"),
        ({"name": "p", **URL, "url": "http://x/"}, "tunnel_lists[0].url", "a URL that can't be fetched"),
    ],
)
def test_a_mistake_in_a_list_of_tunnels(table: dict[str, object], key: str, found: str) -> None:
    ((where, what, _),) = faults(named("a"), tunnel_lists=[table])
    assert (where, what) == (key, found)


def test_a_primary_may_name_a_list() -> None:
    primary = {"name": "c", "address": "203.0.113.5:53", "tunnels": ["p", "a"]}
    lists = [{"name": "p", "file": "x.json"}, {"name": "q", **URL}]
    assert faults(named("a"), tunnel_lists=lists, primaries=[primary]) == []
    ((key, _, _),) = faults(named("a"), tunnel_lists=lists, primaries=[{**primary, "tunnels": ["z"]}])
    assert key == "primaries[0].tunnels[0]"
