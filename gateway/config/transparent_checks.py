"""What `[[transparent_doors]]` must hold together: primaries that can be told apart by their addresses, and addresses
that UDP answers can leave from."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.list_checks import written
from gateway.config.problems import quote
from gateway.config.reader import Fault
from gateway.config.tables import Tables, Tree, exists, items, named
from proxy.settings import Exit, Forwarder, Listener, Primary, TransparentDoor
from proxy.settings.primaries import asked_at
from proxy.values import Endpoint

_OPENED = {Listener: "address", Forwarder: "listen", TransparentDoor: "listen", Exit: "listen"}
"""Tables that open a UDP port. Only a listener's wildcard leaves room beside it, as its workers share the port."""


def transparent_faults(tables: Tables, tree: Tree) -> Iterator[Fault]:
    """All of them."""
    names = {name for _, name in named(tree, "primaries")}
    used: set[Endpoint] = set()
    for key, table in tables.items():
        if table.kind is not TransparentDoor:
            continue
        seen: set[str] = set()
        for item, name in items(key, table, "primaries"):
            yield from exists(item, name, names, "[[primaries]]")
            if name in seen:
                yield Fault(item, quote(name), "a primary is named once")
            seen.add(name)
        if not names and not seen:
            yield Fault(key, "no [[primaries]]", "configure those whose addresses the nodes have")
        chosen = _chosen(tables, tree, seen)
        used |= chosen.keys()
        for place, primaries in chosen.items():
            if len(primaries) > 1:
                right = f'nodes that ask "{place}" could mean {" or ".join(primaries)}: name one of them here'
                yield Fault((*key, "primaries"), "primaries that can't be told apart", right)
    yield from _taken(tables, used)


def _chosen(tables: Tables, tree: Tree, wanted: set[str]) -> dict[Endpoint, list[str]]:
    """The primaries of a door, by where nodes ask them."""
    found: dict[Endpoint, list[str]] = {}
    for key, table in tables.items():
        address, name = table.get("address"), table.get("name")
        if table.kind is Primary and address is not None and name is not None and (not wanted or name in wanted):
            found.setdefault(asked_at(address, tls="tls" in written(tree, key)), []).append(name)
    return found


def _taken(tables: Tables, used: set[Endpoint]) -> Iterator[Fault]:
    """UDP answers leave from sockets that are bound to these addresses, so no other door can have them."""
    for key, table in tables.items():
        name = _OPENED.get(table.kind)
        place = table.get(name) if name is not None else None
        if name is None or place is None:
            continue
        for other in sorted(used, key=str):
            if other == place or (table.kind is not Listener and _covers(place, other)):
                right = f"answers of a transparent door leave from {other}: choose another address or port"
                yield Fault((*key, name), f'"{place}"', right)


def _covers(place: Endpoint, other: Endpoint) -> bool:
    """Whether a wildcard takes this address too."""
    return (
        place.address.is_unspecified
        and place.port == other.port
        and (place.address.version == 6 or other.address.version == 4)
    )
