"""The clock of Shadowsocks 2022: a message over 30 seconds off counts as a replay (SIP022 §3.1.3)."""

from __future__ import annotations

from proxy.errors import ProtocolError

TOLERANCE = 30  # seconds


def check_clock(stamp: int, now: float, peer: str) -> None:
    """Compare the peer's time stamp with ours; `peer` is the word for it in the error.

    Raises:
        ProtocolError: "clock-skew", in words that tell an operator what to repair.
    """
    ahead = stamp - int(now)
    if abs(ahead) > TOLERANCE:
        raise ProtocolError(
            f"the clock of the {peer} is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} ours; "
            f"Shadowsocks 2022 allows {TOLERANCE} s: set both clocks, by NTP for instance (or it is a replay)",
            "clock-skew",
        )
