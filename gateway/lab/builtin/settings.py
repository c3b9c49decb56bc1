"""What a built-in server is told: a JSON file that its launcher writes and it reads."""

from __future__ import annotations

import dns.tsig
from msgspec import Struct


class KeySettings(Struct, frozen=True):
    """A TSIG key (RFC 8945)."""

    name: str
    algorithm: str
    secret: str

    def for_dnspython(self) -> dns.tsig.Key:
        """The form that dnspython signs and checks with."""
        return dns.tsig.Key(self.name, self.secret, self.algorithm)


class PrimarySettings(Struct, frozen=True, tag="primary", tag_field="role"):
    """A primary: it reads zones from files, and again at SIGHUP."""

    listen: tuple[str, int]
    zones: dict[str, str]  # name of a zone -> its file
    notify: tuple[tuple[str, int], ...] = ()
    key: KeySettings | None = None


class NodeSettings(Struct, frozen=True, tag="secondary", tag_field="role"):
    """A secondary node: it fetches zones from a primary."""

    listen: tuple[str, int]
    zones: tuple[str, ...]
    primary: tuple[str, int]
    refresh: float
    key: KeySettings | None = None


ServerSettings = PrimarySettings | NodeSettings
