"""Settings of the wire check and of its error replies."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from filters.settings.base import Settings

Choice = Literal["pass", "formerr", "drop"]


class Checks(Settings, frozen=True, kw_only=True):
    """`[filters.checks]`: rows of the wire check that leave a choice."""

    tc_bit: Annotated[Literal["pass", "drop"], Meta(description="a query with the TC bit set")] = "pass"
    trailing_bytes: Annotated[Choice, Meta(description="bytes behind the last record")] = "formerr"
    any_over_udp: Annotated[
        Literal["pass", "truncate", "refuse"], Meta(description="QTYPE ANY over UDP (RFC 8482)")
    ] = "truncate"
    chaos: Annotated[bool, Meta(description="pass class CH: version.bind, id.server and the like")] = False


class ErrorBudget(Settings, frozen=True, kw_only=True):
    """`[filters.error_budget]`: how many error replies are given before faulty messages are dropped instead.

    One second's worth may be given at once. UDP and streams (TCP, TLS) have a budget each, so that forged datagrams
    can't use up that of real connections. 0 gives no error reply at all.
    """

    rate: Annotated[int, Meta(ge=0, le=1_000_000, description="error replies a second in total")] = 1000
    prefix_rate: Annotated[
        int, Meta(ge=0, le=1_000_000, description="error replies a second to one prefix (/24, /56)")
    ] = 10
