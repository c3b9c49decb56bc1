"""Settings of the rules, `[[filters.rules]]`: conditions and what is done when they hold."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from msgspec import Meta

from filters.codes import DomainName, Opcode, OptionCode, QueryClass, QueryType, Range, Rcode, TimeOfDay
from filters.settings.base import Settings
from filters.settings.limits import RateLimit
from filters.values import Network

T = TypeVar("T")

Name = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Transport = Literal["udp", "tcp", "tls"]
Flag = Literal["aa", "tc", "rd", "ra", "z", "ad", "cd"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Cookie = Literal["none", "client", "valid", "expired", "bad"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Flags(Settings, frozen=True, kw_only=True):
    """`[filters.rules.when.flags]`: bits of the header."""

    set: Annotated[Flag | tuple[Flag, ...], Meta(description="all of these are set")] = ()
    unset: Annotated[Flag | tuple[Flag, ...], Meta(description="none of these is")] = ()


class Tlv(Settings, frozen=True, kw_only=True):
    """`[[filters.rules.when.tlv]]`: a TLV of the PROXY header that the client's address came with."""

    type: Annotated[int, Meta(ge=0, le=255, description="its type")]
    value: Annotated[str | None, Meta(description='its whole value, as text, or as bytes written "0x0a0b"')] = None
    prefix: Annotated[str | None, Meta(description="what its value begins with, written likewise")] = None


class Window(Settings, frozen=True, kw_only=True, rename={"from_": "from"}):
    """`[filters.rules.when.time]`: a part of every week, in UTC. One that ends before it begins goes past midnight, and
    its day is that of the beginning.
    """

    days: Annotated[Day | tuple[Day, ...], Meta(description="days of the week")] = DAYS
    from_: Annotated[TimeOfDay, Meta(description="from this time on")] = TimeOfDay(0)
    to: Annotated[TimeOfDay, Meta(description="until this time")] = TimeOfDay(24 * 60)


class When(Settings, frozen=True, kw_only=True, rename={"not_": "not"}):
    """`[filters.rules.when]`: what a message must be like. All that is written must hold; without anything, every
    message is. Of a list, one is enough. What a message lacks (a question, EDNS, a TLV) matches nothing.
    """

    client: Annotated[Network | tuple[Network, ...], Meta(description="prefixes of its address")] = ()
    client_list: Annotated[Name | tuple[Name, ...], Meta(description="a list that knows its address")] = ()
    qname_list: Annotated[Name | tuple[Name, ...], Meta(description="a list that knows the name")] = ()
    listener: Annotated[str | tuple[str, ...], Meta(description="the address of a listener, as written there")] = ()
    transport: Annotated[Transport | tuple[Transport, ...], Meta(description="how it came")] = ()
    qname: Annotated[DomainName | tuple[DomainName, ...], Meta(description="just this name")] = ()
    qname_suffix: Annotated[
        DomainName | tuple[DomainName, ...], Meta(description="this name and all names below it")
    ] = ()
    qname_regex: Annotated[
        str | tuple[str, ...],
        Meta(description="a regular expression that matches anywhere in the name as text, unless anchored by ^ and $"),
    ] = ()
    zone: Annotated[
        DomainName | tuple[DomainName, ...],
        Meta(description="the zone of filters.zones that the name lies in, the deepest one"),
    ] = ()
    labels: Annotated[Range | None, Meta(description='labels of the name without the root, such as 5 or "10-"')] = None
    qtype: Annotated[QueryType | tuple[QueryType, ...], Meta(description="type asked for, such as AAAA or TYPE65")] = ()
    qclass: Annotated[QueryClass | tuple[QueryClass, ...], Meta(description="class asked for: IN, or CH")] = ()
    opcode: Annotated[Opcode | tuple[Opcode, ...], Meta(description="QUERY, NOTIFY or UPDATE")] = ()
    flags: Flags | None = None
    edns: Annotated[bool | None, Meta(description="whether it has EDNS")] = None
    edns_version: Annotated[Range | None, Meta(description="version of EDNS")] = None
    edns_options: Annotated[
        OptionCode | tuple[OptionCode, ...], Meta(description="EDNS options, such as NSID or OPTION65001")
    ] = ()
    edns_size: Annotated[Range | None, Meta(description="the UDP size that EDNS says; at least 512")] = None
    do: Annotated[bool | None, Meta(description="whether DNSSEC records are asked for (DO)")] = None
    ecs: Annotated[bool | None, Meta(description="whether it has a client subnet (RFC 7871)")] = None
    cookie: Annotated[
        Cookie | tuple[Cookie, ...], Meta(description="what it shows of a DNS cookie, while filters.cookies are on")
    ] = ()
    qdcount: Annotated[Range | None, Meta(description="records in the question section, by the header")] = None
    ancount: Annotated[Range | None, Meta(description="records in the answer section")] = None
    nscount: Annotated[Range | None, Meta(description="records in the authority section")] = None
    arcount: Annotated[Range | None, Meta(description="records in the additional section")] = None
    size: Annotated[Range | None, Meta(description="bytes of the message")] = None
    trailing: Annotated[bool | None, Meta(description="whether bytes stand behind the last record")] = None
    signed: Annotated[bool | None, Meta(description="whether it has TSIG or SIG(0), which is not verified")] = None
    server_name: Annotated[
        DomainName | tuple[DomainName, ...], Meta(description="the name that a TLS client asked for (SNI)")
    ] = ()
    server_name_suffix: Annotated[
        DomainName | tuple[DomainName, ...], Meta(description="the same, with all names below it")
    ] = ()
    tlv: tuple[Tlv, ...] = ()
    tag: Annotated[Name | tuple[Name, ...], Meta(description="a tag that an earlier rule has set")] = ()
    probability: Annotated[
        float | None, Meta(ge=0, le=1, description="a share of all messages, drawn for each message and rule")
    ] = None
    time: Window | None = None
    all: tuple[When, ...] = ()
    any: tuple[When, ...] | None = None
    not_: When | None = None


class ExtendedError(Settings, frozen=True, kw_only=True):
    """`[filters.rules.ede]`: why, for clients that asked with EDNS (RFC 8914)."""

    code: Annotated[int, Meta(ge=0, le=65_535, description="such as 15 (blocked), 17 (filtered), 18 (prohibited)")]
    text: Annotated[str, Meta(max_length=96, description="a few words; at most 96 bytes")] = ""


Action = Literal["allow", "drop", "refuse", "rcode", "truncate", "limit", "tag", "route", "delay", "mirror", "observe"]


class Rule(Settings, frozen=True, kw_only=True):
    """`[[filters.rules]]`: what is done with which messages. Rules are tried in their order behind the served zones
    and before the rate limits. These actions end it: allow (no rate limits either), drop, refuse, rcode, truncate (UDP
    only), route (the rate limits still apply), and limit for what is over it. After tag, delay (TCP and TLS only),
    mirror and observe the next rule is tried. See docs/rules.md.
    """

    name: Annotated[Name, Meta(description="its name in metrics and explanations; keeps its counter over reloads")]
    when: When = When()
    action: Annotated[Action, Meta(description="what is done")]
    rcode: Annotated[Rcode | None, Meta(description="rcode: the response code, such as NXDOMAIN")] = None
    ede: ExtendedError | None = None
    limit: RateLimit | None = None
    tag: Annotated[Name | None, Meta(description="tag: the tag that it sets")] = None
    pool: Annotated[Name | None, Meta(description="route: a pool of backends")] = None
    delay: Annotated[int | None, Meta(ge=1, le=60_000, description="delay: milliseconds")] = None
    mirror: Annotated[str | None, Meta(description="mirror: the address and port that gets a copy over UDP")] = None
