"""DNS messages in a TCP stream: each behind its length, u16 big endian (RFC 1035 §4.2.2).

For the few small queries of a node. The answers, which are many and large, are cut by the guard.
"""

from __future__ import annotations

PREFIX = 2


class FrameReader:
    """Collects whole messages. It holds at most one incomplete message, 64 KiB."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now, without their length. Any chunking gives the same messages."""
        self._buffer += data
        messages = []
        at = 0
        while (end := at + PREFIX) <= len(self._buffer):
            end += int.from_bytes(self._buffer[at:end])
            if end > len(self._buffer):
                break
            messages.append(bytes(self._buffer[at + PREFIX : end]))
            at = end
        del self._buffer[:at]
        return messages


def frame(message: bytes) -> bytes:
    """The message behind its length.

    Raises:
        OverflowError: longer than 65,535 bytes.
    """
    return len(message).to_bytes(PREFIX) + message
