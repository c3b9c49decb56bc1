"""On which line of the TOML text a key stands.

tomllib gives values without places, so the text is read a second time by tree-sitter, and only when there is something
to report. Only text that tomllib accepted comes here: the grammar need not judge it. The walk keeps its own stack,
because a dotted key may be as deep as the file is long.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator

import tree_sitter
import tree_sitter_toml

from gateway.config.problems import Key

_DEPTH = 16
"""Parts of a key that are noted. No table of the schema lies as deep; a longer key has the line of its beginning."""


class Positions:
    """Lines of the keys and array items of one TOML text."""

    def __init__(self, source: bytes) -> None:
        self._lines: dict[Key, int] = {}
        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
        self._read_document(parser.parse(source).root_node)

    def line(self, key: Key) -> int | None:
        """The line of the key, or of the nearest table around it that stands in the file; None for the root."""
        for length in range(len(key), 0, -1):
            found = self._lines.get(key[:length])
            if found is not None:
                return found
        return None

    def _read_document(self, root: tree_sitter.Node) -> None:
        counts: Counter[Key] = Counter()
        table: Key = ()
        for node in root.named_children:
            if node.type in {"table", "table_array_element"}:
                table = self._open_table(node, counts)
                for child in node.named_children:
                    if child.type == "pair":
                        self._read_value(child, table)
            elif node.type == "pair":
                self._read_value(node, ())

    def _open_table(self, node: tree_sitter.Node, counts: Counter[Key]) -> Key:
        """The key of `[a.b]` or `[[a.b]]`. A name that is an array of tables means its last element, so far."""
        names = _names(node.named_children[0])
        line = node.start_point.row + 1
        key: Key = ()
        for depth, name in enumerate(names[:_DEPTH]):
            key = (*key, name)
            self._lines.setdefault(key, line)
            if node.type == "table_array_element" and depth == len(names) - 1:
                counts[key] += 1
            if counts[key]:
                key = (*key, counts[key] - 1)
                self._lines.setdefault(key, line)
        return key

    def _read_value(self, pair: tree_sitter.Node, table: Key) -> None:
        """Note the pair's key and all that its value holds."""
        todo: list[tuple[tree_sitter.Node, Key]] = [(pair, table)]
        while todo:
            node, key = todo.pop()
            if node.type == "pair":
                for name in _names(node.named_children[0])[:_DEPTH]:
                    key = (*key, name)
                    self._lines.setdefault(key, node.start_point.row + 1)
                todo.append((node.named_children[1], key))
            elif len(key) > _DEPTH:
                continue
            elif node.type == "inline_table":
                todo.extend((child, key) for child in node.named_children if child.type == "pair")
            elif node.type == "array":
                for index, item in enumerate(_items(node)):
                    self._lines[*key, index] = item.start_point.row + 1
                    todo.append((item, (*key, index)))


def _items(array: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    return (child for child in array.named_children if child.type != "comment")


def _names(node: tree_sitter.Node) -> list[str]:
    """The parts of a bare, quoted or dotted key; the grammar nests a dotted key to the left."""
    parts: list[str] = []
    while node.type == "dotted_key":
        parts.append(_name(node.named_children[-1]))
        node = node.named_children[0]
    parts.append(_name(node))
    return parts[::-1]


def _name(node: tree_sitter.Node) -> str:
    text = (node.text or b"").decode()
    if node.type == "bare_key":
        return text
    return next(iter(tomllib.loads(f"{text}=0")))
