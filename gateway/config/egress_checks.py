"""What the tables of the way out must hold together: names that exist, URLs and keys
that only the protocols can judge."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from filters.errors import FilterError
from filters.names import zone_wire
from filters.settings import FilterList
from gateway.config.exit_checks import exit_faults
from gateway.config.problems import Key, quote, show_key
from gateway.config.reader import Fault
from gateway.config.socks_checks import socks_faults
from gateway.config.tables import Tables, Tree, exists, items, named
from gateway.config.transparent_checks import transparent_faults
from gateway.config.tunnel_checks import tunnel_faults
from proxy.settings import Failover, Forwarder, Primary, TsigKey, Tunnel, TunnelList, Whoami

_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
"""What an error quotes of a URL: of a malformed one, any part may be the password."""


def egress_faults(tables: Tables, tree: Tree) -> Iterator[Fault]:
    """All of them."""
    yield from _references(tables, tree)
    yield from _keys(tables)
    yield from exit_faults(tables, tree)
    yield from tunnel_faults(tables, tree)
    yield from socks_faults(tables, tree)
    yield from transparent_faults(tables, tree)
    yield from _disguised(tables)
    yield from _tsig_keys(tables)
    yield from _pools(tables)


def _disguised(tables: Tables) -> Iterator[Fault]:
    """An exit opens no IPv4 address that comes as an IPv6 one, since a rule for IPv6 does not mean it."""
    for key, table in tables.items():
        address = table.get("address") if table.kind is Primary else None
        if address is None or address.address.version == 4:
            continue
        if (mapped := address.address.ipv4_mapped) is not None:
            yield Fault((*key, "address"), f'"{address}"', f'write the IPv4 address: "{mapped}:{address.port}"')


def _references(tables: Tables, tree: Tree) -> Iterator[Fault]:
    tunnels = {name for _, name in named(tree, "tunnels")}
    lists = {name for _, name in named(tree, "tunnel_lists")}
    primaries = {name for _, name in named(tree, "primaries")}
    tsig_keys = {name for _, name in named(tree, "tsig_keys")}
    for key, table in tables.items():
        if table.kind is Primary and table.get("tsig_key") is not None:
            yield from exists((*key, "tsig_key"), table.get("tsig_key"), tsig_keys, "[[tsig_keys]]")
        if table.kind is FilterList and table.get("primary") is not None:
            yield from exists((*key, "primary"), table.get("primary"), primaries, "[[primaries]]")
        if table.kind in {Primary, FilterList, TunnelList}:
            seen: set[str] = set()
            ways = tunnels | lists if table.kind is Primary else tunnels
            for item, name in items(key, table, "tunnels"):
                yield from exists(item, name, ways, "[[tunnels]]")
                if name in seen:
                    yield Fault(item, quote(name), "a tunnel is named once")
                seen.add(name)
        elif table.kind is Forwarder and table.get("primary") is not None:
            yield from exists((*key, "primary"), table.get("primary"), primaries, "[[primaries]]")


def _keys(tables: Tables) -> Iterator[Fault]:
    """Tunnel URLs, which only the protocols can judge. What was found is never shown."""
    # Imported here, because the ciphers are slow to load and a gateway without tunnels needs none.
    for key, table in tables.items():
        if table.kind is Tunnel and table.get("url") is not None:
            from proxy.protocol.tunnel_urls import parse_tunnel_url

            try:
                parse_tunnel_url(table.get("url").reveal())
            except ValueError as error:
                yield Fault((*key, "url"), "a URL that is no tunnel", _QUOTED.sub("that part", str(error)))


def _tsig_keys(tables: Tables) -> Iterator[Fault]:
    """Names that are domain names, and secrets that are base64. What was found of a secret is never shown."""
    first: dict[bytes, tuple[str, Key]] = {}
    for key, table in tables.items():
        if table.kind is not TsigKey:
            continue
        name = table.get("name")
        if name is not None:
            try:
                known, where = first.setdefault(zone_wire(name), (name, (*key, "name")))
            except FilterError as error:
                yield Fault((*key, "name"), quote(name), str(error))
            else:
                if known != name:  # of the same letters it was told already
                    same = f"{show_key(where)} is the same domain name; letters and the last dot make no difference"
                    yield Fault((*key, "name"), quote(name), same)
        if table.get("secret") is not None:
            try:
                right = bool(base64.b64decode(table.get("secret").reveal(), validate=True))
            except (binascii.Error, ValueError):
                right = False
            if not right:
                yield Fault((*key, "secret"), "a secret that is not base64", "make one with: tsig-keygen NAME")


def _pools(tables: Tables) -> Iterator[Fault]:
    """What decides between tunnels."""
    for key, table in tables.items():
        if table.kind is Whoami and table.get("name") is not None:
            try:
                zone_wire(table.get("name"))
            except FilterError as error:
                yield Fault((*key, "name"), quote(table.get("name")), str(error))
        elif table.kind is Failover:
            for shorter, longer in (("rest", "longest_rest"), ("interval", "idle_interval")):
                given = [table.get(name) for name in (shorter, longer)]
                if None not in given and given[0] > given[1]:
                    yield Fault((*key, shorter), f"{given[0]:g}", f"at most {longer}, which is {given[1]:g}")
