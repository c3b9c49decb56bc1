"""Settings of the far end of tunnels: `[exit]` and `[[exit.users]]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.values import Destination, Endpoint, Secret


class ExitUser(Settings, frozen=True, kw_only=True):
    """`[[exit.users]]`: one of several gateways, or other clients, behind one exit."""

    name: Annotated[Name, Meta(description="its name in logs, metrics and `zonegate status`")]
    key: Annotated[Secret, Meta(description="its own key, in the form that `exit.method` asks for")]
    allow: Annotated[
        tuple[Destination, ...],
        Meta(description="of what exit.allow names, this user opens only this; default: all of it"),
    ] = ()
    relay: Annotated[
        Endpoint | None,
        Meta(description="pass what comes for this key on to the exit there, whose key it is (SIP023); open nothing"),
    ] = None
    bytes_per_second: Annotated[
        int | None,
        Meta(
            ge=1024,
            le=1 << 40,
            description="payload of both directions in streams, which wait; as much in datagrams, which are dropped",
        ),
    ] = None
    bytes_burst: Annotated[
        int | None, Meta(ge=1024, le=1 << 40, description="bytes that may pass at once; default: those of one second")
    ] = None
    streams_per_second: Annotated[
        float | None, Meta(gt=0, le=1_000_000, description="new streams; those beyond it wait for their turn")
    ] = None
    streams_burst: Annotated[
        int | None, Meta(ge=1, le=1_000_000, description="new streams at once; default: those of one second")
    ] = None
    connections: Annotated[
        int | None, Meta(ge=1, le=1_000_000, description="open streams; default: as many as the exit has")
    ] = None
    associations: Annotated[
        int | None, Meta(ge=1, le=1_000_000, description="UDP sessions; default: as many as the exit has")
    ] = None


class Exit(Settings, frozen=True, kw_only=True):
    """`[exit]`: this gateway as the far end of tunnels."""

    listen: Annotated[Endpoint, Meta(description="where the tunnels end; TCP and UDP")]
    method: Annotated[
        Literal[
            "2022-blake3-aes-128-gcm",
            "2022-blake3-aes-256-gcm",
            "2022-blake3-chacha20-poly1305",
            "aes-128-gcm",
            "aes-256-gcm",
            "chacha20-ietf-poly1305",
        ],
        Meta(description="the Shadowsocks method; one of the 2022 edition unless the other side can't"),
    ] = "2022-blake3-aes-256-gcm"
    key: Annotated[
        Secret | None,
        Meta(
            description="2022: base64 of 16 or 32 random bytes; before: a password. "
            "With users: the identity key, which all of them know"
        ),
    ] = None
    users: tuple[ExitUser, ...] = ()
    allow: Annotated[
        tuple[Destination, ...], Meta(min_length=1, description="prefix and port that it opens; nothing else")
    ]
    idle_timeout: Annotated[
        Seconds, Meta(description="a connection on which nothing moves either way for this long is closed")
    ] = 300.0
    handshake_timeout: Annotated[Seconds, Meta(description="the first header must have come within this")] = 10.0
    connect_timeout: Annotated[Seconds, Meta(description="the connection to a primary must stand within this")] = 5.0
    connections: Annotated[int, Meta(ge=1, le=1_000_000, description="open TCP connections")] = 10_000
    handshakes_per_address: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="connections of one address (IPv6: of one /64) without a key shown yet; the oldest makes room",
        ),
    ] = 1000
    associations: Annotated[
        int, Meta(ge=1, le=1_000_000, description="UDP sessions kept; one silent for 60 s makes room")
    ] = 4096
