"""Settings of the keys that sign DNS messages: `[[tsig_keys]]` (RFC 8945)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Settings
from proxy.values import Secret

TsigAlgorithm = Literal["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1"]


class TsigKey(Settings, frozen=True, kw_only=True):
    """`[[tsig_keys]]`: a key that nodes and primaries share, known here so that what it signs can be verified."""

    name: Annotated[
        str, Meta(min_length=1, max_length=255, description="the name of the key, a domain name as both sides write it")
    ]
    algorithm: Annotated[TsigAlgorithm, Meta(description="as both sides write it")] = "hmac-sha256"
    secret: Annotated[Secret, Meta(description="the key itself, base64")]
