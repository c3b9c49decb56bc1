"""The defences that are compared: what an operator would write for one zone, as equal as both languages allow."""

from __future__ import annotations

from proxy.values import Endpoint

PER_CLIENT = 2000  # queries a second of one address


def zonegate_defence(listen: Endpoint, backend: Endpoint, zone: str) -> str:
    """The configuration of zonegate, without version and admin address."""
    return f"""\
[ingress]
workers = 0

[[ingress.listeners]]
address = "{listen}"

[[ingress.backends]]
name = "node"
address = "{backend}"

[filters]
zones = ["{zone}"]

[[filters.rate_limits]]
key = "client-prefix"
rate = {PER_CLIENT}
burst = {PER_CLIENT}
action = "drop"
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
