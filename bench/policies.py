"""The defences that are compared: what an operator would write for one zone, as equal as both languages allow."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

from bench.peers.zonegate import UNREACHED, door
from proxy.values import Endpoint

PER_CLIENT = 2000  # queries a second of one address
NODE_CAPACITY = 10_000  # queries a second of the node behind both


def zonegate_defence(listen: Endpoint, backend: Endpoint, zone: str) -> str:
    """The configuration of zonegate, without version and admin address.

    Beyond half of what the node can answer, who has not shown its address to be its own is asked to: by cookie or TCP.
    """
    return f"""\
{door(listen, backend, zone)}
[filters.cookies]
secret = "{secrets.token_hex(16)}"

[[filters.rate_limits]]
name = "client"
key = "client-prefix"
rate = {PER_CLIENT}
burst = {PER_CLIENT}
action = "drop"

[[filters.rate_limits]]
name = "unproven"
key = "zone"
rate = {NODE_CAPACITY // 2}
burst = {NODE_CAPACITY // 10}
action = "truncate"
slip = 10

[[filters.dynamic_blocks]]
name = "malformed"
what = "malformed"
prefix_v4 = 24
rate = 50
ratio = 0.5
ladder = ["drop"]

[[filters.dynamic_blocks]]
name = "any"
what = "qtype"
of = "ANY"
prefix_v4 = 24
rate = 100
ladder = ["drop"]

[[filters.dynamic_blocks]]
name = "random-subdomains"
what = "random-subdomains"
by = "suffix"
rate = 500
ratio = 0.5
"""


def dnsdist_defence(zone: str) -> str:
    """Rules of dnsdist: foreign names, ANY, odd opcodes and counts, a limit for each client, and dynamic blocks."""
    return f"""\
addAction(NotRule(makeRule("{zone}")), RCodeAction(DNSRCode.REFUSED))
addAction(AndRule({{QTypeRule(DNSQType.ANY), TCPRule(false)}}), TCAction())
addAction(OrRule({{OpcodeRule(1), OpcodeRule(2), OpcodeRule(3), OpcodeRule(6)}}), RCodeAction(DNSRCode.NOTIMP))
addAction(NotRule(RecordsCountRule(DNSSection.Question, 1, 1)), DropAction())
addAction(NotRule(RecordsCountRule(DNSSection.Answer, 0, 0)), DropAction())
addAction(MaxQPSIPRule({PER_CLIENT}, 32, 64), DropAction())
local blocks = dynBlockRulesGroup()
blocks:setQueryRate({PER_CLIENT}, 5, "query rate", 60)
blocks:setRCodeRate(DNSRCode.NXDOMAIN, 50, 5, "NXDOMAIN rate", 60)
blocks:setRCodeRate(DNSRCode.SERVFAIL, 50, 5, "SERVFAIL rate", 60)
blocks:setQTypeRate(DNSQType.ANY, 20, 5, "ANY rate", 60)
function maintenance()
  blocks:apply()
end
"""


LISTED = 100_000  # names of the list


def listed_names() -> Iterator[str]:
    """Names that nobody asks for, a list of them."""
    return (f"bad{number}.listed{number % 997}.example" for number in range(LISTED))


def zonegate_whole(listen: Endpoint, backend: Endpoint, zone: str, names: Path) -> str:
    """A whole policy: 50 rules, a list of 100,000 suffixes, and five limits. No query of the load meets any of them."""
    rules = "".join(
        f"[[filters.rules]]\nname = 'rule-{number}'\nwhen = {{ {condition} }}\naction = 'drop'\n"
        for number, condition in enumerate(_conditions())
    )
    keys = ('"client-prefix"', '["client-prefix", "qtype"]', '"zone"', '"qtype"', '"global"')
    limits = "".join(
        f"[[filters.rate_limits]]\nkey = {key}\nrate = {UNREACHED}\nburst = {UNREACHED}\naction = 'drop'\n"
        for key in keys
    )
    return f"""\
{door(listen, backend, zone)}
[[filters.lists]]
name = "listed"
file = "{names}"
format = "plain"
subdomains = true
action = "drop"

{rules}{limits}"""


def _conditions() -> Iterator[str]:
    """50 conditions of the kinds that operators write."""
    for number in range(10):
        yield f"client = '203.0.{number}.0/24'"
        yield f"qname_suffix = 'attack{number}.example'"
        yield f"qtype = 'TYPE{65000 + number}'"
    for number in range(8):
        yield f"client = '198.18.{number}.0/24', qtype = ['TXT', 'ANY']"
        yield f"qname = 'victim{number}.bench.example', transport = 'udp'"
    yield "qname_regex = '^[a-z0-9]{40,}[.]'"
    yield "labels = '12-'"
    yield "edns_version = '1-'"
    yield "size = '512-'"


def dnsdist_whole(names: Path) -> str:
    """The nearest equal in dnsdist: the same conditions, one suffix tree, and five limits by address and in total."""
    rules = []
    for number in range(10):
        rules += [
            f'addAction(makeRule("203.0.{number}.0/24"), DropAction())',
            f'addAction(makeRule("attack{number}.example"), DropAction())',
            f"addAction(QTypeRule({65000 + number}), DropAction())",
        ]
    for number in range(8):
        rules += [
            f'addAction(AndRule({{makeRule("198.18.{number}.0/24"), '
            "OrRule({QTypeRule(DNSQType.TXT), QTypeRule(DNSQType.ANY)})}), DropAction())",
            f'addAction(AndRule({{QNameRule("victim{number}.bench.example"), TCPRule(false)}}), DropAction())',
        ]
    # MaxQPSRule matches what is within the rate, MaxQPSIPRule what is over it.
    limits = [
        f"addAction(MaxQPSIPRule({UNREACHED}, 32, 64), DropAction())",
        f"addAction(MaxQPSIPRule({UNREACHED}, 24, 56), DropAction())",
        f'addAction(AndRule({{makeRule("bench.example"), NotRule(MaxQPSRule({UNREACHED}))}}), DropAction())',
        f"addAction(AndRule({{QTypeRule(DNSQType.A), NotRule(MaxQPSRule({UNREACHED}))}}), DropAction())",
        f"addAction(NotRule(MaxQPSRule({UNREACHED})), DropAction())",
    ]
    return "\n".join(
        [
            "listed = newSuffixMatchNode()",
            f'for name in io.lines("{names}") do listed:add(newDNSName(name)) end',
            "addAction(SuffixMatchNodeRule(listed), DropAction())",
            *rules,
            'addAction(RegexRule("^[a-z0-9]{40,}[.]"), DropAction())',
            "addAction(QNameLabelsCountRule(0, 11), DropAction())",
            "addAction(AndRule({EDNSVersionRule(0)}), DropAction())",
            "addAction(QNameWireLengthRule(0, 254), DropAction())",
            *limits,
        ]
    )
