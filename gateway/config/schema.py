"""The settings classes read as a schema: for each field its plain type, bounds, description and default.

Annotations are flattened: `Annotated[Annotated[str, A], B]` has the bounds of A and B, and `Annotated[T | None, A]`
bounds T.
"""

from __future__ import annotations

import types
import typing
from functools import cache

import msgspec
from msgspec import Meta, Struct


class Bounds(Struct, frozen=True, kw_only=True):
    """What a value must keep to. For text and arrays the lengths count, for numbers the others."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None


class Shape(Struct, frozen=True, kw_only=True):
    """The type of a value: `kind` is a class, `typing.Literal` with `choices`, or `tuple` with `item`.

    `alone`: one item may stand for the array of it (`T | tuple[T, ...]`).
    """

    kind: typing.Any
    bounds: Bounds = Bounds()
    optional: bool = False
    choices: tuple[typing.Any, ...] = ()
    item: Shape | None = None
    alone: bool = False


class Field(Struct, frozen=True, kw_only=True):
    """One key of a table. `attribute` is what the class calls it, where Python keeps the word for itself."""

    name: str
    attribute: str
    shape: Shape
    description: str
    required: bool
    default: typing.Any


@cache
def fields(table: type[Struct]) -> dict[str, Field]:
    """The keys of a table, in the order of the class."""
    hints = typing.get_type_hints(table, include_extras=True)
    return {field.encode_name: _field(field, hints[field.name]) for field in msgspec.structs.fields(table)}


def _field(field: msgspec.structs.FieldInfo, hint: typing.Any) -> Field:
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    _, metas = _flatten(hint)
    return Field(
        name=field.encode_name,
        attribute=field.name,
        shape=shape(hint),
        description=next((meta.description for meta in reversed(metas) if meta.description), ""),
        required=field.required,
        default=default,
    )


def shape(hint: typing.Any) -> Shape:
    """The shape of a type annotation."""
    kind, metas = _flatten(hint)
    optional = False
    if typing.get_origin(kind) in {types.UnionType, typing.Union}:
        plain = [arm for arm in typing.get_args(kind) if arm is not types.NoneType]
        if len(plain) == 2 and typing.get_origin(plain[1]) is tuple and typing.get_args(plain[1]) == (plain[0], ...):
            return Shape(
                kind=tuple,
                item=shape(plain[0]),
                optional=len(typing.get_args(kind)) > 2,
                bounds=_bounds(metas),
                alone=True,
            )
        if len(plain) != 1:
            raise TypeError(f"{hint} is a choice of types; a key of the configuration has one")
        optional = True
        kind, inner = _flatten(plain[0])
        metas = [*inner, *metas]
    bounds = _bounds(metas)
    if typing.get_origin(kind) is typing.Literal:
        return Shape(kind=typing.Literal, choices=typing.get_args(kind), optional=optional, bounds=bounds)
    if typing.get_origin(kind) is tuple:
        item, _ = typing.get_args(kind)
        return Shape(kind=tuple, item=shape(item), optional=optional, bounds=bounds)
    return Shape(kind=kind, optional=optional, bounds=bounds)


def _flatten(hint: typing.Any) -> tuple[typing.Any, list[Meta]]:
    if typing.get_origin(hint) is not typing.Annotated:
        return hint, []
    kind, *extras = typing.get_args(hint)
    return kind, [extra for extra in extras if isinstance(extra, Meta)]


def _bounds(metas: list[Meta]) -> Bounds:
    given: dict[str, typing.Any] = {}
    names = {"ge": "at_least", "le": "at_most", "gt": "above", "lt": "below"}
    for meta in metas:
        for source in ("ge", "le", "gt", "lt", "min_length", "max_length", "pattern"):
            value = getattr(meta, source)
            if value is not None:
                given[names.get(source, source)] = value
    return Bounds(**given)
