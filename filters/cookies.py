"""From the settings of DNS cookies to the row that the data plane takes."""

from __future__ import annotations

import re
from typing import TypedDict

from filters.errors import FilterError
from filters.settings.cookies import Cookies
from filters.values import Secret

_DIGITS = re.compile(r"[0-9a-fA-F]{32}")


class CookieRow(TypedDict):
    """What `dataplane.Policy` takes as `cookies`."""

    secret: bytes
    accepted: list[bytes]
    unverified: str
    slip: int
    forward: bool


def cookie_row(settings: Cookies) -> CookieRow | None:
    """The row for the data plane; None while cookies are off.

    Raises:
        FilterError: a secret is none.
    """
    if settings.secret is None:
        return None
    return {
        "secret": secret_bytes(settings.secret),
        "accepted": [secret_bytes(secret) for secret in settings.accepted_secrets],
        "unverified": settings.unverified,
        "slip": settings.slip,
        "forward": settings.forward,
    }


def secret_bytes(secret: Secret) -> bytes:
    """The 16 bytes of a cookie secret (RFC 9018 section 4.4), which is written as BIND, NSD and Knot DNS write it.

    Raises:
        FilterError: not 32 hexadecimal digits. The text does not show what it is.
    """
    text = secret.reveal().strip()
    if not _DIGITS.fullmatch(text):
        raise FilterError("a cookie secret is 32 hexadecimal digits; `zonegate cookie-secret` makes one")
    return bytes.fromhex(text)
