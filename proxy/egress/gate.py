"""Reading from a connection, paused for as long as anything speaks against it."""

from __future__ import annotations

import asyncio

from proxy.egress.usable import usable


class Gate:
    """Of one transport. Reasons to pause are words; the same word twice is one reason."""

    __slots__ = ("_reasons", "_transport")

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reasons: set[str] = set()

    def attach(self, transport: asyncio.Transport) -> None:
        """The connection stands. What speaks against reading already, holds."""
        self._transport = transport
        if self._reasons:
            transport.pause_reading()

    def hold(self, reason: str) -> None:
        """Do not read until `release` of the same reason."""
        if not self._reasons and usable(self._transport):
            self._transport.pause_reading()
        self._reasons.add(reason)

    def release(self, reason: str) -> None:
        """Read again if nothing else speaks against it."""
        if reason in self._reasons:
            self._reasons.discard(reason)
            if not self._reasons and usable(self._transport):
                self._transport.resume_reading()
