"""The guard's part in an exchange: what it is told to look at, and what becomes of its verdicts.

A verdict is counted by kind and reason. What was accepted and is a transfer becomes an event, and is handed on to
whoever learns from it. What was rejected becomes an event that is thinned out, since a primary can cause as many as
it likes; so does what a primary refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dns.name
import dns.rcode

from dataplane import Answers, GuardLimits, TsigKeys, Verdict
from filters.errors import FilterError
from filters.names import zone_wire
from proxy.egress.counters import ForwarderCounters
from proxy.egress.exchanges.remedies import remedy_of_code, remedy_of_verdict
from proxy.egress.sparse import SparseEmitter
from proxy.protocol.tsig import key_bytes
from proxy.settings import Limits, TsigKey
from proxy.values import Emit, IPAddress

TRANSFERS = frozenset(("axfr", "ixfr", "axfr-style"))
NAMES = 64 << 20  # bytes of owner names that are kept of one transfer for those who learn from it


@dataclass(frozen=True, slots=True)
class Learned:
    """A transfer that was accepted, for those who learn from it."""

    primary: str
    tunnel: str
    verdict: Verdict


class Judge:
    """Of one primary."""

    def __init__(
        self,
        primary: str,
        limits: Limits,
        keys: TsigKeys | None,
        emit: Emit,
        sparse: SparseEmitter,
        learned: Callable[[Learned], None] | None,
    ) -> None:
        self._primary = primary
        self._keys = keys
        self._emit = emit
        self._sparse = sparse
        self._learned = learned
        self._limits = guard_limits(limits, names=NAMES if learned is not None else 0)

    def answers(self) -> Answers:
        """For one connection to the primary, or one datagram path."""
        return Answers(limits=self._limits, keys=self._keys)

    def record(self, verdict: Verdict, node: IPAddress, tunnel: str, counters: ForwarderCounters) -> None:
        """Count a verdict, and tell of it what is worth telling."""
        counters.verdicts[verdict.kind, verdict.reason] += 1
        where = {"node": str(node), "primary": self._primary, "tunnel": tunnel}
        if not verdict.accepted:
            fields = {**_fields(verdict), **where, "reason": verdict.reason, "detail": verdict.detail}
            fields["remedy"] = remedy_of_verdict(verdict.reason)
            self._sparse("transfer.rejected", f"{self._primary} {verdict.reason}", fields)
        elif verdict.kind == "error":
            self._refused(verdict, where, counters)
        elif verdict.kind in TRANSFERS:
            self._emit("transfer.accepted", {**_fields(verdict), **where, "digest": verdict.digest.hex()})
            if self._learned is not None:
                self._learned(Learned(self._primary, tunnel, verdict))

    def _refused(self, verdict: Verdict, where: Mapping[str, str], counters: ForwarderCounters) -> None:
        """The primary answered with an RCODE: a legitimate answer, that brings no zone."""
        code = dns.rcode.to_text(dns.rcode.Rcode.make(verdict.rcode))
        counters.errors[code] += 1
        fields = {"zone": zone_text(verdict.zone), **where, "rcode": code, "remedy": remedy_of_code(verdict.rcode)}
        self._sparse("transfer.primary-refused", f"{self._primary} {where['tunnel']} {code}", fields)


def _fields(verdict: Verdict) -> dict[str, object]:
    return {
        "zone": zone_text(verdict.zone),
        "kind": verdict.kind,
        "serial": verdict.serial,
        "records": verdict.records,
        "bytes": verdict.size,
        "seconds": round(verdict.seconds, 3),
    }


def guard_limits(limits: Limits, *, names: int = 0) -> GuardLimits:
    """What a primary may send at most, for the guard; `names` bytes of owner names are kept."""
    return GuardLimits(
        size=limits.bytes,
        records=limits.records,
        messages=limits.messages,
        rrset=limits.rrset,
        seconds=limits.seconds,
        idle=limits.idle,
        rate_bytes=limits.rate_bytes,
        rate_seconds=limits.rate_seconds,
        names=names,
        held=limits.held,
        allow_older=limits.allow_older,
        allow_out_of_zone=limits.allow_out_of_zone,
    )


def zone_text(wire: bytes) -> str:
    """A name in wire form as people write it."""
    return dns.name.from_wire(wire, 0)[0].to_text(omit_final_dot=True)


def tsig_keys(settings: tuple[TsigKey, ...]) -> TsigKeys | None:
    """The keys for the guard; None without any.

    Raises:
        ValueError: a name that is none, or a secret that is not base64; the text does not show it.
    """
    if not settings:
        return None
    try:
        names = [zone_wire(key.name) for key in settings]
    except FilterError as error:
        raise ValueError(f"a TSIG key whose name is no domain name: {error}") from None
    rows = zip(names, settings, strict=True)
    return TsigKeys([(name, key.algorithm, key_bytes(key.name, key.secret)) for name, key in rows])
