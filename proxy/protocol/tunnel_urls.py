"""The URL of a tunnel, read once into a frozen value.

Forms:
    ss://method:key@host:port[/][?...][#tag]         SIP002; method and key percent-encoded
    ss://base64url(method:password)@host:port ...    SIP002; padded or not; not for the methods of 2022
    socks5://[user:password@]host:port
    direct://

Errors never show the user part: it holds the key.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import parse_qsl, unquote_to_bytes

from proxy.protocol.identity import read_key_chain
from proxy.protocol.methods import METHODS, Method
from proxy.values import parse_port

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ESCAPE = "in user and password, write # ? / @ as %23 %3F %2F %40"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")


@dataclass(frozen=True, slots=True)
class TunnelHost:
    """Where a tunnel's far end listens: an address, or a name that the system resolves at each connection."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ShadowsocksAddress:
    """An `ss://` tunnel. `identity_keys` stand before `key` in its chain: those of relays and of the exit (SIP023)."""

    host: TunnelHost
    method: Method
    key: bytes = field(repr=False)
    tag: str = ""
    identity_keys: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Socks5Address:
    """A `socks5://` tunnel. Without a user no authentication is offered."""

    host: TunnelHost
    user: bytes | None = None
    password: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class DirectAddress:
    """`direct://`: no tunnel. Only used where the configuration names it."""


TunnelAddress = ShadowsocksAddress | Socks5Address | DirectAddress


def parse_tunnel_url(url: str) -> TunnelAddress:
    """Read a tunnel's URL.

    Raises:
        ValueError: with what is wrong and what would be right, without the user part.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        raise ValueError("a tunnel's URL begins with ss://, socks5:// or direct://")
    if scheme == "direct":
        if rest.strip("/"):
            raise ValueError("direct:// stands alone, without a host")
        return DirectAddress()
    rest, _, tag = rest.partition("#")
    rest, _, query = rest.partition("?")
    # The last "@": a base64 key may hold an unescaped "/", and is taken as it was meant.
    user, at, place = rest.rpartition("@")
    if scheme == "ss":
        if not at:
            raise ValueError("an ss:// URL needs method and key: ss://method:key@host:port")
        return _shadowsocks(user, _parse_host(place), query, tag)
    if scheme == "socks5":
        if query or tag:  # else "socks5://user:12#34@host:1080" would lead to a host called "user"
            raise ValueError(f"a socks5:// URL ends behind its port; {_ESCAPE}")
        return _socks5(user if at else None, _parse_host(place))
    # The scheme is not shown: of a URL that begins with its key, it would be the key.
    raise ValueError("what stands before :// is no tunnel known here; write ss://, socks5:// or direct://")


def _shadowsocks(user: str, host: TunnelHost, query: str, tag: str) -> ShadowsocksAddress:
    if any(name == "plugin" and value for name, value in parse_qsl(query, keep_blank_values=True)):
        raise ValueError("SIP003 plugins are not supported: a plugin is a program of its own; use a tunnel without one")
    plain = ":" in user
    name, _, password = (user if plain else _from_base64url(user)).partition(":")
    if plain:
        name, password = _percent_decode(name), _percent_decode(password)
    method = METHODS.get(name)
    if method is None:  # the name is not shown: it may be the key
        raise ValueError(f"what stands before the colon is not a method known here; known are {', '.join(METHODS)}")
    if method.edition == 2022 and not plain:
        raise ValueError(f"with {name} method and key stand in plain, percent-encoded, not in base64url (SIP002)")
    identity_keys, key = read_key_chain(method, password)
    return ShadowsocksAddress(host, method, key, _percent_decode(tag), identity_keys)


def _socks5(user: str | None, host: TunnelHost) -> Socks5Address:
    if user is None:
        return Socks5Address(host)
    name, colon, password = user.partition(":")
    decoded = unquote_to_bytes(name), unquote_to_bytes(password)
    if not colon or not all(1 <= len(part) <= 255 for part in decoded):
        raise ValueError("write socks5://user:password@host:port; user and password have 1 to 255 bytes (RFC 1929)")
    return Socks5Address(host, *decoded)


def _parse_host(place: str) -> TunnelHost:
    host, colon, port = place.removesuffix("/").rpartition(":")
    if not colon:
        raise ValueError("the URL needs a port: host:port, [2001:db8::1]:port")
    try:
        number = parse_port(port)
    except ValueError:  # its text shows what was found: a piece of the key, where that holds an unescaped "#" or "?"
        raise ValueError(f"the port is not a number from 0 to 65535; {_ESCAPE}") from None
    if number == 0:
        raise ValueError("port 0 can't be connected to")
    if not host.startswith("["):
        if ":" in host:
            raise ValueError("an IPv6 address stands in brackets: [2001:db8::1]:8388")
        if not is_host_name(host):
            raise ValueError(f"what stands before the port is neither an IP address nor a host name; {_ESCAPE}")
        return TunnelHost(host, number)
    try:
        return TunnelHost(str(IPv6Address(host.removeprefix("[").removesuffix("]"))), number)
    except ValueError:
        raise ValueError("what stands in brackets is not an IPv6 address") from None


def is_host_name(text: str) -> bool:
    """Whether that is an IPv4 address or a host name."""
    return len(text) <= 253 and _HOST_NAME.fullmatch(text) is not None


def _from_base64url(text: str) -> str:
    """Padded or not, and the padding percent-encoded or not."""
    data = unquote_to_bytes(text).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise ValueError("the user part is neither method:key nor the base64url of it") from None


def _percent_decode(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError("the URL holds percent-encoded bytes that are not UTF-8") from None
