"""Settings of TLS to a primary, inside the tunnel: `[primaries.tls]` (RFC 9103)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Seconds, Settings
from proxy.values import KeyPin

SYSTEM = "system"
"""The value of `ca` that stands for the authorities of the system."""


class PrimaryTls(Settings, frozen=True, kw_only=True):
    """`[primaries.tls]`: TLS 1.3 to this primary, inside the tunnel (XoT, RFC 9103); it is authenticated, always."""

    server_name: Annotated[
        str | None,
        Meta(
            min_length=1,
            max_length=253,
            description="the name or IP address that its certificate must have; with pins and no `ca`, just told it",
        ),
    ] = None
    ca: Annotated[
        str | None,
        Meta(
            min_length=1,
            description='PEM file of the authorities that vouch for that name, or "system"; '
            "default: those of the system, or nobody where pins are named",
        ),
    ] = None
    pins: Annotated[
        tuple[KeyPin, ...],
        Meta(max_length=8, description="SHA-256 of its public key, base64 (RFC 7858); one of them must fit"),
    ] = ()
    certificate: Annotated[
        str | None,
        Meta(min_length=1, description="PEM file with our certificate and its intermediates, for mutual TLS"),
    ] = None
    key: Annotated[
        str | None, Meta(min_length=1, description="PEM file with the key of our certificate, unencrypted, chmod 600")
    ] = None
    alpn: Annotated[
        Literal["required", "offered"],
        Meta(description='"offered" bears with a primary that selects no ALPN, against RFC 9103, such as NSD 4.6'),
    ] = "required"
    resumption: Annotated[
        bool, Meta(description="use its session tickets, each once, for a shorter handshake without certificates")
    ] = True
    handshake_timeout: Annotated[
        Seconds, Meta(description="the TLS handshake must be done within this, behind the opening of the stream")
    ] = 5.0
