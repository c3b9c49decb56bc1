"""Blocks, lists and zones: which entry of a plain list of entries holds for a name or an address."""

from __future__ import annotations

from dataclasses import dataclass

from filters.values import IPAddress, IPNetwork
from tests.filters.model.message import Name


@dataclass(frozen=True)
class NameEntry:
    """A name: `itself`, what lies `below` it, or both."""

    name: Name
    itself: bool
    below: bool
    action: str

    def covers(self, name: Name) -> bool:
        """Whether it says something of `name`."""
        if name == self.name:
            return self.itself
        return self.below and is_below(name, self.name)


@dataclass(frozen=True)
class PrefixEntry:
    """A prefix of clients."""

    prefix: IPNetwork
    action: str


def is_below(name: Name, suffix: Name) -> bool:
    """Whether `name` lies below `suffix`, and is not it."""
    return len(name) > len(suffix) and (not suffix or name[-len(suffix) :] == suffix)


def in_zone(name: Name, zone: Name) -> bool:
    """Whether `name` is the zone's or lies below it."""
    return name == zone or is_below(name, zone)


@dataclass
class Entries:
    """What a list holds, and what the configuration says is done by it: "given" leaves it to the entries."""

    names: list[NameEntry]
    prefixes: list[PrefixEntry]
    action: str

    def of_address(self, address: IPAddress) -> str | None:
        """The action of the longest prefix around an address."""
        around = [entry for entry in self.prefixes if address in entry.prefix]
        return max(around, key=lambda entry: entry.prefix.prefixlen).action if around else None

    def of_name(self, name: Name) -> str | None:
        """The action of the entry for just this name, else of the nearest above."""
        covering = [entry for entry in self.names if entry.covers(name)]
        return max(covering, key=lambda entry: len(entry.name)).action if covering else None

    def has_address(self, address: IPAddress) -> bool:
        """Whether rules are told that it knows an address: not, if it lets it pass."""
        return self.of_address(address) not in {None, "allow"}

    def has_name(self, name: Name) -> bool:
        """The same of a name."""
        return self.of_name(name) not in {None, "allow"}

    def decide(self, address: IPAddress, name: Name | None) -> str | None:
        """What this list does about a message; None if it does not know it, or serves only rules."""
        if self.action == "none":
            return None
        found = self.of_address(address)
        if found is None and name is not None:
            found = self.of_name(name)
        if found is None or found == "allow":
            return found
        return found if self.action == "given" else self.action


@dataclass
class Blocked:
    """The dynamic blocks in force, each with drop, truncate or pass (exempt)."""

    names: list[NameEntry]
    prefixes: list[PrefixEntry]

    def of_address(self, address: IPAddress) -> str | None:
        return strongest([entry.action for entry in self.prefixes if address in entry.prefix])

    def of_name(self, name: Name) -> str | None:
        return strongest([entry.action for entry in self.names if entry.covers(name)])


def strongest(actions: list[str]) -> str | None:
    """What is exempt lies in no block; else the strongest counts."""
    return next((word for word in ("pass", "drop", "truncate") if word in actions), None)
