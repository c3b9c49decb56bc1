"""What `[[socks_doors]]` must hold together: primaries that exist and can be told apart, and users."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Key, quote, show_key
from gateway.config.reader import Fault
from gateway.config.tables import Tables, Tree, exists, items, named
from proxy.settings import Primary, SocksDoor, SocksUser


def socks_faults(tables: Tables, tree: Tree) -> Iterator[Fault]:
    """All of them."""
    names = {name for _, name in named(tree, "primaries")}
    addresses = {table.get("name"): table.get("address") for table in tables.values() if table.kind is Primary}
    seen: dict[tuple[Key, str], Key] = {}
    for key, table in tables.items():
        if table.kind is SocksDoor:
            taken: dict[object, Key] = {}
            for item, name in items(key, table, "primaries"):
                yield from exists(item, name, names, "[[primaries]]")
                address = addresses.get(name)
                if address is not None and address in taken:
                    right = f"{show_key(taken[address])} has this address: who asks for it could mean either; name one"
                    yield Fault(item, quote(name), right)
                taken.setdefault(address, item)
        elif table.kind is SocksUser:
            password, name = table.get("password"), table.get("name")
            if password is not None and len(password.reveal().encode()) > 255:
                yield Fault((*key, "password"), "a password that SOCKS5 can't carry", "write 1 to 255 bytes (RFC 1929)")
            if name is not None and (key[:2], name) in seen:
                right = f"names are unique, and {show_key(seen[key[:2], name])} has this one"
                yield Fault((*key, "name"), quote(name), right)
            elif name is not None:
                seen[key[:2], name] = (*key, "name")
