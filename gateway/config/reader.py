"""Read a plain tree (what TOML gives) into frozen settings, by the schema of their classes.

The reader doesn't stop at the first fault: it notes each with its key and goes on, so that one run shows all. A table
with a fault becomes None, and faults inside it aren't reported a second time for the table around it.
"""

from __future__ import annotations

import difflib
import math
import re
import typing
from collections.abc import Callable, Iterable

from msgspec import Struct

from gateway.config.problems import Key, cut, hide_user, show_value
from gateway.config.schema import Bounds, Shape, fields
from gateway.config.wording import describe, require
from proxy.values import Secret

S = typing.TypeVar("S", bound=Struct)

_LONG_WORD = 20
_DEEPEST = 32
"""Keys and places in arrays that lead to a table; only the conditions of rules contain themselves."""


class Fault(Struct, frozen=True):
    """What is wrong at a key; `gateway.config` adds the file and the line."""

    key: Key
    found: str
    right: str


class Table(Struct, frozen=True):
    """What could be read of one table: `values` has its keys with their defaults, without those that were wrong.

    In an array, None stands for an item that was wrong.
    """

    kind: type[Struct]
    values: dict[str, typing.Any]

    def get(self, name: str) -> typing.Any:
        """The value of a key; None when it was wrong."""
        return self.values.get(name)


class WrongValueError(ValueError):
    """A value is not what it should be; the text says what would be."""


def read_literal(value: object) -> Secret:
    """A secret that stands in the tree itself.

    Raises:
        WrongValueError: not text, or empty.
    """
    if not isinstance(value, str):
        raise WrongValueError("write text in quotes")
    if not value:
        raise WrongValueError("a secret can't be empty")
    return Secret(value)


class Reader:
    """One pass over a tree. `faults` has all that was wrong, `tables` what could be read of each table, by its key.

    `secrets` says how a secret is written.
    """

    def __init__(self, secrets: Callable[[object], Secret] = read_literal) -> None:
        self.faults: list[Fault] = []
        self.tables: dict[Key, Table] = {}
        self._secrets = secrets

    def table(self, kind: type[S], tree: object, key: Key = ()) -> S | None:
        """Read one table; None when something in it is wrong."""
        if len(key) > _DEEPEST:
            self._fault(key, "tables nested too deep", f"write less than {_DEEPEST} keys within each other")
            return None
        if not isinstance(tree, dict):
            self._fault(key, show_value(tree), f"write a table with the keys {', '.join(fields(kind))}")
            return None
        before = len(self.faults)
        known = fields(kind)
        self._unknown(tree, known, key)
        values = {}
        for name, field in known.items():
            if name in tree:
                values[name] = self._value(field.shape, tree[name], (*key, name))
            elif field.required:
                self._fault((*key, name), "nothing", require(field))
            else:
                values[name] = field.default
        self.tables[key] = Table(kind, {name: value for name, value in values.items() if value is not None})
        if len(self.faults) > before:
            return None
        return kind(**{known[name].attribute: value for name, value in values.items()})

    def _fault(self, key: Key, found: str, right: str) -> None:
        self.faults.append(Fault(key, found, right))

    def _unknown(self, tree: dict[str, object], known: Iterable[str], key: Key) -> None:
        names = list(known)
        for name in tree:
            if name not in names:
                close = difflib.get_close_matches(cut(name), names, n=1)
                right = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(names)}"
                self._fault((*key, name), "an unknown key", right)

    def _value(self, shape: Shape, value: object, key: Key) -> object:
        if shape.kind is tuple:
            return self._array(shape, value, key)
        if isinstance(shape.kind, type) and issubclass(shape.kind, Struct):
            return self.table(shape.kind, value, key)
        try:
            return self._secrets(value) if shape.kind is Secret else read_scalar(shape, value)
        except WrongValueError as error:
            self._fault(key, _found(shape, value), str(error))
            return None

    def _array(self, shape: Shape, value: object, key: Key) -> object:
        assert shape.item is not None
        if shape.alone and not isinstance(value, list):
            return self._value(shape.item, value, key)
        if not isinstance(value, list):
            self._fault(key, show_value(value), f"write {describe(shape)}")
            return None
        low, high = shape.bounds.min_length, shape.bounds.max_length
        if (low is not None and len(value) < low) or (high is not None and len(value) > high):
            self._fault(key, f"{len(value)} items", f"write {describe(shape)}")
        return tuple(self._value(shape.item, item, (*key, index)) for index, item in enumerate(value))


def read_scalar(shape: Shape, value: object) -> object:
    """Read one value that is neither a table, an array nor a secret.

    Raises:
        WrongValueError: with what would be right.
    """
    right = f"write {describe(shape)}"
    if shape.kind is typing.Literal:
        if not any(type(choice) is type(value) and choice == value for choice in shape.choices):
            close = difflib.get_close_matches(cut(str(value)), [str(choice) for choice in shape.choices], n=1)
            raise WrongValueError(f'{right}; did you mean "{close[0]}"?' if close else right)
        return value
    if shape.kind is float and type(value) is int:
        value = float(value) if value.bit_length() < 64 else math.inf
    if hasattr(shape.kind, "parse"):
        if type(value) is int and getattr(shape.kind, "takes_numbers", False):
            value = str(value) if value.bit_length() < 64 else ""
        if not isinstance(value, str):
            raise WrongValueError("write text in quotes")
        try:
            return shape.kind.parse(value)
        except ValueError as error:
            raise WrongValueError(cut(hide_user(str(error)), 200)) from None
    if isinstance(value, str) and "\0" in value:
        raise WrongValueError("write text without NUL, which no name and no path has")
    if type(value) is not shape.kind or not _within(shape.bounds, value):
        raise WrongValueError(right)
    return value


def _within(bounds: Bounds, value: typing.Any) -> bool:
    if isinstance(value, str):
        return (
            (bounds.min_length is None or len(value) >= bounds.min_length)
            and (bounds.max_length is None or len(value) <= bounds.max_length)
            and (bounds.pattern is None or re.search(bounds.pattern, value) is not None)
        )
    if isinstance(value, bool):
        return True
    return (
        math.isfinite(value)
        and (bounds.at_least is None or value >= bounds.at_least)
        and (bounds.at_most is None or value <= bounds.at_most)
        and (bounds.above is None or value > bounds.above)
        and (bounds.below is None or value < bounds.below)
    )


def _found(shape: Shape, value: object) -> str:
    """What was found. Where a secret belongs never the value; where a word belongs, no long text.

    A key that slipped under the wrong header, such as exit.key into a rate limit, would be shown otherwise.
    """
    if shape.kind is Secret:
        return _kind(value)
    if shape.kind is typing.Literal and isinstance(value, str) and len(value) > _LONG_WORD:
        return f"text of {len(value)} characters"
    return show_value(value)


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "text" if value else "empty text"
    return show_value(value) if isinstance(value, dict | list) else f"a {type(value).__name__}"
