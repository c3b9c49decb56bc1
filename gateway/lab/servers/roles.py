"""What a name server is to do, said once for all software: be the primary of zones, or a secondary node."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import dns.tsig

from proxy.values import Endpoint


@dataclass(frozen=True, slots=True)
class Key:
    """A TSIG key (RFC 8945), shared by a primary and its secondary nodes."""

    name: str
    secret: str = field(repr=False)  # base64
    algorithm: str = "hmac-sha256"

    @classmethod
    def generate(cls, name: str, algorithm: str = "hmac-sha256") -> Self:
        """A new key with 32 random bytes."""
        return cls(name, base64.b64encode(secrets.token_bytes(32)).decode(), algorithm)

    def for_dnspython(self) -> dns.tsig.Key:
        """The form that dnspython signs and checks with."""
        return dns.tsig.Key(self.name, self.secret, self.algorithm)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """DNS over TLS beside the plain doors (RFC 9103): PEM files; `clients` is the authority of those whom it serves."""

    endpoint: Endpoint
    certificate: Path
    key: Path
    clients: Path | None = None


@dataclass(frozen=True, slots=True)
class Primary:
    """Where zones come from: it answers SOA, AXFR and IXFR, and sends NOTIFY."""

    zones: Mapping[str, str]  # name of a zone -> its text in master-file format
    notify: tuple[Endpoint, ...] = ()
    key: Key | None = None  # with a key, transfers must be signed by it, and NOTIFY is
    tls: ServerTls | None = None  # with it, BIND and NSD transfer over TLS as well; BIND over nothing else
    rrset: int = (
        100  # records of one name and type that it takes; the default is that of BIND, the only one with a bound
    )

    def __post_init__(self) -> None:
        if not self.zones:
            raise ValueError("a primary needs a zone")


@dataclass(frozen=True, slots=True)
class Secondary:
    """A secondary node: it fetches zones from `primary` and serves them."""

    zones: tuple[str, ...]
    primary: Endpoint
    key: Key | None = None  # with a key, it signs its requests and wants signed answers
    refresh: int = (
        1  # seconds between two looks at the primary; the zones' own refresh time counts only if it is shorter
    )
    rrset: int = 100  # as at the primary

    def __post_init__(self) -> None:
        if not self.zones:
            raise ValueError("a secondary node needs a zone")


Role = Primary | Secondary
"""Zones that a server treats alike. One may have several roles: other keys, other primaries, other zones in each."""


def plain(zone: str) -> str:
    """A zone's name without the dot at its end, as configuration files and file names want it."""
    return zone.rstrip(".") or "."
