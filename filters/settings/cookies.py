"""Settings of DNS cookies, `[filters.cookies]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from filters.settings.base import Settings
from filters.values import Secret


class Cookies(Settings, frozen=True, kw_only=True):
    """`[filters.cookies]`: DNS cookies (RFC 7873, RFC 9018), made and verified here for all backends.

    With a `secret` they are on; without, the option passes both ways untouched. A valid cookie proves the client's
    address as a TCP connection does: limits that truncate, and response rate limits, don't hold for it. Signed
    queries and their answers are never changed, so their option passes untouched. See docs/cookies.md.
    """

    secret: Annotated[
        Secret | None,
        Meta(description="32 hex digits, the same on all servers of the zone; `zonegate cookie-secret` makes one"),
    ] = None
    accepted_secrets: Annotated[
        tuple[Secret, ...],
        Meta(max_length=3, description="secrets whose cookies are valid too, while `secret` is being replaced"),
    ] = ()
    unverified: Annotated[
        Literal["pass", "badcookie", "truncate"],
        Meta(
            description="a query over UDP without a valid cookie: pass it; answer BADCOOKIE if it has a cookie at all; "
            "or answer TC, so that only clients with cookies and TCP get through"
        ),
    ] = "pass"
    slip: Annotated[
        int, Meta(ge=1, le=1000, description="answer one in so many of those with BADCOOKIE or TC, drop the others")
    ] = 1
    forward: Annotated[
        bool, Meta(description="pass the option on, to backends with the same secret that see the client's address")
    ] = False
