"""Values that settings are made of, here and in `proxy`. Each is frozen, parses from the text of the configuration and
prints back to it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Network:
    """A prefix, written `192.0.2.0/24`; a bare address is the prefix of that one address."""

    prefix: IPNetwork

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form.

        Raises:
            ValueError: not a prefix, or bits are set behind its length.
        """
        return cls(parse_prefix(text))

    def __str__(self) -> str:
        return str(self.prefix)

    def __contains__(self, address: IPAddress) -> bool:
        return address in self.prefix


def parse_prefix(text: str) -> IPNetwork:
    """Read an address or a prefix. An interface (`fe80::1%eth0`) is none: the data plane knows of no interfaces.

    Raises:
        ValueError: not a prefix, or bits are set behind its length; with what would be right.
    """
    try:
        if "%" in text:
            raise ValueError(f"{text[:64]!r} names an interface")
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f'{error}; write a prefix such as "192.0.2.0/24" or "2001:db8::/32"') from None


_LENGTH = re.compile(r"/?(\d{1,3})(?:\s*x\s*(\d{1,7}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PrefixLength:
    """Bits of an address that make a prefix, and the factor that rate and burst have there, written `/24 x32`."""

    bits: int
    factor: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form; the factor is 1 unless written.

        Raises:
            ValueError: with what would be right.
        """
        match = _LENGTH.fullmatch(text)
        factor = int(match[2] or 1) if match is not None else 0
        if match is None or int(match[1]) > 128 or not 1 <= factor <= 1_000_000:
            raise ValueError('write a prefix length and its factor, such as "/32" or "/24 x32"')
        return cls(int(match[1]), factor)

    def __str__(self) -> str:
        return f"/{self.bits}" if self.factor == 1 else f"/{self.bits} x{self.factor}"


class Secret:
    """Text that must not be seen. Only `reveal` gives it; printing, logging and comparing by repr show nothing."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
