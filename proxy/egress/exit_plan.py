"""What the exit does, compiled from its settings.

Immutable but for the store of salts. A reload makes a new one; what is open keeps the one that it began with.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from proxy.errors import TunnelError
from proxy.protocol.address import Target
from proxy.protocol.editions import salt_store, server_stream
from proxy.protocol.methods import Method, find_method
from proxy.protocol.salts import SaltStore
from proxy.protocol.shadowsocks import ServerStream
from proxy.settings import Exit
from proxy.values import Endpoint


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """The exit."""

    settings: Exit
    method: Method
    key: bytes = field(repr=False)
    salts: SaltStore = field(repr=False)
    since: float  # Unix time; nothing that is older was seen under this key by this process

    def stream(self) -> ServerStream:
        """The codec of a new connection."""
        return server_stream(self.method, self.key, self.salts)

    def check_target(self, target: Target) -> Endpoint:
        """The target as an address that may be opened.

        Raises:
            TunnelError: "target-by-name": this exit resolves nothing. "target-not-allowed".
        """
        if not isinstance(target, Endpoint):
            raise TunnelError(f"asked for {target} by name; the exit resolves no names", "target-by-name")
        if isinstance(target.address, IPv6Address) and target.address.ipv4_mapped is not None:
            # The kernel would connect over IPv4, to an address that a rule for IPv6 does not mean.
            raise TunnelError(f"asked for {target}, an IPv4 address in disguise", "target-not-allowed")
        if target.port == 0 or not any(allowed.allows(target) for allowed in self.settings.allow):
            raise TunnelError(f"asked for {target}, which exit.allow does not name", "target-not-allowed")
        return target


def compile_exit(settings: Exit, before: ExitPlan | None = None, now: float | None = None) -> ExitPlan:
    """Read method and key. `before` is the plan in force: its salts stay known while its key does. `now` is Unix time.

    Raises:
        ValueError: unknown method or unfit key; the text does not show the key.
    """
    method = find_method(settings.method)
    key = method.key_from_text(settings.key.reveal())
    same = before is not None and (before.method, before.key) == (method, key)
    if before is not None and same:
        return ExitPlan(settings, method, key, before.salts, before.since)
    since = time.time() if now is None else now
    return ExitPlan(settings, method, key, salt_store(method, since), since)
