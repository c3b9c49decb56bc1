"""A leg: the upper end of the tunnel stream that serves one connection of a node."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from proxy.errors import ProxyError, TunnelError


class LegOwner(Protocol):
    """What a leg reports to."""

    def answer(self, data: bytes) -> None:
        """Bytes from the primary."""

    def leg_ended(self, error: Exception | None) -> None:
        """The stream is over, after `answered`. Without an error the primary has closed it."""

    def pause_reading(self) -> None:
        """The tunnel takes no more queries for now."""

    def resume_reading(self) -> None:
        """It takes them again."""


class Leg(asyncio.Protocol):
    """`answered` is done at the first byte from the primary, or fails with what came instead.

    TunnelError: "closed", "broken", "cut". ProtocolError: what came was not from an exit with our key.
    """

    def __init__(self, owner: LegOwner) -> None:
        self._owner: LegOwner | None = owner
        self._stream: asyncio.Transport | None = None
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A leg that was dropped may fail with nobody left who waits for it.
        self.answered.add_done_callback(_look_at_error)

    # Called by the stream.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._stream = cast("asyncio.Transport", transport)
        if self._owner is None:
            self._stream.abort()

    def data_received(self, data: bytes) -> None:
        if self._owner is None:
            return
        if not self.answered.done():
            self.answered.set_result(None)
        self._owner.answer(data)

    def eof_received(self) -> None:
        """The primary closed; the stream closes itself and says so."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream = None
        if self._owner is None:
            return
        if self.answered.done():
            self._owner.leg_ended(exc)
        else:
            self.answered.set_exception(exc if isinstance(exc, ProxyError) else _closed_unanswered())

    def pause_writing(self) -> None:
        if self._owner is not None:
            self._owner.pause_reading()

    def resume_writing(self) -> None:
        if self._owner is not None:
            self._owner.resume_reading()

    # Called by the owner.

    @property
    def open(self) -> bool:
        """Whether it can take bytes."""
        return self._stream is not None

    def write(self, data: bytes) -> None:
        """Queries for the primary."""
        if self._stream is not None:
            self._stream.write(data)

    def pause_reading(self) -> None:
        """Stop the answers: the node is slow."""
        if self._stream is not None:
            self._stream.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self._stream is not None:
            self._stream.resume_reading()

    def drop(self) -> None:
        """Give it up; nothing is reported any more."""
        self._owner = None
        self.answered.cancel()
        if self._stream is not None:
            self._stream.abort()


def _look_at_error(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()


def no_answer(patience: float) -> TunnelError:
    """For streams and datagrams alike."""
    return TunnelError(
        f"no answer within {patience:g} s: the primary is silent, or the exit is, as it is "
        "to a wrong key, to a clock over 30 s off, and where it may not open this primary",
        "no-answer",
    )


def _closed_unanswered() -> TunnelError:
    return TunnelError(
        "closed before any answer: the exit does not reach or may not open this primary, or the primary refuses us",
        "closed",
    )
