"""Every TOML example on every page is a configuration, once what it takes for granted is there."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from gateway.config import load_tree
from tests.docs.pages import PAGES, ROOT
from tests.gateway.configs import COOKIE_KEY

EXAMPLES = [
    pytest.param(dedent(text), id=f"{file.relative_to(ROOT)}-{number}")
    for file in PAGES
    for number, text in enumerate(re.findall(r"(?ms)^ *```toml\n(.*?)^ *```$", file.read_text()))
]


def completed(example: str) -> dict[str, Any]:
    """The example with what other sections of the same file would hold: doors, and whatever it names."""
    tree: dict[str, Any] = {"version": 1, **tomllib.loads(example)}
    filters = tree.get("filters", {})
    if (
        not {"forwarders", "socks_doors", "transparent_doors", "exit"} & tree.keys()
        or "filters" in tree
        or "ingress" in tree
    ):
        ingress = tree.setdefault("ingress", {})
        ingress.setdefault("listeners", [{"address": "127.0.0.1:5300"}])
        backends = ingress.setdefault("backends", [{"name": "node", "address": "127.0.0.1:5353"}])
        pools = sorted({rule["pool"] for rule in filters.get("rules", []) if "pool" in rule})
        backends += [{"name": pool, "address": "127.0.0.1:5354", "pools": [pool]} for pool in pools]
    lists = filters.get("lists", [])
    primaries = tree.setdefault("primaries", [])
    named = {table["primary"] for table in [*lists, *tree.get("forwarders", [])] if "primary" in table}
    named |= {name for door in tree.get("socks_doors", []) for name in door["primaries"]}
    named -= {primary["name"] for primary in primaries}
    primaries += [
        {"name": name, "address": f"203.0.113.{number}:53", "tunnels": ["fra"]}
        for number, name in enumerate(sorted(named), 5)
    ]
    tunnels = tree.setdefault("tunnels", [])
    used = {name for table in [*primaries, *lists] for name in table.get("tunnels", [])}
    used |= {name for table in tree.get("tunnel_lists", []) for name in table.get("tunnels", [])}
    used -= {table["name"] for table in tree.get("tunnel_lists", [])}
    used |= {table["through"] for table in tunnels if "through" in table}
    used -= {tunnel["name"] for tunnel in tunnels}
    tunnels += [{"name": name, "url": "socks5://192.0.2.9:1080"} for name in sorted(used)]
    return {key: with_secrets(value, key) for key, value in tree.items()}


def with_secrets(tree: Any, name: str = "") -> Any:
    """The tree with each secret in the place of the file or variable that would hold it."""
    if isinstance(tree, list):
        return [with_secrets(item, name) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.keys() in ({"file"}, {"env"}):
        key = base64.b64encode(hashlib.sha256(repr(tree).encode()).digest()).decode()  # another for each file
        return {"url": "socks5://192.0.2.9:1080", "key": key}.get(name, COOKIE_KEY)
    return {key: with_secrets(value, key) for key, value in tree.items()}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_good_configuration(example: str) -> None:
    settings = load_tree(str(Path("page.toml")), completed(example))
    assert settings.version == 1


def test_the_pages_have_examples() -> None:
    pages = {str(param.id).rpartition("-")[0] for param in EXAMPLES}
    wanted = {"blocks", "cookies", "exits", "limits", "lists", "overload", "proxy-protocol", "rules"}
    assert {f"docs/{name}.md" for name in wanted} <= pages
