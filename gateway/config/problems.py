"""What is wrong in a configuration, said so that it can be mended: file, line, key, what was found, what is right."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from gateway.errors import GatewayError

Key = tuple[str | int, ...]
"""Where a value stands: table and key names, and indexes into arrays, from the root."""

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_USER_PART = re.compile(r"(?<=://).*@", re.DOTALL)
_SHOWN = 80


class Problem(Struct, frozen=True, kw_only=True):
    """One thing to mend.

    `line` counts from 1; None where a problem has no line, such as a file that can't be read.
    """

    file: str
    line: int | None
    key: str
    found: str
    right: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        return f"{place}:{key} found {self.found}; {self.right}"


class ConfigError(GatewayError):
    """The configuration can't be used. `problems` has all that is wrong, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        super().__init__("\n".join(map(str, self.problems)))


def show_key(key: Key) -> str:
    """A key as one would write it: `ingress.listeners[0].address`; names that TOML quotes are quoted."""
    shown = ""
    for part in key:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            name = part if _BARE.match(part) else ascii(cut(part))
            shown += f".{name}" if shown else name
    return shown


def show_value(value: object) -> str:
    """What was found, short enough for a line, on one line, and without the user part of a URL (it may hold a key)."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an empty array" if not value else "an array"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(hide_user(value))
    return "a large number" if isinstance(value, int) and value.bit_length() > 64 else cut(str(value))


def hide_user(text: str) -> str:
    """The text with the user part of every URL in it taken out: a key or a password may stand there."""
    return _USER_PART.sub("…@", text)


def quote(text: str) -> str:
    """The text in double quotes, shortened; what can't be printed is escaped, so that it is inert on a terminal."""
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut(text))
    return f'"{escaped}"'


def cut(text: str, limit: int = _SHOWN) -> str:
    """At most `limit` characters of the text."""
    return text if len(text) <= limit else f"{text[:limit]}…"
