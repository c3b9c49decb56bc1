"""What differs between two configurations, and what of it a running gateway can take.

Workers, their sockets and tables of fixed size are made at the start; whatever decides them stays until a restart. All
else is swapped in whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from gateway.config.plain import to_plain
from gateway.config.problems import Key, show_key
from gateway.settings import GatewaySettings
from proxy.settings import Listener


class Changes(Struct, frozen=True, kw_only=True):
    """`effective` is the new configuration with what needs a restart left as it was; the keys are for people."""

    effective: GatewaySettings
    changed: tuple[str, ...]
    restart: tuple[str, ...]


def compare(old: GatewaySettings, new: GatewaySettings) -> Changes:
    """Compare the configuration in use with the one just read."""
    effective = _effective(old, new)
    return Changes(
        effective=effective,
        changed=_differences(old, effective),
        restart=_differences(effective, new),
    )


def _effective(old: GatewaySettings, new: GatewaySettings) -> GatewaySettings:
    replace = msgspec.structs.replace
    # A way in that can't come or go yet keeps its filters as well: those of a file without one let everything pass.
    ingress, filters = old.ingress, old.filters
    if old.ingress is not None and new.ingress is not None:
        listeners = _listeners(old.ingress.listeners, new.ingress.listeners)
        ingress = replace(new.ingress, workers=old.ingress.workers, listeners=listeners, udp=old.ingress.udp)
        filters = replace(new.filters, table_size=old.filters.table_size)
    admin = replace(new.admin, address=old.admin.address)
    effective = replace(new, ingress=ingress, filters=filters, admin=admin)
    if (old.egress is None) != (new.egress is None):
        kept = {name: getattr(old, name) for name in ("tunnels", "primaries", "forwarders", "exit")}
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
