"""Settings of the wire check and of its error replies.

Each row of the check is one key: what is done about a message that breaks it. `observe` counts the message and lets it
pass. What each row is, and which leave no choice, says docs/wire-check.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from filters.settings.base import Settings

# What may be done about a source that no query comes from: it is never answered.
Source = Literal["drop", "observe"]
# What may be done about a malformed message.
Malformed = Literal["formerr", "drop", "observe"]
# What may be done about a message that is well formed, and asks for what is not served here.
Unserved = Literal["refuse", "notimp", "formerr", "drop", "observe"]


class Checks(Settings, frozen=True, kw_only=True):
    """`[filters.checks]`: what is done about a message that breaks a row of the wire check.

    The defaults are what NSD, Knot DNS and BIND do. Error replies stay within the error budget.
    """

    source_port: Annotated[Source, Meta(description="from port 0, or a service that answers whatever it gets")] = "drop"
    source_address: Annotated[Source, Meta(description="from an address that no query can come from")] = "drop"
    own_address: Annotated[Source, Meta(description="from the very address and port that it asks")] = "drop"

    tc_bit: Annotated[
        Literal["pass", "formerr", "drop", "observe"], Meta(description="a query with the TC bit set")
    ] = "pass"
    opcode: Annotated[
        Literal["notimp", "refuse", "formerr", "drop", "observe"],
        Meta(description="an opcode other than QUERY, NOTIFY and UPDATE"),
    ] = "notimp"
    rcode_set: Annotated[Malformed, Meta(description="a query with an RCODE")] = "formerr"
    question_count: Annotated[Malformed, Meta(description="not exactly one question (RFC 9619)")] = "formerr"
    answer_count: Annotated[Malformed, Meta(description="records in the answer section")] = "formerr"
    authority_count: Annotated[Malformed, Meta(description="records in the authority section")] = "formerr"
    additional_count: Annotated[Malformed, Meta(description="more than OPT and a signature behind")] = "formerr"

    name_cut: Annotated[Malformed, Meta(description="QNAME runs past the end")] = "formerr"
    name_label_type: Annotated[Malformed, Meta(description="a label type 01 or 10 in QNAME")] = "formerr"
    name_compressed: Annotated[Malformed, Meta(description="a compression pointer in QNAME")] = "formerr"
    name_too_long: Annotated[Malformed, Meta(description="QNAME is longer than 255 octets")] = "formerr"
    question_cut: Annotated[Malformed, Meta(description="QTYPE or QCLASS runs past the end")] = "formerr"

    record_name: Annotated[Malformed, Meta(description="a record whose owner name can't be read")] = "formerr"
    record_cut: Annotated[Malformed, Meta(description="a record runs past the end")] = "formerr"
    opt_misplaced: Annotated[Malformed, Meta(description="OPT outside the additional section")] = "formerr"
    opt_duplicate: Annotated[Malformed, Meta(description="a second OPT")] = "formerr"
    opt_owner: Annotated[Malformed, Meta(description="OPT at another name than the root")] = "formerr"
    signature_misplaced: Annotated[Malformed, Meta(description="TSIG or SIG(0) is not the last record")] = "formerr"
    tsig_class: Annotated[Malformed, Meta(description="TSIG of another class than ANY")] = "formerr"
    edns_version: Annotated[
        Literal["badvers", "formerr", "drop", "observe"], Meta(description="an EDNS version above 0 (RFC 6891)")
    ] = "badvers"
    edns_options: Annotated[Malformed, Meta(description="EDNS options whose lengths do not add up")] = "formerr"
    edns_cookie: Annotated[Malformed, Meta(description="a COOKIE of an impossible length (RFC 7873)")] = "formerr"
    trailing_bytes: Annotated[
        Literal["pass", "formerr", "drop", "observe"], Meta(description="bytes behind the last record")
    ] = "formerr"

    qtype_zero: Annotated[Malformed, Meta(description="QTYPE 0")] = "formerr"
    qtype_meta: Annotated[Malformed, Meta(description="a type that can't be asked for, such as OPT")] = "formerr"
    tkey: Annotated[Unserved, Meta(description="QTYPE TKEY: keys are not negotiated here")] = "refuse"
    axfr_over_udp: Annotated[
        Literal["formerr", "refuse", "truncate", "drop", "observe"], Meta(description="AXFR over UDP (RFC 5936)")
    ] = "formerr"
    any_over_udp: Annotated[
        Literal["pass", "truncate", "refuse", "notimp", "drop", "observe"],
        Meta(description="QTYPE ANY over UDP (RFC 8482)"),
    ] = "truncate"
    update_zone_type: Annotated[Malformed, Meta(description="an UPDATE whose zone is not of type SOA")] = "formerr"
    chaos: Annotated[
        Literal["pass", "refuse", "notimp", "drop", "observe"],
        Meta(description="class CH: version.bind, id.server and the like"),
    ] = "refuse"
    other_class: Annotated[
        Literal["pass", "refuse", "notimp", "formerr", "drop", "observe"],
        Meta(description="a class other than IN, CH"),
    ] = "refuse"


# The reasons of the keys that are not called as their reason is.
REASONS = {"tkey": "tkey-refused", "chaos": "chaos-refused", "other_class": "class-refused"}


def reason(key: str) -> str:
    """The reason that a key of `[filters.checks]` is about, as in the metrics."""
    return REASONS.get(key, key.replace("_", "-"))


class ErrorBudget(Settings, frozen=True, kw_only=True):
    """`[filters.error_budget]`: how many error replies are given before faulty messages are dropped instead.

    One second's worth may be given at once. UDP and streams (TCP, TLS) have a budget each, so that forged datagrams
    can't use up that of real connections. 0 gives no error reply at all.
    """

    rate: Annotated[int, Meta(ge=0, le=1_000_000, description="error replies a second in total")] = 1000
    prefix_rate: Annotated[
        int, Meta(ge=0, le=1_000_000, description="error replies a second to one prefix (/24, /56)")
    ] = 10
