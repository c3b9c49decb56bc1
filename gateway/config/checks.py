"""What one table can't know of itself: names that must be unique or exist, addresses that clash, keys that must fit.

The checks run over all that could be read, so that one fault doesn't hide another. Names are taken from the tree as
written: a tunnel with a wrong URL still exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from filters.cookies import secret_bytes
from filters.errors import FilterError
from filters.names import zone_wire
from filters.settings import Cookies, FilterSettings, RateLimit
from gateway.config.addresses import clashes, doors
from gateway.config.egress_checks import egress_faults
from gateway.config.list_checks import list_faults, written
from gateway.config.problems import Key, quote, show_key
from gateway.config.proxy_checks import proxy_checks
from gateway.config.reader import Fault, Table
from gateway.config.tables import Tables, Tree, items, named
from gateway.config.zone_checks import zone_faults
from gateway.settings import AdminSettings
from proxy.ingress.pools import DEFAULT, MOST_POOLS
from proxy.settings import Backend, Exit, Forwarder, Health, Listener, SocksDoor, TransparentDoor
from proxy.values import Endpoint

_TOKEN = re.compile(r"[!-~]{1,1024}")


def cross_check(tables: Tables, tree: Tree) -> Iterator[Fault]:
    """All faults between the tables."""
    if ("admin",) not in tables:
        tables = {**tables, ("admin",): Table(AdminSettings, msgspec.structs.asdict(AdminSettings()))}
    yield from _roles(tree)
    yield from _unique(tree)
    yield from egress_faults(tables, tree)
    yield from _ports(tables)
    yield from clashes(doors(tables))
    yield from _loops(tables)
    yield from _pools(tables)
    yield from proxy_checks(tables)
    yield from _zones(tables)
    yield from zone_faults(tables, tree)
    yield from list_faults(tables, tree)
    yield from _prefixes(tables, tree)
    yield from _cookies(tables, tree)
    yield from _admin(tables, tree)


def _roles(tree: Tree) -> Iterator[Fault]:
    if not {"ingress", "forwarders", "socks_doors", "transparent_doors", "exit"} & tree.keys():
        yield Fault(
            (),
            "nothing to run",
            "configure [ingress], [[forwarders]], [[socks_doors]], [[transparent_doors]] or [exit]",
        )


def _unique(tree: Tree) -> Iterator[Fault]:
    for path in (
        ("tunnels",),
        ("tunnel_lists",),
        ("tsig_keys",),
        ("primaries",),
        ("exit", "users"),
        ("ingress", "backends"),
        ("filters", "rate_limits"),
        ("filters", "lists"),
    ):
        first: dict[str, Key] = {}
        for key, name in named(tree, *path):
            if name in first:
                yield Fault(key, quote(name), f"names are unique, and {show_key(first[name])} has this one")
            first.setdefault(name, key)


def _pools(tables: Tables) -> Iterator[Fault]:
    backends = {key: table for key, table in tables.items() if table.kind is Backend and table.get("pools") is not None}
    named = {name for table in backends.values() for name in table.get("pools")} - {DEFAULT}
    if len(named) > MOST_POOLS:
        yield Fault(("ingress", "backends"), f"{len(named)} pools", f"name at most {MOST_POOLS}")
    if backends and not any(not table.get("pools") or DEFAULT in table.get("pools") for table in backends.values()):
        right = f'leave pools out of a backend, or add "{DEFAULT}": queries that no rule routes go there'
        yield Fault((*min(backends), "pools"), "no backend in the default pool", right)


def _prefixes(tables: Tables, tree: Tree) -> Iterator[Fault]:
    """A limit that doesn't look at the client has no prefix lengths: written even so, it is not the limit meant."""
    for key, table in tables.items():
        if table.kind is not RateLimit or table.get("key") is None:
            continue
        parts = table.get("key")
        if "client-prefix" in (parts if isinstance(parts, tuple) else (parts,)):
            continue
        for name in sorted({"prefix_v4", "prefix_v6", "prefixes_v4", "prefixes_v6", "scale"} & written(tree, key)):
            right = 'add "client-prefix" to the key of the limit, or leave it out'
            yield Fault((*key, name), "a prefix that has no effect", right)


def _ports(tables: Tables) -> Iterator[Fault]:
    """Port 0 is no address: as a door it would be another at each start, and nothing can be sent to it. Nor is one that
    holds only on an interface."""
    for key, table in tables.items():
        places = [((*key, name), value) for name, value in table.values.items() if isinstance(value, Endpoint)]
        if table.kind is Exit:
            places += items(key, table, "allow")
        for place, value in places:
            if value.port == 0:
                yield Fault(place, f'"{value}"', "write a port from 1 to 65535")
            # The data plane knows of no interfaces.
            if table.kind in {Listener, Backend} and "%" in str(value):
                yield Fault(place, f'"{value}"', "write an address that needs no interface, not a link-local one")


def _loops(tables: Tables) -> Iterator[Fault]:
    listeners = {table.get("address"): key for key, table in tables.items() if table.kind is Listener}
    for key, table in tables.items():
        address = table.get("address")
        if table.kind is Backend and address is not None and address in listeners:
            right = f"queries would go round: it is {show_key(listeners[address])}; write the node's own address"
            yield Fault((*key, "address"), f'"{address}"', right)


def _zones(tables: Tables) -> Iterator[Fault]:
    for key, table in tables.items():
        named: list[tuple[Key, str]] = []
        if table.kind in {FilterSettings, Forwarder, SocksDoor, TransparentDoor}:
            named += items(key, table, "zones")
        elif table.kind is Health and table.get("zone") is not None:
            named.append(((*key, "zone"), table.get("zone")))
        for place, zone in named:
            if zone == "*" and table.kind is FilterSettings:
                continue
            try:
                zone_wire(zone)
            except FilterError as error:
                yield Fault(place, quote(zone), str(error))


def _cookies(tables: Tables, tree: Tree) -> Iterator[Fault]:
    for key, table in tables.items():
        if table.kind is not Cookies:
            continue
        places = list(items(key, table, "accepted_secrets"))
        if table.get("secret") is not None:
            places.insert(0, ((*key, "secret"), table.get("secret")))
        for place, secret in places:
            try:
                secret_bytes(secret)
            except FilterError as error:
                yield Fault(place, "text that is no cookie secret", str(error))
        filters = tree.get("filters")
        written = filters.get("cookies") if isinstance(filters, dict) else None
        # A secret that is wrong is reported as such: it isn't missing.
        if isinstance(written, dict) and written and "secret" not in written:
            right = "set filters.cookies.secret, or leave the table out: without a secret there are no cookies"
            yield Fault(key, "cookies without a secret", right)


def _admin(tables: Tables, tree: Tree) -> Iterator[Fault]:
    table = tables[("admin",)]
    address, token = table.get("address"), table.get("token")
    if token is not None and not _TOKEN.fullmatch(token.reveal()):
        right = "use 1 to 1024 printable ASCII characters without spaces, as they travel in an HTTP header"
        yield Fault(("admin", "token"), "a token that nobody can send", right)
    # A token that is wrong is reported as such: it isn't missing.
    written = tree.get("admin")
    if (
        address is not None
        and not address.address.is_loopback
        and not (isinstance(written, dict) and "token" in written)
    ):
        right = "set admin.token, or use a loopback address: everyone who reaches this one could reload the gateway"
        yield Fault(("admin", "address"), f'"{address}" without a token', right)
