"""From the settings of lists to what the data plane takes: how a source is read, and the rows of a policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from dataplane import List
from filters.names import zone_wire
from filters.settings.lists import FilterList

if TYPE_CHECKING:
    from dataplane._native import ListReading

LIST_CELLS = 64
"""Counters of hits that the shared memory has (engine: MAX_LISTS)."""

Row = tuple[List | None, str, int]


def list_rows(settings: Sequence[FilterList], opened: Mapping[str, List], cells: Mapping[str, int]) -> list[Row]:
    """A row for each list, in their order. One that is not `opened` holds nothing."""
    return [
        (opened.get(each.name), each.action or "given", cells.get(each.name, index))
        for index, each in enumerate(settings)
    ]


def reading(settings: FilterList) -> ListReading:
    """How the source of a list is read.

    Raises:
        FilterError: `zone` is not a domain name.
    """
    return {
        "format": "transfer" if settings.primary is not None else settings.format,
        "kind": settings.kind or "either",
        "column": (settings.column or 1) - 1,
        "zone": zone_wire(settings.zone) if settings.zone is not None else None,
        "subdomains": settings.subdomains,
        "strict": settings.garbage == "refuse",
        "most": settings.max_entries,
    }


def stamp(settings: FilterList, version: tuple[int, ...]) -> int:
    """A number of 128 bits that tells whether a list was built from this version of its source in this way."""
    how = msgspec.msgpack.encode((1, version, sorted(reading(settings).items())))
    return int.from_bytes(hashlib.blake2b(how, digest_size=16).digest())
