"""The reference of settings, `docs/settings.md`, from the settings classes: `python -m gateway.config.reference`.

A test compares the file with what this makes, so neither can go stale.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator

from msgspec import Struct

from gateway.config.schema import Bounds, Field, Shape, fields
from gateway.config.starter import struct_of, toml
from gateway.settings import GatewaySettings

_HEAD = """\
# Settings

Every setting of `zonegate.toml`. This page is written from the settings classes (`python -m gateway.config.reference`);
`zonegate init` writes the same as a starter file with comments, and `zonegate check` says all that is wrong in a file,
with line, key and remedy.

Times are in seconds. A secret is written as text, as `{ env = "NAME" }`, or as `{ file = "path" }`, relative to the
configuration; a file that others can read is an error.

"""

# What a class is called where a value of it is written, with an example.
_KINDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Address": "address",
    "Endpoint": "address and port",
    "Network": "prefix",
    "PrefixLength": "prefix length and factor",
    "Destination": "prefix and port",
    "KeyPin": "pin",
    "Secret": "secret",
    "QueryType": "type",
    "QueryClass": "class",
    "Opcode": "opcode",
    "Rcode": "response code",
    "OptionCode": "EDNS option",
    "Range": "number or range",
    "DomainName": "name",
    "TimeOfDay": "time",
}


def reference() -> str:
    """The text of the page."""
    return _HEAD + "\n".join(_table(GatewaySettings, ()))


def _table(table: type[Struct], path: tuple[str, ...]) -> Iterator[str]:
    """The rows of the plain keys, then the tables inside."""
    inner: list[tuple[str, type[Struct], bool]] = []
    rows: list[str] = []
    for field in fields(table).values():
        struct, array = struct_of(field.shape)
        if struct is None or struct is table:
            rows.append(f"| `{field.name}` | {_kind(field.shape)} | {_default(field)} | {field.description} |")
        else:
            inner.append((field.name, struct, array))
    if rows:
        yield "| key | value | default | meaning |\n|---|---|---|---|"
        yield from rows
    for name, struct, array in inner:
        here = (*path, name)
        brackets = ("[[", "]]") if array else ("[", "]")
        yield f"\n## `{brackets[0]}{'.'.join(here)}{brackets[1]}`\n"
        meaning = " ".join((struct.__doc__ or "").split()).partition(": ")[2]
        yield f"{meaning[:1].upper()}{meaning[1:]}\n"
        yield from _table(struct, here)
    if not path:
        yield ""


def _kind(shape: Shape) -> str:
    if shape.item is not None:
        return f"{_kind(shape.item)}, or a list of them" if shape.alone else f"list of {_kind(shape.item)}"
    if shape.kind is typing.Literal:
        return " \\| ".join(f"`{choice}`" for choice in shape.choices)
    if issubclass(shape.kind, Struct):
        return "table like this one"
    return _KINDS[shape.kind.__name__] + _range(shape.bounds)


def _range(bounds: Bounds) -> str:
    low = (
        f"{bounds.at_least:,}"
        if bounds.at_least is not None
        else f"over {bounds.above:g}"
        if bounds.above is not None
        else ""
    )
    high = f"{bounds.at_most:,}" if bounds.at_most is not None else ""
    return f", {low} to {high}" if low and high else ""


def _default(field: Field) -> str:
    if field.required:
        return "required"
    return "none" if field.default is None else f"`{toml(field.default)}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
