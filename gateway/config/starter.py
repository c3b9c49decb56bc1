"""The starter file that `zonegate init` writes: every setting with its meaning, from the settings classes themselves.

A line `# text` explains, a line `#key = value` is a setting at its default (or an example where there is none), ready
to be uncommented. What stands uncommented is the least that runs: one listener and one backend on loopback.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from msgspec import Struct

from filters.settings import BlockSettings, Cookies, DynamicBlock, FilterList, RateLimit, ResponseLimits, Rule
from gateway.config.schema import Field, Shape, fields
from gateway.settings import AdminSettings, GatewaySettings
from proxy.settings import (
    Backend,
    Exit,
    ExitUser,
    Forwarder,
    Health,
    Listener,
    Primary,
    PrimaryTls,
    ProxyIn,
    ProxyOut,
    SocksDoor,
    SocksUser,
    TcpSettings,
    TransparentDoor,
    TsigKey,
    Tunnel,
    TunnelList,
    Whoami,
    Zone,
    ZoneNotify,
)

_HEAD = """\
# zonegate: configuration
#
# Lines that begin with "# " explain. Lines that begin with "#" and a key are settings at their default, or an example:
# take the "#" away and change them. Times are in seconds.
# A secret is written as text, as { env = "NAME" }, or as { file = "path" } (chmod 600).
#
#   zonegate check FILE      says all that is wrong
#   zonegate run             starts it
#   zonegate reload          takes a changed file into use; a bad one changes nothing
"""

_LIVE = {"ingress", "filters", "admin", "log"}
"""Tables of the root that stand uncommented."""

_EXAMPLES: dict[type[Struct], dict[str, str]] = {
    GatewaySettings: {"version": "1"},
    Listener: {"address": '"127.0.0.1:5300"'},
    Backend: {"name": '"ns-a"', "address": '"127.0.0.1:5353"'},
    ProxyIn: {"udp": '"v2"', "tcp": '"v2"', "from": '["192.0.2.0/24"]'},
    ProxyOut: {"health": '"plain"'},
    TcpSettings: {
        "connection_rate": "100",
        "connection_burst": "200",
        "queries_per_connection": "100000",
        "lifetime": "3600.0",
        "time_limit": "100",
        "time_burst": "1000",
    },
    Health: {"zone": '"example.com"'},
    FilterList: {
        "name": '"abuse"',
        "file": '"abuse.txt"',
        "url": '"https://lists.example/abuse.txt"',
        "primary": '"customer-a"',
        "zone": '"rpz.example"',
        "address": '"203.0.113.9"',
        "ca": '"ca.pem"',
        "column": "1",
        "kind": '"names"',
        "action": '"refuse"',
    },
    RateLimit: {"name": '"hosts"', "key": '"client-prefix"', "rate": "200", "burst": "400"},
    ResponseLimits: {
        "rate": "200",
        **dict.fromkeys(("positive", "nodata", "nxdomain", "referral", "wildcard", "any", "dnskey", "error"), "200"),
    },
    BlockSettings: {"exempt": '["192.0.2.0/24"]', "exempt_names": '["example.com"]'},
    DynamicBlock: {
        "name": '"any-flood"',
        "what": '"qtype"',
        "of": '"ANY"',
        "rate": "100",
        "ratio": "0.5",
        "ladder": '["warn", "truncate"]',
    },
    Tunnel: {
        "name": '"fra"',
        "url": '{ env = "ZONEGATE_TUNNEL_FRA" }',
        "exit_addresses": '["192.0.2.9/32"]',
        "through": '"ams"',
        "source": '["192.0.2.1", "2001:db8::1"]',
        "interface": '"eth1"',
        "fwmark": "100",
    },
    SocksDoor: {"listen": '"127.0.0.1:1080"', "primaries": '["customer-a"]', "zones": '["example.com"]'},
    SocksUser: {"name": '"node-1"', "password": '{ env = "ZONEGATE_SOCKS_NODE_1" }'},
    TunnelList: {
        "name": '"provider"',
        "file": '"servers.json"',
        "url": '"https://provider.example/servers.json"',
        "address": '"203.0.113.9"',
        "ca": '"ca.pem"',
    },
    Whoami: {"address": '"192.0.2.53:53"', "name": '"whoami.example"'},
    TsigKey: {"name": '"customer-a"', "secret": '{ file = "customer-a.tsig" }'},
    Primary: {"name": '"customer-a"', "address": '"203.0.113.5:53"', "tunnels": '["fra"]', "tsig_key": '"customer-a"'},
    PrimaryTls: {
        "server_name": '"ns.customer-a.example"',
        "ca": '"customer-a-ca.pem"',
        "certificate": '"gateway.pem"',
        "key": '"gateway.key"',
    },
    Forwarder: {"listen": '"127.0.0.1:5301"', "primary": '"customer-a"', "zones": '["example.com"]'},
    TransparentDoor: {"listen": '"[::]:5399"', "allow": '["192.0.2.0/24"]', "primaries": '["customer-a"]'},
    Zone: {"name": '"example.com"', "primaries": '["customer-a"]'},
    ZoneNotify: {"from": '["203.0.113.5"]', "keys": '["customer-a"]'},
    Exit: {
        "listen": '"0.0.0.0:8388"',
        "key": '{ env = "ZONEGATE_EXIT_KEY" }',
        "allow": '["203.0.113.0/24:53"]',
    },
    ExitUser: {
        "name": '"berlin"',
        "key": '{ file = "berlin.key" }',
        "allow": '["203.0.113.5/32:53"]',
        "relay": '"198.51.100.7:8388"',
        "bytes_per_second": "10000000",
        "bytes_burst": "20000000",
        "streams_per_second": "20.0",
        "streams_burst": "100",
        "connections": "500",
        "associations": "500",
    },
    Rule: {
        "name": '"no-any"',
        "when": '{ qtype = "ANY", transport = "udp", not = { client = "192.0.2.0/24" } }',
        "action": '"truncate"',
        "rcode": '"NXDOMAIN"',
        "ede": '{ code = 15, text = "blocked" }',
        "limit": '{ key = "client-prefix", rate = 10, action = "refuse" }',
        "tag": '"seen"',
        "pool": '"slow"',
        "delay": "100",
        "mirror": '"192.0.2.9:53"',
    },
    Cookies: {"secret": '{ file = "cookie.secret" }'},
    AdminSettings: {"token": '{ file = "admin.token" }'},
}


_OTHERS: dict[type[Struct], set[str]] = {
    FilterList: {"url", "primary", "zone", "tunnels", "address", "ca", "column"},
    Tunnel: {"through"},
    TunnelList: {"url", "tunnels", "address", "ca"},
    ExitUser: {"relay"},
    Rule: {"rcode", "ede", "limit", "tag", "pool", "delay", "mirror"},
}
"""Keys that don't fit the others of their example; they are shown as an explanation."""


def starter() -> str:
    """The text of the starter file."""
    return _HEAD + "\n" + "\n".join(_table(GatewaySettings, (), live=True)) + "\n"


def _table(table: type[Struct], path: tuple[str, ...], *, live: bool) -> Iterator[str]:
    """The plain keys of a table, then the tables inside it, as TOML wants them."""
    inner: list[tuple[Field, type[Struct], bool]] = []
    for field in fields(table).values():
        struct, array = struct_of(field.shape)
        if struct is not None and field.name not in _EXAMPLES.get(table, {}):
            inner.append((field, struct, array))
            continue
        yield from _wrap(field.description or _meaning(struct))
        mark = "# " if field.name in _OTHERS.get(table, ()) else "" if live and field.required else "#"
        yield f"{mark}{field.name} = {_value(table, field)}"
    for field, struct, array in inner:
        here = (*path, field.name)
        wanted = field.required or not (array or field.default is None) if path else field.name in _LIVE
        shown = live and wanted
        yield ""
        yield from _wrap(_meaning(struct))
        name = ".".join(here)
        yield ("" if shown else "#") + (f"[[{name}]]" if array else f"[{name}]")
        yield from _table(struct, here, live=shown)


def _meaning(struct: type[Struct] | None) -> str:
    return " ".join((struct.__doc__ or "").split()).partition(": ")[2]


def struct_of(shape: Shape) -> tuple[type[Struct] | None, bool]:
    """The table that a key holds, and whether it is an array of them."""
    if shape.item is not None:
        return struct_of(shape.item)[0], True
    return (shape.kind if isinstance(shape.kind, type) and issubclass(shape.kind, Struct) else None), False


def _value(table: type[Struct], field: Field) -> str:
    example = _EXAMPLES.get(table, {}).get(field.name)
    return example if example is not None else toml(field.default)


def toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 118, initial_indent="# ", subsequent_indent="# ")
