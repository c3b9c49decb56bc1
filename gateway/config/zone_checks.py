"""What `[[zones]]` must hold together with the other tables: names that exist, zones that are served, and senders."""

from __future__ import annotations

from collections.abc import Iterator

import dns.name

from filters.errors import FilterError
from filters.names import zone_wire
from filters.settings import FilterSettings
from gateway.config.problems import Key, quote, show_key
from gateway.config.reader import Fault, Table
from gateway.config.tables import Tables, Tree, exists, items, named
from proxy.ingress.pools import DEFAULT
from proxy.settings import Backend, Primary, Zone, ZoneNotify


def zone_faults(tables: Tables, tree: Tree) -> Iterator[Fault]:
    """All of them."""
    zones = {key: table for key, table in tables.items() if table.kind is Zone}
    if zones and "ingress" not in tree:
        yield Fault(
            ("zones",), "zones without [ingress]", "configure [ingress]: NOTIFY comes in there, for its backends"
        )
    yield from _names(zones, tables, tree)
    yield from _references(tables, tree)
    for key, table in zones.items():
        yield from _senders(key, table, tables, tree)


def _names(zones: Tables, tables: Tables, tree: Tree) -> Iterator[Fault]:
    served = _served(tables, tree)
    first: dict[dns.name.Name, Key] = {}
    for key, table in zones.items():
        if table.get("name") is None:
            continue
        place = (*key, "name")
        try:
            zone_wire(table.get("name"))
        except FilterError as error:
            yield Fault(place, quote(table.get("name")), str(error))
            continue
        name = dns.name.from_text(table.get("name"))
        if name in first:
            yield Fault(
                place, quote(table.get("name")), f"a zone is named once, and {show_key(first[name])} has this one"
            )
        first.setdefault(name, place)
        if served is not None and not _lies_in(name, served):
            right = "add it to filters.zones: what is for other names is refused before it is looked at"
            yield Fault(place, f"{quote(table.get('name'))}, which is not served", right)


def _lies_in(name: dns.name.Name, served: set[dns.name.Name]) -> bool:
    return any(name.split(count)[1] in served for count in range(len(name.labels) + 1))


def _served(tables: Tables, tree: Tree) -> set[dns.name.Name] | None:
    """The zones that are served; None: all, or nobody can tell."""
    filters = tree.get("filters")
    table = tables.get(("filters",))
    if not isinstance(filters, dict) or "zones" not in filters or table is None or table.kind is not FilterSettings:
        return None
    written = [zone for zone in table.get("zones") or () if zone is not None]
    if "*" in written:
        return None
    try:
        return {dns.name.from_text(zone) for zone in written if zone_wire(zone)}
    except FilterError:  # told where the filters are checked
        return None


def _references(tables: Tables, tree: Tree) -> Iterator[Fault]:
    primaries = {name for _, name in named(tree, "primaries")}
    keys = {name for _, name in named(tree, "tsig_keys")}
    backends = {name for _, name in named(tree, "ingress", "backends")}
    pools = {DEFAULT}
    for table in tables.values():
        if table.kind is Backend:
            pools |= set(table.get("pools") or ())
    for key, table in tables.items():
        if table.kind is Zone:
            for item, name in items(key, table, "primaries"):
                yield from exists(item, name, primaries, "[[primaries]]")
        elif table.kind is ZoneNotify:
            for item, name in items(key, table, "keys"):
                yield from exists(item, name, keys, "[[tsig_keys]]")
            for item, name in items(key, table, "backends"):
                yield from exists(item, name, backends, "[[ingress.backends]]")
            for item, name in items(key, table, "pools"):
                yield from exists(item, name, pools, "pools of [[ingress.backends]]")


def _senders(key: Key, table: Table, tables: Tables, tree: Tree) -> Iterator[Fault]:
    """A zone that takes NOTIFY from nobody is surely not meant."""
    notify = tables.get((*key, "notify"))
    if notify is not None and not {"from", "keys"} <= notify.values.keys():
        return  # what is wrong is told already
    senders = notify.get("from") if notify is not None else None
    keys = notify.get("keys") if notify is not None else None
    primaries = [name for _, name in items(key, table, "primaries")]
    if senders or keys or (senders is None and primaries):
        return
    # With `from = []` it has to be a key, of the zone or of its primaries.
    if keys is None and any(
        each.kind is Primary and each.get("name") in primaries and each.get("tsig_key") is not None
        for each in tables.values()
    ):
        return
    right = "name its primaries, or notify.from or notify.keys"
    yield Fault((*key, "name"), f"{quote(str(table.get('name')))}, which takes NOTIFY from nobody", right)
