"""Values that settings are made of. Each is frozen, parses from the text of the configuration and prints back to it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from certs.pins import parse_pin, show_pin
from filters.values import IPAddress as IPAddress
from filters.values import IPNetwork as IPNetwork
from filters.values import Network as Network
from filters.values import Secret as Secret

Emit = Callable[[str, Mapping[str, object]], None]  # an event's name, such as "tunnel.failed", and its fields


def parse_port(text: str) -> int:
    """A TCP or UDP port, 0 to 65535.

    Raises:
        ValueError: not a number, or out of range.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ValueError(f"{text!r} is not a port; a port is a number from 0 to 65535")
    return int(text)


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An IP address and a port, written `192.0.2.1:53` or `[2001:db8::1]:53`."""

    address: IPAddress
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form.

        Raises:
            ValueError: with what is wrong and an example of what is right.
        """
        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
            raise ValueError('write an address with a port, such as "192.0.2.1:53" or "[2001:db8::1]:53"')
        try:
            address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise ValueError(f"{host!r} is not an IP address; names are not looked up here") from None
        return cls(address, parse_port(port))

    @classmethod
    def of(cls, sockaddr: tuple[Any, ...]) -> Self:
        """Read what the socket module gives: `(host, port, ...)`. A v4-mapped IPv6 address becomes the IPv4 address."""
        address = ipaddress.ip_address(str(sockaddr[0]).partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return cls(address, int(sockaddr[1]))

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"

    @property
    def sockaddr(self) -> tuple[str, int]:
        """The form that the socket module takes."""
        return str(self.address), self.port


@dataclass(frozen=True, slots=True)
class Destination:
    """A prefix and a port that the exit may open, written `203.0.113.0/24:53`."""

    network: Network
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form; an IPv6 prefix stands in brackets: `[2001:db8::/32]:53`.

        Raises:
            ValueError: with what is wrong and an example of what is right.
        """
        prefix, colon, port = text.rpartition(":")
        if not colon or (":" in prefix and not (prefix.startswith("[") and prefix.endswith("]"))):
            raise ValueError('write a prefix with a port, such as "203.0.113.0/24:53" or "[2001:db8::/32]:53"')
        return cls(Network.parse(prefix.removeprefix("[").removesuffix("]")), parse_port(port))

    def __str__(self) -> str:
        prefix = self.network.prefix
        return f"[{prefix}]:{self.port}" if prefix.version == 6 else f"{prefix}:{self.port}"

    def allows(self, target: Endpoint) -> bool:
        """Whether `target` lies in the prefix and has the port."""
        return target.port == self.port and target.address in self.network


@dataclass(frozen=True, slots=True)
class KeyPin:
    """SHA-256 of a public key, 32 bytes, written in base64 (RFC 7858 section 4.2)."""

    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form.

        Raises:
            ValueError: it is not the base64 of 32 bytes.
        """
        return cls(parse_pin(text))

    def __str__(self) -> str:
        return show_pin(self.digest)


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address alone, written `192.0.2.1` or `2001:db8::1`."""

    ip: IPAddress

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form.

        Raises:
            ValueError: with an example of what is right.
        """
        try:
            return cls(ipaddress.ip_address(text))
        except ValueError:
            raise ValueError('write an IP address, such as "192.0.2.1" or "2001:db8::1"') from None

    def __str__(self) -> str:
        return str(self.ip)
