"""What `[exit]` and its users must hold together: keys that fit the method, users that it can tell apart, and lists
of targets that can open something. What was found of a key is never shown."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.problems import Key, quote
from gateway.config.reader import Fault, Table
from gateway.config.tables import Tables, Tree, items
from proxy.settings import Exit, ExitUser
from proxy.values import Destination

_KEY: Key = ("exit", "key")


def exit_faults(tables: Tables, tree: Tree) -> Iterator[Fault]:
    """All of them."""
    table = tables.get(("exit",))
    if table is None or table.kind is not Exit:
        return
    users = {key: each for key, each in tables.items() if each.kind is ExitUser}
    written = tree.get("exit")
    if table.get("method") is not None:
        yield from _who(table, set(written) if isinstance(written, dict) else set(), len(users))
        yield from _keys(table, users)
    for key, each in users.items():
        yield from _allow(table, key, each)
        if each.get("relay") is not None and isinstance(written, dict) and "key" not in written:
            right = "a relay reads identity headers: write the identity key that its clients begin with as exit.key"
            yield Fault((*key, "relay"), "a relay without an identity key", right)
        if each.get("relay") is not None and each.get("allow"):
            yield Fault((*key, "allow"), "targets of a relay", "leave it out: the exit behind it opens targets")


def _who(table: Table, written: set[str], users: int) -> Iterator[Fault]:
    """Whether there is a key, and whether the method can carry so many users.

    `written` are the keys that stand in the file: what was wrong of them was told already.
    """
    # Imported here, because the ciphers are slow to load and a gateway without an exit needs none.
    from proxy.protocol.identity import supports_identity
    from proxy.protocol.methods import METHODS, find_method

    name = table.get("method")
    has_key = "key" in written
    if supports_identity(find_method(name)) or users == 0:
        if not has_key and "users" not in written:
            yield Fault(_KEY, "nothing", "write the key of the one client, or [[exit.users]]")
        elif not has_key and users > 1:
            right = "several users need an identity key, which all of them know; zonegate exit keys makes all keys"
            yield Fault(_KEY, "nothing", right)
        return
    able = ", ".join(name for name, method in METHODS.items() if supports_identity(method))
    if users > 1:
        right = f"{name} can't tell users apart (SIP023): leave one user, or take a method that can: {able}"
        yield Fault(("exit", "users"), f"{users} users", right)
    elif has_key:
        right = (
            f"leave it out: the one user's own key is the key of {name}, which has no identity key; those are: {able}"
        )
        yield Fault(_KEY, "an identity key", right)


def _keys(table: Table, users: dict[Key, Table]) -> Iterator[Fault]:
    """Keys that fit the method, and each only once."""
    from proxy.protocol.methods import find_method

    method = find_method(table.get("method"))
    first: dict[bytes, str] = {}
    for key, each in {("exit",): table, **users}.items():
        secret = each.get("key")
        if secret is None:
            continue
        try:
            value = method.key_from_text(secret.reveal())
        except ValueError as error:
            yield Fault((*key, "key"), "a key that doesn't fit exit.method", str(error))
            continue
        name = "exit.key" if each is table else f"user {each.get('name') or '?'}"
        if value in first:
            yield Fault((*key, "key"), "a key that is used twice", f"{first[value]} has the same; each needs its own")
        first.setdefault(value, name)


def _allow(table: Table, key: Key, user: Table) -> Iterator[Fault]:
    """A user opens only what the exit opens, so an entry outside of that does nothing."""
    whole = [each for _, each in items(("exit",), table, "allow")]
    for item, own in items(key, user, "allow"):
        if whole and not any(_overlap(own, each) for each in whole):
            right = "a user opens a part of what exit.allow names: add it there, or take it away here"
            yield Fault(item, quote(str(own)), right)


def _overlap(one: Destination, other: Destination) -> bool:
    a, b = one.network.prefix, other.network.prefix
    return one.port == other.port and a.version == b.version and a.overlaps(b)
