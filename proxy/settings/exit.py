"""Settings of the far end of tunnels: `[exit]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Seconds, Settings
from proxy.values import Destination, Endpoint, Secret


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
    key: Annotated[Secret, Meta(description="2022: base64 of 16 or 32 random bytes; before: a password")]
    allow: Annotated[
        tuple[Destination, ...], Meta(min_length=1, description="prefix and port that it opens; nothing else")
    ]
    idle_timeout: Annotated[
        Seconds, Meta(description="a connection on which nothing moves either way for this long is closed")
    ] = 300.0
    handshake_timeout: Annotated[Seconds, Meta(description="the first header must have come within this")] = 10.0
    connect_timeout: Annotated[Seconds, Meta(description="the connection to a primary must stand within this")] = 5.0
    connections: Annotated[int, Meta(ge=1, le=1_000_000, description="open TCP connections")] = 10_000
    associations: Annotated[
        int, Meta(ge=1, le=1_000_000, description="UDP sessions kept; one silent for 60 s makes room")
    ] = 4096
