"""What a setting should be, in words, from its schema."""

from __future__ import annotations

import typing

from msgspec import Struct

from gateway.config.schema import Bounds, Field, Shape


def describe(shape: Shape) -> str:
    """What a value should be, in words: "a whole number from 0 to 256"."""
    bounds = shape.bounds
    if shape.kind is typing.Literal:
        written = [f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in shape.choices]
        return written[0] if len(written) == 1 else f"{', '.join(written[:-1])} or {written[-1]}"
    if shape.kind is tuple:
        assert shape.item is not None
        size = "" if bounds.min_length is None else f" of at least {bounds.min_length}"
        size += "" if bounds.max_length is None else f", at most {bounds.max_length}"
        return f"an array{size}, each {describe(shape.item)}"
    if shape.kind is bool:
        return "true or false"
    if shape.kind in {int, float}:
        return ("a whole number" if shape.kind is int else "a number") + _range(bounds)
    if shape.kind is str:
        if bounds.pattern is not None:
            return f"1 to {bounds.max_length} letters, digits, dots, hyphens and underscores, a letter or digit first"
        return "text in quotes"
    if isinstance(shape.kind, type) and issubclass(shape.kind, Struct):
        return "a table"
    return f"{shape.kind.__name__.lower()} in quotes"


def _range(bounds: Bounds) -> str:
    low = bounds.at_least if bounds.at_least is not None else bounds.above
    more = "above" if bounds.at_least is None else "from"
    if low is not None and bounds.at_most is not None:
        return f" {more} {low} {'up ' if more == 'above' else ''}to {bounds.at_most}"
    if low is not None:
        return f" {more} {low}"
    return "" if bounds.at_most is None else f" up to {bounds.at_most}"


def require(field: Field) -> str:
    """What to say of a key that is missing."""
    meaning = f": {field.description}" if field.description else ""
    return f"{field.name} is required{meaning}"
