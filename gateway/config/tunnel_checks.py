"""What `[[tunnels]]` must hold together: those that go through others, and the options that then have no effect."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from gateway.config.list_checks import url_faults, written
from gateway.config.problems import Key, quote
from gateway.config.reader import Fault, Table
from gateway.config.tables import Tables, Tree, exists, named
from proxy.settings import Tunnel, TunnelList

_OF_THE_NETWORK = ("source", "interface", "fwmark", "keepalive", "fast_open")


def tunnel_faults(tables: Tables, tree: Tree) -> Iterator[Fault]:
    """All of them."""
    names = {name for _, name in named(tree, "tunnels")}
    tunnels = {key: table for key, table in tables.items() if table.kind is Tunnel}
    for key, table in tunnels.items():
        yield from _source(key, table)
        if table.get("through") is not None:
            yield from exists((*key, "through"), table.get("through"), names, "[[tunnels]]")
            yield from _behind(key, table, tree)
    for key, name in named(tree, "tunnel_lists"):
        if name in names:
            yield Fault(key, quote(name), "a list of tunnels has a name that no tunnel has")
    for key, table in tables.items():
        if table.kind is TunnelList:
            yield from _list(key, table, tree)
    yield from _circles(tunnels)
    yield from _through_direct(tunnels)


def _list(key: Key, table: Table, tree: Tree) -> Iterator[Fault]:
    given = written(tree, key)
    sources = [name for name in ("file", "url") if name in given]
    if len(sources) != 1:
        yield Fault(key, " and ".join(sources) or "no source", "write one of file and url")
    elif table.get("url") is not None:
        yield from url_faults(key, table, given)
    else:
        for name in ("tunnels", "address", "ca"):
            if table.get(name):
                yield Fault((*key, name), "a key that has no effect", "it goes with `url`; leave it out")


def _source(key: Key, table: Table) -> Iterator[Fault]:
    source = table.get("source")
    given = [each for each in source if each is not None] if isinstance(source, tuple) else []
    if len({each.ip.version for each in given}) < len(given):
        right = "name one of IPv4 and one of IPv6, or one of them"
        yield Fault((*key, "source"), "two addresses of one family", right)


def _behind(key: Key, table: Table, tree: Tree) -> Iterator[Fault]:
    """What holds for a tunnel whose far end is reached through another."""
    for name in _OF_THE_NETWORK:
        if name in written(tree, key):
            right = "it goes with the tunnel that leaves this machine, the one without `through`; leave it out here"
            yield Fault((*key, name), "a key that has no effect", right)
    host = _host(table)
    if host == "":
        yield Fault(
            (*key, "through"), "direct:// through a tunnel", "leave `through` out, or write the URL of a tunnel"
        )
    elif host is not None:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            right = "write its IP address: behind another tunnel nobody looks up the name"
            yield Fault((*key, "url"), "a far end given by name", right)


def _through_direct(tunnels: dict[Key, Table]) -> Iterator[Fault]:
    direct = {table.get("name") for table in tunnels.values() if _host(table) == ""}
    for key, table in tunnels.items():
        if table.get("through") in direct - {None}:
            right = "leave `through` out; source, interface and fwmark may stand here"
            yield Fault((*key, "through"), f"{quote(table.get('through'))}, which is direct://", right)


def _host(table: Table) -> str | None:
    """The host in a tunnel's URL; empty for direct://, None when the URL is wrong."""
    if table.get("url") is None:
        return None
    from proxy.protocol.tunnel_urls import DirectAddress, parse_tunnel_url

    try:
        address = parse_tunnel_url(table.get("url").reveal())
    except ValueError:
        return None
    return "" if isinstance(address, DirectAddress) else address.host.host


def _circles(tunnels: dict[Key, Table]) -> Iterator[Fault]:
    """One fault for each circle, at the first tunnel in it."""
    ways = {table.get("name"): (key, table.get("through")) for key, table in tunnels.items() if table.get("name")}
    told: set[str] = set()
    for name in ways:
        path: list[str] = []
        at = name
        while at in ways and at not in path:
            path.append(at)
            at = ways[at][1]
        if at == name and not told & set(path):
            told |= set(path)
            shown = " through ".join((*path, name))
            yield Fault((*ways[name][0], "through"), f"a circle: {shown}", "let one of them go without `through`")
