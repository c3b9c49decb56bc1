"""DNS messages in a TCP stream: each behind its length, u16 big endian (RFC 1035 §4.2.2).

`FrameReader` takes whole messages out of a stream: for the few small queries of a node. `FrameMarks` only follows the
message boundaries of a stream that passes untouched: for the answers, which are many and large.
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


class FrameMarks:
    """Knows, of a stream that passes, whether it stands between two messages."""

    __slots__ = ("_left", "_prefix")

    def __init__(self) -> None:
        self._prefix = b""  # the first byte of a length that was cut in two
        self._left = 0  # bytes that are missing of the message that has begun

    @property
    def between(self) -> bool:
        """Whether nothing of a message is outstanding."""
        return not self._left and not self._prefix

    def feed(self, data: bytes | memoryview) -> int:
        """Follow `data`. Returns the offset behind the last message that ends in it, 0 if none does."""
        at = last = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
            else:
                part = bytes(data[at : at + PREFIX - len(self._prefix)])
                at += len(part)
                self._prefix += part
                if len(self._prefix) < PREFIX:
                    break
                self._left, self._prefix = int.from_bytes(self._prefix), b""
            if not self._left:
                last = at
        return last
