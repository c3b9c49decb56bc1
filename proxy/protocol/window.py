"""The sliding window over packet IDs: each is accepted once, and not when far behind (SIP022 §3.2.4, RFC 6479).

Packets may arrive in any order; an ID more than `SIZE` behind the highest is refused, since whether it was seen is
no longer known. The window is one integer whose bit n stands for the ID n below the highest.
"""

from __future__ import annotations

SIZE = 8192  # about the window of WireGuard and shadowsocks-rust, 8128
_MASK = (1 << SIZE) - 1


class PacketWindow:
    """The IDs seen of one session."""

    __slots__ = ("_bits", "_highest")

    def __init__(self) -> None:
        self._highest = -1
        self._bits = 0

    def fresh(self, packet_id: int) -> bool:
        """Whether a packet with this ID may be accepted. Changes nothing: the packet may yet prove to be forged."""
        behind = self._highest - packet_id
        return behind < 0 or (behind < SIZE and not self._bits >> behind & 1)

    def mark(self, packet_id: int) -> None:
        """The ID was seen, in a packet that authenticated and whose header is right."""
        ahead = packet_id - self._highest
        if ahead <= 0:
            self._bits |= 1 << -ahead
        else:
            self._bits = (self._bits << ahead | 1) & _MASK if ahead < SIZE else 1
            self._highest = packet_id
