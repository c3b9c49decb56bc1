"""Who opens which local address, and who gets in whose way.

Two doors clash when they share transport and port, and their addresses are equal or one is the wildcard of the other's
family. `[::]` of a forwarder, a transparent door or the exit takes IPv4 too; that of a listener doesn't. The kernel
would let some of these pairs pass; the operator couldn't tell which door a client comes through.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address

from msgspec import Struct

from gateway.config.problems import Key, show_key
from gateway.config.reader import Fault, Table
from gateway.settings import AdminSettings
from proxy.settings import Exit, Forwarder, Listener, SocksDoor, TransparentDoor
from proxy.values import Endpoint

_ANY_V6 = IPv6Address("::")


class Door(Struct, frozen=True):
    """A local address that something opens."""

    key: Key
    endpoint: Endpoint
    transports: frozenset[str]
    both_families: bool


_DOORS: dict[type[Struct], tuple[str, frozenset[str] | None]] = {
    Listener: ("address", None),
    Forwarder: ("listen", frozenset({"udp", "tcp"})),
    TransparentDoor: ("listen", frozenset({"udp", "tcp"})),
    Exit: ("listen", frozenset({"udp", "tcp"})),
    SocksDoor: ("listen", frozenset({"tcp"})),
    AdminSettings: ("address", frozenset({"tcp"})),
}
"""Tables that open an address: the key it stands in, and the transports; None: those of the key `transports`."""


def doors(tables: dict[Key, Table]) -> Iterator[Door]:
    """All that would be opened by the tables."""
    for key, table in tables.items():
        if table.kind in _DOORS:
            name, transports = _DOORS[table.kind]
            endpoint = table.get(name)
            if endpoint is not None:
                spoken = transports or frozenset(table.get("transports") or ())
                both = table.kind in {Forwarder, SocksDoor, TransparentDoor, Exit} and endpoint.address == _ANY_V6
                yield Door((*key, name), endpoint, spoken, both)


def clashes(opened: Iterable[Door]) -> Iterator[Fault]:
    """A fault for each door that an earlier one is in the way of."""
    by_port: defaultdict[int, list[Door]] = defaultdict(list)
    for door in opened:
        earlier = next((other for other in by_port[door.endpoint.port] if _clash(door, other)), None)
        if earlier is not None:
            right = f"{show_key(earlier.key)} already takes {earlier.endpoint}: choose another address or port"
            yield Fault(door.key, f'"{door.endpoint}"', right)
        by_port[door.endpoint.port].append(door)


def _clash(one: Door, other: Door) -> bool:
    """Whether two doors with the same port get in each other's way."""
    a, b = one.endpoint.address, other.endpoint.address
    if one.transports.isdisjoint(other.transports):
        return False
    if a.version != b.version:
        return one.both_families or other.both_families
    return a == b or a.is_unspecified or b.is_unspecified
