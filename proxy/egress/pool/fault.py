"""Whose fault a failure is, as far as one failure tells, and what an operator can do about it.

| fault | examples | another tunnel helps |
|---|---|---|
| tunnel | the exit refuses the connection, or does not speak the protocol | yes |
| configuration | wrong key, clock off, the exit may not open the primary | yes, and somebody must repair it |
| primary | the exit says that it can't reach the primary (SOCKS replies 3 to 6, RFC 1928 §6) | perhaps |
| unknown | silence, a close before any answer: exit and primary look alike | perhaps |

A hard failure leaves no doubt about the tunnel; the others may be a lost packet.
"""

from __future__ import annotations

from typing import Literal

from proxy.errors import NO_DESCRIPTORS, PrimaryError, ProxyError, SetupError

Fault = Literal["tunnel", "configuration", "primary", "unknown"]

_CONFIGURATION = frozenset(("authentication", "clock-skew", "not-allowed", "not-supported", "no-udp"))
_TUNNEL = frozenset(
    (
        "bad-address",
        "connect-timeout",
        "handshake-timeout",
        "malformed",
        "refused",
        "short-header",
        "tunnel-refused",
        "unreachable",
        "unresolved",
        "wrong-salt",
        "wrong-type",
    )
)

_REMEDIES = {
    "authentication": "the key or password of this tunnel is not the exit's: compare both",
    "broken": "an exit resets what it may not open or can't reach: its log says which; in a chain, that of each exit",
    "clock-skew": "the clocks of gateway and exit differ by more than 30 s: set them by NTP",
    "closed": "the exit or the primary hung up: see the exit's log; it may not open this primary, can't reach it, or "
    "the primary refuses its address",
    "connect-timeout": "the exit's address does not answer: is its port right, and open in the firewalls between?",
    "handshake-timeout": "the SOCKS server accepts connections and says nothing: is it one, and is it overloaded?",
    "malformed": "what answers there does not speak this tunnel's protocol: check scheme and port of the URL",
    "no-answer": "silence: the primary is down or drops the exit's address, or an exit is silent, as it is to a wrong "
    "key, to a clock more than 30 s off and about addresses that it may not open; its log says which",
    NO_DESCRIPTORS: "this machine, no tunnel: raise the limit of open files (`LimitNOFILE=` of systemd, `ulimit -n`)",
    "no-udp": "this tunnel carries TCP only: name another beside it for UDP",
    "not-allowed": "the rules of the SOCKS server forbid it: allow the primary's address and port there",
    "not-supported": "the SOCKS server can't do this (UDP ASSOCIATE, probably): use another for UDP",
    "primary-refused": "the primary is reached and refuses: does it listen there, and for the exit's address?",
    "primary-unreachable": "the exit works, the primary can't be reached from it: check the primary, and the way there",
    "refused": "nothing listens at the exit's address: is the exit running, and is the port right?",
    "tunnel-refused": "the SOCKS server failed in general: see its log",
    "unresolved": "the exit's name can't be looked up: write its address into the URL, or repair the resolver",
    "unreachable": "there is no way to the exit's address: check routes, its name, and the source address",
}
_SILENCE = frozenset(("broken", "closed", "no-answer"))
_REMEDY_DIRECT = "no answer from the primary's address: is it running, does it allow ours, and is there a way to it?"


def fault_of(error: ProxyError, kind: str) -> Fault:
    """Whose fault it is. `kind` is that of the tunnel: where there is none, its faults are the primary's."""
    if isinstance(error, PrimaryError):
        return "primary"
    if isinstance(error, SetupError) or error.reason in _CONFIGURATION:
        return "configuration"
    if error.reason in _TUNNEL:
        return "primary" if kind == "direct" else "tunnel"
    return "unknown"


def remedy(reason: str, kind: str = "") -> str:
    """What to do, in words; empty where there is nothing better than the error itself."""
    if kind == "direct" and reason in _TUNNEL | _SILENCE:
        return _REMEDY_DIRECT
    return _REMEDIES.get(reason, "")
