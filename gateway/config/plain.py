"""Settings as a plain tree and back: how they travel from the supervisor to its processes.

The tree is what TOML would give for the same settings, so the reader of the configuration reads it too.
"""

from __future__ import annotations

import typing

from msgspec import Struct

from gateway.config.reader import Reader
from gateway.config.schema import fields
from proxy.values import Secret

S = typing.TypeVar("S", bound=Struct)


def read_plain(kind: type[S], tree: object) -> S:
    """Read a tree that `to_plain` made.

    Raises:
        ValueError: it is not what the class describes; the text has the first fault.
    """
    reader = Reader()
    settings = reader.table(kind, tree)
    if settings is None:
        fault = reader.faults[0]
        raise ValueError(f"{fault.key}: {fault.found}; {fault.right}")
    return settings


def to_plain(value: object) -> object:
    """Settings as the tree that `read_plain` reads.

    Secrets stand in it as they are: it goes to inherited sockets, and nowhere else.
    """
    if isinstance(value, Struct):
        found = {name: getattr(value, field.attribute) for name, field in fields(type(value)).items()}
        return {name: to_plain(item) for name, item in found.items() if item is not None}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Secret):
        return value.reveal()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)
