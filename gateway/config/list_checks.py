"""What one `[[filters.lists]]` can't know of itself: its one source, the keys that go with it, and names that exist."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Set
from urllib.parse import urlsplit

from filters.errors import FilterError
from filters.names import zone_wire
from filters.settings import FilterList
from gateway.config.problems import Key, quote
from gateway.config.reader import Fault, Table
from proxy.values import Secret

LONGEST = 2048
"""Characters of a URL; longer ones are refused by many servers."""

_SOURCES = ("file", "url", "primary")


def list_faults(tables: Mapping[Key, Table], tree: Mapping[str, object]) -> Iterator[Fault]:
    """All faults of the lists, but for names that don't exist."""
    for key, table in tables.items():
        if table.kind is FilterList:
            given = written(tree, key)
            yield from _source(key, table, given)
            yield from _form(key, table, given)


def written(tree: object, key: Key) -> Set[str]:
    """The keys of a table as they stand in the file: what is wrong there isn't missing."""
    for part in key:
        tree = tree[part]  # type: ignore[index]  # the key of a table that was read leads to it
    return tree.keys() if isinstance(tree, dict) else set()


def _source(key: Key, table: Table, written: Set[str]) -> Iterator[Fault]:
    given = [name for name in _SOURCES if name in written]
    if len(given) != 1:
        found = " and ".join(given) or "no source"
        yield Fault(key, found, "write one of file, url, and primary with zone")
        return
    if table.get("url") is not None:
        yield from url_faults(key, table, written)
        return
    for name in ("tunnels", "address", "ca"):
        if table.get(name):
            yield Fault((*key, name), "a key that has no effect", "it goes with `url`; leave it out")
    if table.get("primary") is not None:
        if "zone" not in written:
            yield Fault(key, "no zone", "name the response policy zone that is transferred")
        if table.get("format") not in {None, "rpz"}:
            yield Fault((*key, "format"), quote(table.get("format")), 'what is transferred is an RPZ: write "rpz"')


def url_faults(key: Key, table: Table, written: Set[str]) -> Iterator[Fault]:
    """Faults of `url`, and of `tunnels` and `address` that go with it. The url may be a secret, and is not shown."""
    url = table.get("url").reveal() if isinstance(table.get("url"), Secret) else table.get("url")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, None
    if (
        not host
        or parts is None
        or parts.scheme != "https"
        or parts.username is not None
        or parts.fragment
        or not url.isascii()
        or len(url) > LONGEST
    ):
        yield Fault((*key, "url"), "a URL that can't be fetched", "write https://host[:port]/path, without user and #")
    if table.get("tunnels") == ():
        right = 'name the tunnels that lead there; only one with url = "direct://" goes directly'
        yield Fault(key, "a url without tunnels", right)
    address = table.get("address")
    if "address" not in written:
        yield Fault(key, "a url without an address", "write the IP address of its host: nobody looks up names for it")
    if address is not None:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield Fault((*key, "address"), quote(address), "write an IP address; the port comes from the url")


def _form(key: Key, table: Table, written: Set[str]) -> Iterator[Fault]:
    kind, column, zone = table.get("format"), table.get("column"), table.get("zone")
    if kind == "csv" and "column" not in written:
        yield Fault(key, "csv without a column", "write column = 1 for the first one")
    if column is not None and kind not in {None, "csv"}:
        yield Fault((*key, "column"), "a key that has no effect", 'it goes with format = "csv"; leave it out')
    if "action" not in written and kind not in {None, "rpz"}:
        right = "write action = drop, refuse, nxdomain, nodata, truncate or allow; or none for a list that rules use"
        yield Fault(key, "a list without an action", right)
    if zone is not None:
        try:
            zone_wire(zone)
        except FilterError as error:
            yield Fault((*key, "zone"), quote(zone), str(error))
