"""Connections to the exit that have not shown a key yet, by where they come from.

Anybody on the Internet can have some; nobody shall have so many that others find no place. An address stands for
itself in IPv4, and for its /64 in IPv6, of which one host has all addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Network
from typing import Generic, TypeVar

from proxy.values import Endpoint

T = TypeVar("T")


def source_of(sockaddr: tuple[object, ...] | None) -> str:
    """What counts as one source; "?" where the peer is gone already."""
    if not sockaddr:
        return "?"
    address = Endpoint.of(sockaddr).address
    if address.version == 4:
        return str(address)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))


class Strangers(Generic[T]):
    """Them, oldest first, of all sources and of each."""

    def __init__(self) -> None:
        self._all: dict[T, str] = {}
        self._of: dict[str, dict[T, None]] = {}

    def add(self, stranger: T, source: str) -> None:
        """One more."""
        self._all[stranger] = source
        self._of.setdefault(source, {})[stranger] = None

    def discard(self, stranger: T) -> None:
        """One less, if it was there."""
        source = self._all.pop(stranger, None)
        if source is None:
            return
        theirs = self._of[source]
        del theirs[stranger]
        if not theirs:
            del self._of[source]

    def oldest(self, source: str | None = None) -> T | None:
        """The oldest of a source, or of all; None if there is none."""
        return next(iter(self._all if source is None else self._of.get(source, ())), None)

    def count(self, source: str) -> int:
        """How many a source has."""
        return len(self._of.get(source, ()))

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._all))

    def __len__(self) -> int:
        return len(self._all)
