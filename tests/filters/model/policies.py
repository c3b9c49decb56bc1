"""Random policies as trees of TOML, from small alphabets so that rules, lists and limits are met often."""

from __future__ import annotations

import typing
from typing import Any

from hypothesis import strategies as st

from filters.settings import Checks, RateLimit, When
from filters.settings.limits import KeyPart
from filters.settings.rules import Action, Flag
from gateway.config.schema import fields

Tree = dict[str, Any]

NAMES = [".", "com", "example.com", "www.example.com", "a.b.example.com", "b.example.com", "example.net", "1a2b.net"]
V4 = ["192.0.2.1", "192.0.2.2", "192.0.2.200", "198.51.100.7", "10.1.2.3"]
V6 = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:1::1"]
PREFIXES = [
    "192.0.2.0/24",
    "192.0.2.1/32",
    "192.0.2.128/25",
    "0.0.0.0/0",
    "10.0.0.0/8",
    "2001:db8::/32",
    "2001:db8::/64",
    "2001:db8::1/128",
    "::/0",
]
LISTENERS = ("192.0.2.53:53", "[2001:db8::53]:53")
POOLS = ("one", "two")
MIRRORS = ["192.0.2.99:53", "[2001:db8::99]:5353"]
TAGS = ["red", "blue"]
SECRETS = ["e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"]
REGEXES = [r"^www\.", r"[0-9a-f]{4,}", r"example\.(com|net)$", r"^a|b\.", r"^\.$", r"\\\\", r"\\255", r"(^|\.)B\.e"]
TYPES = ["A", "ANY", "AXFR", "IXFR", "SOA", "TYPE65", 28]
TYPES_ASKED = [1, 28, 255, 252, 251, 6, 65]
SERVED = ["example.com", "b.example.com", "net"]
LISTS = ["first", "second"]


def some(values: list[Any], most: int = 3) -> st.SearchStrategy[Any]:
    """One value alone, or a list of different ones."""
    item = st.sampled_from(values)
    return st.one_of(item, st.lists(item, min_size=1, max_size=most, unique=True))


def ranges(values: list[int]) -> st.SearchStrategy[Any]:
    """A number, or a range as it is written."""
    ends = st.tuples(st.sampled_from(values), st.sampled_from(values)).map(sorted)
    return st.one_of(
        st.sampled_from(values),
        ends.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.sampled_from(values).map(lambda low: f"{low}-"),
        st.sampled_from(values).map(lambda high: f"-{high}"),
    )


FLAG = some(list(typing.get_args(Flag)), 2)
COUNTS = ranges([0, 1, 2, 3])
TLV = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from([2, 0xE0])}),
    st.fixed_dictionaries({"type": st.sampled_from([2, 0xE0]), "value": st.sampled_from(["ab", "0x0a0b"])}),
    st.fixed_dictionaries({"type": st.sampled_from([2, 0xE0]), "prefix": st.sampled_from(["a", "0x0a"])}),
)
TIMES = st.sampled_from(["00:00", "06:00", "12:30", "22:00"])
DAYS = some(["mon", "tue", "sun"])

LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "client": some(PREFIXES),
    "client_list": some(LISTS, 2),
    "qname_list": some(LISTS, 2),
    "listener": some(list(LISTENERS), 2),
    "transport": some(["udp", "tcp", "tls"]),
    "qname": some(NAMES),
    "qname_suffix": some(NAMES),
    "qname_regex": some(REGEXES),
    "zone": some(SERVED),
    "labels": ranges([0, 1, 2, 3, 4]),
    "qtype": some(TYPES),
    "qclass": some(["IN", "CH", "CLASS3", 254]),
    "opcode": some(["QUERY", "NOTIFY", "UPDATE"]),
    "flags": st.fixed_dictionaries({}, optional={"set": FLAG, "unset": FLAG}),
    "edns": st.booleans(),
    "edns_version": ranges([0, 1]),
    "edns_options": some(["NSID", "ECS", "COOKIE", 65001]),
    "edns_size": ranges([0, 512, 1232, 4096]),
    "do": st.booleans(),
    "ecs": st.booleans(),
    "cookie": some(["none", "client", "valid", "expired", "bad"]),
    "qdcount": COUNTS,
    "ancount": COUNTS,
    "nscount": COUNTS,
    "arcount": COUNTS,
    "size": ranges([12, 29, 33, 40, 56, 80]),
    "trailing": st.booleans(),
    "signed": st.booleans(),
    "server_name": some(NAMES),
    "server_name_suffix": some(NAMES),
    "tlv": st.lists(TLV, min_size=1, max_size=2),
    "tag": some(TAGS, 2),
    "probability": st.sampled_from([0.0, 1.0]),
    "time": st.fixed_dictionaries({}, optional={"days": DAYS, "from": TIMES, "to": st.one_of(TIMES, st.just("24:00"))}),
}
"""Values for each selector; the draw of a probability between 0 and 1 is not modelled."""

assert {*LEAVES, "all", "any", "not"} == set(fields(When)), "every selector is drawn"


@st.composite
def conditions(draw: st.DrawFn, without: frozenset[str], depth: int = 2) -> Tree:
    """What stands in `when`, `without` the selectors that the policy has no use for."""
    known = [key for key in LEAVES if key not in without]
    when = {key: draw(LEAVES[key]) for key in draw(st.lists(st.sampled_from(known), max_size=2, unique=True))}
    if depth and draw(st.integers(0, 3)) == 0:
        below = conditions(without, depth - 1)
        key = draw(st.sampled_from(["all", "any", "not"]))
        when[key] = draw(below if key == "not" else st.lists(below, max_size=3))
    return when


@st.composite
def limits(draw: st.DrawFn) -> Tree:
    """`[[filters.rate_limits]]`, or the limit of a rule."""
    parts = list(typing.get_args(KeyPart))
    limit: Tree = {
        "key": draw(some(parts)),
        "rate": draw(st.sampled_from([1, 2, 3, 5, 10, 50])),
        "action": draw(st.sampled_from(["drop", "truncate", "refuse", "observe"])),
    }
    more: dict[str, st.SearchStrategy[Any]] = {
        "burst": st.sampled_from([1, 2, 3, 4]),
        "unit": st.just("bytes"),
        "algorithm": st.just("decay"),
        "prefix_v4": st.sampled_from([0, 8, 24, 31]),
        "prefix_v6": st.sampled_from([0, 48, 64, 128]),
        "prefixes_v4": st.lists(st.sampled_from(["/32", "/24 x2", "/8 x3"]), min_size=1, max_size=3, unique=True),
        "prefixes_v6": st.lists(st.sampled_from(["/128", "/64 x2", "/32 x3"]), min_size=1, max_size=3, unique=True),
        "scale": st.just("knot"),
        "slip": st.sampled_from([0, 1, 2, 3]),
        "observe": st.booleans(),
        "exempt": st.lists(st.sampled_from(PREFIXES[:3] + PREFIXES[5:7]), max_size=2),
    }
    assert {*limit, *more, "name"} == set(fields(RateLimit)), "every key is drawn"
    for key in draw(st.lists(st.sampled_from(list(more)), max_size=3, unique=True)):
        limit[key] = draw(more[key])
    if limit.get("unit") == "bytes":
        limit |= {"rate": draw(st.sampled_from([20, 50, 100])), "burst": draw(st.sampled_from([10, 60, 150]))}
    return limit


@st.composite
def rules(draw: st.DrawFn, place: int, without: frozenset[str]) -> Tree:
    """One rule."""
    action = draw(st.sampled_from(list(typing.get_args(Action))))
    rule: Tree = {"name": f"r{place}", "when": draw(conditions(without)), "action": action}
    match action:
        case "rcode":
            rule["rcode"] = draw(st.sampled_from(["NOERROR", "NXDOMAIN", "SERVFAIL", "NOTAUTH", "BADVERS", "RCODE4"]))
        case "limit":
            rule["limit"] = draw(limits())
        case "tag":
            rule["tag"] = draw(st.sampled_from(TAGS))
        case "route":
            rule["pool"] = draw(st.sampled_from(["default", *POOLS]))
        case "delay":
            rule["delay"] = draw(st.sampled_from([1, 250, 60_000]))
        case "mirror":
            rule["mirror"] = draw(st.sampled_from(MIRRORS))
    if action in {"refuse", "rcode"} and draw(st.booleans()):
        rule["ede"] = {"code": draw(st.sampled_from([0, 15, 17])), "text": draw(st.sampled_from(["", "no"]))}
    return rule


@st.composite
def checks(draw: st.DrawFn) -> Tree:
    """Choices for some rows of the wire check."""
    words = {key: list(typing.get_args(hint)) for key, hint in typing.get_type_hints(Checks).items()}
    keys = draw(st.lists(st.sampled_from(sorted(words)), max_size=4, unique=True))
    return {key: draw(st.sampled_from(words[key])) for key in keys}


@st.composite
def cookie_settings(draw: st.DrawFn) -> Tree:
    """`[filters.cookies]`, often off."""
    if draw(st.booleans()):
        return {}
    return {
        "secret": SECRETS[0],
        "accepted_secrets": SECRETS[1 : draw(st.integers(1, 2))],
        "unverified": draw(st.sampled_from(["pass", "badcookie", "truncate"])),
        "slip": draw(st.sampled_from([1, 1, 2])),
        "forward": draw(st.booleans()),
    }


@st.composite
def policies(draw: st.DrawFn) -> Tree:
    """`[filters]` but for its lists."""
    cookies = draw(cookie_settings())
    zones = draw(st.sampled_from([["*"], SERVED, ["*", *SERVED]]))
    without = frozenset([*(["cookie"] if not cookies else []), *(["zone"] if zones == ["*"] else [])])
    count = draw(st.integers(0, 6))
    tree: Tree = {
        "zones": zones,
        "checks": draw(checks()),
        "cookies": cookies,
        "rules": [draw(rules(place, without)) for place in range(count)],
        "rate_limits": draw(st.lists(limits(), max_size=3)),
    }
    if draw(st.integers(0, 3)) == 0:
        tree["error_budget"] = {
            "rate": draw(st.sampled_from([0, 1, 3])),
            "prefix_rate": draw(st.sampled_from([0, 1, 2])),
        }
    known = {rule["tag"] for rule in tree["rules"] if "tag" in rule}
    for tag in TAGS:
        if tag not in known:
            tree["rules"].append({"name": f"set-{tag}", "action": "tag", "tag": tag})
    return tree
