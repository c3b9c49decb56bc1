"""One round of a zone: the last NOTIFY for it, what is sent to the backends for it, and when they have followed.

target   the serial that the NOTIFY says, a hint; the primary's, where it says none or nobody reaches it
message  first as it came, with its signature; later ones signed anew by the same key, because signatures age
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import dns.message
import dns.name

from proxy.protocol.notify import Notice, is_reached
from proxy.protocol.tsig import KeyRing
from proxy.values import Endpoint

DELAYS = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds after which a backend that has not followed is told again; the last one holds for all that come then.
RFC 1996 section 3.6 proposes 60 s, five times."""


@dataclass(slots=True)
class Round:
    """What the backends of a zone are to follow. `number` is that of the last NOTIFY that led to it."""

    notice: Notice
    number: int
    target: int | None
    asked: bool = False  # the primary has been asked for its serial

    @property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        """Who sent the NOTIFY, and the address of ours that it was sent to."""
        return Endpoint.of(self.notice.client), Endpoint.of(self.notice.asked)

    def is_done(self, serial: int | None, before: int | None) -> bool:
        """Whether a backend that has `serial`, and had `before` when the round began, has followed."""
        if serial is None:
            return False
        if self.target is not None:
            return is_reached(serial, self.target)
        return before is not None and serial != before and is_reached(serial, before)

    def message(self, attempt: int, keys: KeyRing) -> bytes:
        """What is sent at this attempt, from 0 on."""
        original = self.notice.message
        if self.notice.key is None:
            return secrets.token_bytes(2) + original[2:]
        key = keys.get(dns.name.from_text(self.notice.key))
        if attempt == 0 or key is None:
            return original
        fresh = dns.message.from_wire(original, keyring=False)
        fresh.tsig = None
        fresh.id = secrets.randbits(16)
        fresh.use_tsig(key)
        return fresh.to_wire()
