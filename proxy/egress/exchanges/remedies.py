"""What to do about queries that were not passed on, answers that were rejected, and primaries that refuse."""

from __future__ import annotations

from dns.rcode import Rcode

REFUSALS = {
    "authentication": "no or a wrong password: compare it with `users` of this door",
    "no-method": "the client offers no way to log in that this door takes: with `users` it must send a password",
    "target": "not the `address` of a primary of this door: name that, with its port, or add the primary",
    "target-by-name": "nobody looks up names here: let the client send the primary's address",
    "address": "not in `allow` of this forwarder: add the node's address, or find out who asks",
    "too-many-connections": "`connections` of this forwarder are in use: raise it, or see why nodes keep so many open",
    "too-many-queries": "`queries` of this forwarder wait already: raise it, or see why the primary is slow",
    "zone": "not in `zones` of this forwarder: add the zone, or take it from the node",
    "type": "forwarders pass SOA, AXFR and IXFR: does a resolver or a client use this address?",
    "opcode": "forwarders pass queries: UPDATE and NOTIFY of nodes go to the primary by another way",
    "axfr-over-udp": "AXFR goes over TCP (RFC 5936): see the node's settings",
    "tsig-missing": "primaries.tsig_key is set, so the node must sign: give it that key, or take tsig_key out",
    "tsig-key": "the node signs with another key or algorithm than primaries.tsig_key: compare both",
    "tsig-mac": "the secret here is not the node's: compare the secrets of [[tsig_keys]] and of the node",
    "tsig-time": "the clocks of node and gateway differ by more than the fudge: set both by NTP",
    "queue-full": "transfers.queue is full: see in `zonegate status` which primary is slow, or raise its `transfers`",
    "queue-timeout": "it waited for transfers.patience: see which primary is slow; raise its `transfers` or soa_rate",
}
"""By the reason of what a forwarder refuses."""

_LIMIT = "if the zone is what it should be, raise primaries.limits.{}"
_VERDICTS = {
    "too-many-bytes": _LIMIT.format("bytes"),
    "too-many-records": _LIMIT.format("records"),
    "too-many-messages": _LIMIT.format("messages"),
    "rrset-too-large": _LIMIT.format("rrset"),
    "too-long": _LIMIT.format("seconds"),
    "too-slow": "see why primary or tunnel is slow, or lower primaries.limits.rate_bytes",
    "idle": "see why primary or tunnel stalls, or raise primaries.limits.idle",
    "clock": "the clocks of gateway and primary differ by more than the fudge: set both by NTP",
    "tsig-mac": "the secret in [[tsig_keys]] is not the primary's, or the answer was changed on the way: compare both",
    "tsig-missing": "the query was signed and the answer is not: the primary does not know the key",
    "serial-not-newer": "the primary went back to an older version: give it a newer serial, or set limits.allow_older",
    "cut": "see the logs of the primary and of the exit",
}


def remedy_of_verdict(reason: str) -> str:
    """What to do about an answer that the guard rejected."""
    return _VERDICTS.get(reason, "the primary must mend it; the nodes keep their zone (docs/guard.md has the reason)")


_CODES = {
    Rcode.REFUSED: "allow the exit's address there, or the TSIG key of the nodes, for SOA and transfers of the zone",
    Rcode.NOTAUTH: "the primary does not have the zone, or does not take the TSIG key: compare name, algorithm, secret "
    "and clocks with its own",
    Rcode.SERVFAIL: "the primary can't serve the zone, as one that is not loaded or has expired: see its log",
    Rcode.NXDOMAIN: "the primary knows a zone above it, and no such name: is the zone configured there?",
}


def remedy_of_code(code: int) -> str:
    """What to do about an answer of a primary that brings no zone."""
    try:
        return _CODES.get(Rcode(code), "see the primary's log")
    except ValueError:  # above 15: not from a header
        return "see the primary's log"
