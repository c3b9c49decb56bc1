"""What differs between two configurations, and what of it a running gateway can take.

Workers, their sockets and tables of fixed size are made at the start; whatever decides them stays until a restart. All
else is swapped in whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.config import Loaded, check_effective, load
from gateway.config.plain import to_plain
from gateway.config.problems import Key, show_key
from gateway.settings import GatewaySettings
from proxy.settings import Listener

_OF_TRANSFERS = (
    "tunnels",
    "tunnel_lists",
    "tsig_keys",
    "primaries",
    "forwarders",
    "transfers",
    "socks_doors",
    "transparent_doors",
    "zones",
    "exit",
)
"""The tables that need the transfer process."""


class Changes(Struct, frozen=True, kw_only=True):
    """`effective` is the new configuration with what needs a restart left as it was; the keys are for people."""

    effective: GatewaySettings
    changed: tuple[str, ...]
    restart: tuple[str, ...]


def compare(old: GatewaySettings, new: GatewaySettings, *, transfers: bool | None = None) -> Changes:
    """Compare the configuration in use with the one just read.

    `transfers`: whether a transfer process runs, where the configuration in use does not tell: one whose last list was
    taken away stays for the next.
    """
    effective = _effective(old, new, old.egress is not None if transfers is None else transfers)
    return Changes(
        effective=effective,
        changed=_differences(old, effective),
        restart=_differences(effective, new),
    )


def read_changes(
    old: GatewaySettings, path: Path, read: Callable[[Path], Loaded] = load, *, transfers: bool
) -> tuple[Changes, tuple[str, ...]]:
    """Read a configuration file and compare it with the one in use; the changes, and the warnings of the file.

    Raises:
        ConfigError: with all that is wrong in the file, or in what of it can be taken without a restart.
    """
    loaded = read(path)
    changes = compare(old, loaded.settings, transfers=transfers)
    if changes.changed and changes.restart:
        # What needs a restart stays as it was, and what is new beside it may name what there is not yet.
        check_effective(path, changes.effective, changes.restart)
    return changes, loaded.warnings


def _effective(old: GatewaySettings, new: GatewaySettings, transfers: bool) -> GatewaySettings:
    replace = msgspec.structs.replace
    # A way in that can't come or go yet keeps its filters as well: those of a file without one let everything pass.
    ingress, filters = old.ingress, old.filters
    if old.ingress is not None and new.ingress is not None:
        listeners = _listeners(old.ingress.listeners, new.ingress.listeners)
        ingress = replace(new.ingress, workers=old.ingress.workers, listeners=listeners, udp=old.ingress.udp)
        filters = replace(new.filters, table_size=old.filters.table_size)
    if not transfers:
        filters = replace(filters, lists=tuple(each for each in filters.lists if not each.is_remote))
    admin = replace(new.admin, address=old.admin.address)
    effective = replace(new, state=old.state, ingress=ingress, filters=filters, admin=admin)
    if transfers != (new.egress is not None):
        kept = {name: getattr(old, name) for name in _OF_TRANSFERS}
        effective = replace(effective, **kept)
    return effective


def _listeners(old: tuple[Listener, ...], new: tuple[Listener, ...]) -> tuple[Listener, ...]:
    """The listeners that are open, with the new settings of those that a worker can change on an open socket."""
    known = {listener.address: listener for listener in new}
    return tuple(
        msgspec.structs.replace(listener, proxy_protocol=known.get(listener.address, listener).proxy_protocol)
        for listener in old
    )


def _differences(old: Struct, new: Struct) -> tuple[str, ...]:
    return tuple(show_key(key) for key in _walk(to_plain(old), to_plain(new), ()))


def _walk(old: object, new: object, key: Key) -> Iterator[Key]:
    """Keys of the innermost tables and arrays that differ. An array that grew or shrank counts as one change."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _walk(old.get(name), new.get(name), (*key, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _walk(before, after, (*key, index))
    else:
        yield key
