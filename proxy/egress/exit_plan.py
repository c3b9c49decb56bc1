"""What the exit does, compiled from its settings: who may come, and what each may open.

    no users           one client, whose key is `exit.key`; its name here is ""
    users, and a key   the key is the identity key (SIP023), and each user has a key of its own; AES of 2022 only
    one user, no key   one client with a name and limits, whose key is the user's; any method

A user with a `relay` is no client, but another exit that clients come to through this one: the key is that exit's.

Immutable but for the store of salts. A reload makes a new one; what is open keeps the one that it began with.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from proxy.errors import ProtocolError, TunnelError
from proxy.protocol.address import Target
from proxy.protocol.editions import salt_store, server_stream
from proxy.protocol.identity import KeyHolder, KeyTable
from proxy.protocol.methods import Method, find_method
from proxy.protocol.relay import relay_head
from proxy.protocol.salts import SaltStore
from proxy.protocol.shadowsocks import ServerStream
from proxy.settings import Exit, ExitUser
from proxy.values import Endpoint

SINGLE = ""  # the name of the client of an exit without users


@dataclass(frozen=True, slots=True)
class UserPlan:
    """One user. `settings` is None for the client of an exit without users."""

    name: str
    key: bytes = field(repr=False)
    settings: ExitUser | None

    @property
    def relay(self) -> Endpoint | None:
        """The exit to which all of it is passed on."""
        return self.settings.relay if self.settings is not None else None


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """The exit."""

    settings: Exit
    method: Method
    key: bytes = field(repr=False)  # the client's, or the identity key
    users: Mapping[str, UserPlan]
    table: KeyTable | None  # of clients, where there is an identity key
    hops: KeyTable | None  # of exits behind this one, where there are any
    salts: SaltStore = field(repr=False)
    since: float  # Unix time when this plan came into use

    def stream(self) -> ServerStream:
        """The codec of a new connection."""
        return server_stream(self.method, self.key, self.salts, self.table)

    def relayed(self, first_read: bytes, now: float) -> tuple[UserPlan, bytes] | None:
        """If a new stream is for an exit behind this one: which, and what is to be sent there in place of this read.

        Raises:
            ProtocolError: "replay", "salts-full": as of a stream that ends here.
        """
        if self.hops is None:
            return None
        try:
            found = relay_head(self.method, self.key, self.hops, first_read)
        except ProtocolError:
            return None  # then it is for us, or noise
        if found is None:
            return None
        hop, rest = found
        self.salts.add(first_read[: self.method.salt_size], now, user=hop.name)
        return self.users[hop.name], rest

    def user(self, named: str) -> UserPlan | None:
        """The user of that name; without an identity key the codec knows no names, and there is only one."""
        return self.users.get(named) if self.table is not None else next(iter(self.users.values()))

    def knows(self, user: UserPlan) -> bool:
        """Whether a user of another plan may go on under this one: the same name with the same key."""
        known = self.users.get(user.name)
        return known is not None and (known.key, known.relay) == (user.key, user.relay)

    def check_target(self, target: Target, user: UserPlan | None = None) -> Endpoint:
        """The target as an address that may be opened, for this user.

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
        own = user.settings.allow if user is not None and user.settings is not None else ()
        if own and not any(allowed.allows(target) for allowed in own):
            raise TunnelError(f"asked for {target}, which the user's allow does not name", "target-not-allowed")
        return target


def compile_exit(settings: Exit, before: ExitPlan | None = None, since: float | None = None) -> ExitPlan:
    """Read method and keys.

    `before` is the plan in force: the salts that it saw stay known. `since` is the Unix time from which on nothing
    else served in its place; default: now.

    Raises:
        ValueError: unknown method, an unfit key, or users that the method can't tell apart; no key is shown.
    """
    method = find_method(settings.method)
    if settings.key is None and len(settings.users) != 1:
        raise ValueError("the exit has no key")
    users = {each.name: UserPlan(each.name, _key(method, each), each) for each in settings.users}
    table = hops = None
    if settings.key is None:
        (user,) = users.values()
        if user.relay is not None:
            raise ValueError("a relay needs an identity key: exit.key")
        key = user.key
    else:
        key = method.key_from_text(settings.key.reveal())
        if users:
            holders = [(each.relay, KeyHolder(each.name, each.key)) for each in users.values()]
            KeyTable(method, [holder for _, holder in holders])  # no key twice
            table = KeyTable(method, [holder for relay, holder in holders if relay is None])
            hops = KeyTable(method, [holder for relay, holder in holders if relay is not None])
        else:
            users = {SINGLE: UserPlan(SINGLE, key, None)}
    since = time.time() if since is None else since
    salts = before.salts if before is not None and before.method == method else salt_store(method, since, len(users))
    return ExitPlan(settings, method, key, users, table, hops if hops else None, salts, since)


def _key(method: Method, user: ExitUser) -> bytes:
    try:
        return method.key_from_text(user.key.reveal())
    except ValueError as error:
        raise ValueError(f"user {user.name}: {error}") from None
