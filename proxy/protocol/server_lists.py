"""A list of Shadowsocks servers as providers publish it (SIP008, JSON), read once into frozen values.

    {"version": 1, "bytes_used": 0, "bytes_remaining": 0,
     "servers": [{"id": UUID, "remarks": "name", "server": "host", "server_port": 8388, "password": "…",
                  "method": "2022-blake3-aes-256-gcm", "plugin": "", "plugin_opts": ""}]}

The list comes from the network. A document that is not of this form is refused as a whole, so that the one before
stays in force; a server that can't be used here is left out with the reason, and does not take the others with it. A
plugin (SIP003) is a program to be run, and is never taken from a list. Unknown fields are allowed by SIP008. No reason
shows a password.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from proxy.protocol.identity import read_key_chain
from proxy.protocol.methods import METHODS
from proxy.protocol.tunnel_urls import ShadowsocksAddress, TunnelHost, is_host_name

MAX_BYTES = 1 << 20
MAX_SERVERS = 1024
_MAX_NAME = 128  # characters


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A server that can be used. `id` stays the same from one list of a provider to the next; `name` is for people."""

    id: UUID
    name: str
    address: ShadowsocksAddress


@dataclass(frozen=True, slots=True)
class RefusedServer:
    """A server that can't be used here. `place` counts from 1."""

    place: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServerList:
    """The whole list, in its order. The numbers of bytes are what the provider says of the user's allowance."""

    servers: tuple[ListedServer, ...]
    refused: tuple[RefusedServer, ...]
    bytes_used: int | None = None
    bytes_remaining: int | None = None


class _Server(msgspec.Struct, frozen=True):
    id: UUID
    remarks: str
    server: str
    server_port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    password: str
    method: str
    plugin: str | None = None

    def __repr__(self) -> str:
        return f"<server {self.id}>"  # not the password, which msgspec would show


_Bytes = Annotated[int, msgspec.Meta(ge=0)]


class _Document(msgspec.Struct, frozen=True):
    version: Literal[1]
    servers: list[msgspec.Raw]
    bytes_used: _Bytes | None = None
    bytes_remaining: _Bytes | None = None


def parse_server_list(document: bytes) -> ServerList:
    """Read a SIP008 document.

    Raises:
        ValueError: it is too long, not JSON, not of this form, or none of its servers can be used.
    """
    if len(document) > MAX_BYTES:
        raise ValueError(f"the server list has {len(document)} bytes; the limit is {MAX_BYTES}")
    try:
        found = msgspec.json.decode(document, type=_Document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"not a server list as SIP008 has it: {_words(error)}") from None
    if len(found.servers) > MAX_SERVERS:
        raise ValueError(f"the server list has {len(found.servers)} servers; the limit is {MAX_SERVERS}")
    servers: dict[UUID, ListedServer] = {}
    refused: list[RefusedServer] = []
    for place, raw in enumerate(found.servers, 1):
        name = ""
        try:
            server = _decode(raw)
            name = printable(server.remarks)
            if server.id in servers:
                raise ValueError("its id is that of a server before it")
            servers[server.id] = ListedServer(server.id, name, _address(server))
        except ValueError as error:
            refused.append(RefusedServer(place, name, str(error)))
    if not servers:
        why = f"; the first: {refused[0].reason}" if refused else ""
        raise ValueError(f"none of the {len(refused)} servers of the list can be used{why}")
    return ServerList(tuple(servers.values()), tuple(refused), found.bytes_used, found.bytes_remaining)


def printable(text: str) -> str:
    """`text` as it may stand in a log: without control and format characters, and not long."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[:_MAX_NAME]).split())


def _decode(raw: msgspec.Raw) -> _Server:
    try:
        return msgspec.json.decode(raw, type=_Server)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(_words(error)) from None


def _address(server: _Server) -> ShadowsocksAddress:
    if server.plugin:
        raise ValueError(
            f"it needs the plugin {printable(server.plugin)!r}: a program to be run, not taken from a list"
        )
    method = METHODS.get(server.method)
    if method is None:  # the name is not shown: it may be the password
        raise ValueError(f"its method is not known here; known are {', '.join(METHODS)}")
    identity_keys, key = read_key_chain(method, server.password)
    return ShadowsocksAddress(
        TunnelHost(_host(server.server), server.server_port), method, key, printable(server.remarks), identity_keys
    )


def _host(text: str) -> str:
    """A name or an address; an IPv6 address may stand in brackets or not."""
    if is_host_name(text):
        return text
    try:
        return str(IPv6Address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError("its server is neither an IP address nor a host name") from None


def _words(error: Exception) -> str:
    """What is wrong and where, without what was found there."""
    return str(error) if isinstance(error, msgspec.DecodeError) else "nested too deep, or not UTF-8"
