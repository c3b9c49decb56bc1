"""What checks between tables look at: every table that could be read, by its key, and the tree as written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.config.problems import Key, quote
from gateway.config.reader import Fault, Table

Tree = Mapping[str, object]
Tables = dict[Key, Table]


def named(tree: Tree, *path: str) -> Iterator[tuple[Key, str]]:
    """Names of an array of tables as written, with the key of each."""
    found: object = tree
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    for index, table in enumerate(found if isinstance(found, list) else []):
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str):
            yield (*path, index, "name"), name


def items(key: Key, table: Table, name: str) -> Iterator[tuple[Key, Any]]:
    """The items of an array that were right, with the key of each."""
    for index, item in enumerate(table.get(name) or ()):
        if item is not None:
            yield (*key, name, index), item


def exists(key: Key, name: str, names: set[str], where: str) -> Iterator[Fault]:
    """A fault unless `name` is one of `names`, which are those of the tables `where`."""
    if name not in names:
        known = f"known names: {', '.join(sorted(names))}" if names else "there is none"
        yield Fault(key, quote(name), f"name one of the {where}; {known}")
