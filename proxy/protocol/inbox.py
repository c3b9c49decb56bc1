"""Bytes that came in, handed out in parts of known size. Any chunking of the input gives the same parts."""

from __future__ import annotations


class Inbox:
    """`add` some bytes, `take` whole parts until there is none, then `settle`: what is left waits for the next bytes.

    A part is a view into the input, valid until `settle`. Input is only copied where a part was cut in two.
    """

    __slots__ = ("_at", "_kept", "_kept_at", "_view")

    def __init__(self) -> None:
        self._kept = bytearray()  # from before
        self._kept_at = 0  # so much of it was taken
        self._view = memoryview(b"")  # the last input
        self._at = 0

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """More input. The data must not change before `settle`."""
        self._view = memoryview(data)

    def take(self, size: int) -> memoryview | None:
        """The next `size` bytes, or None as long as they are not all there."""
        kept = len(self._kept) - self._kept_at
        if not kept:
            end = self._at + size
            if end > len(self._view):
                return None
            part = self._view[self._at : end]
            self._at = end
            return part
        before = memoryview(self._kept)[self._kept_at : self._kept_at + size]
        if size > kept:
            if size - kept > len(self._view):
                return None
            self._at = size - kept
            before = memoryview(b"".join((before, self._view[: self._at])))
        self._kept_at += min(size, kept)
        return before

    def settle(self) -> None:
        """Keep what was not taken. No part may be in use any more."""
        del self._kept[: self._kept_at]
        self._kept += self._view[self._at :]
        self._view = memoryview(b"")
        self._kept_at = self._at = 0

    def __len__(self) -> int:
        """Bytes that wait for the rest of their part."""
        return len(self._kept) - self._kept_at + len(self._view) - self._at
