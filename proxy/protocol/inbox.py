"""Bytes that came in, handed out in parts of known size. Any chunking of the input gives the same parts."""

from __future__ import annotations


class Inbox:
    """`add` some bytes, `take` whole parts until there is none, then `settle`: what is left waits for the next bytes.

    A part is a view into the input, valid until `settle`. Input is only copied where a part was cut in two.
    """

    __slots__ = ("_at", "_kept", "_view")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._view = memoryview(b"")
        self._at = 0

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """More input. The data must not change before `settle`."""
        if self._kept:
            self._kept += data
            self._view = memoryview(self._kept)
        else:
            self._view = memoryview(data)
        self._at = 0

    def take(self, size: int) -> memoryview | None:
        """The next `size` bytes, or None as long as they are not all there."""
        end = self._at + size
        if end > len(self._view):
            return None
        part = self._view[self._at : end]
        self._at = end
        return part

    def settle(self) -> None:
        """Keep what was not taken. No part may be in use any more."""
        if self._kept:
            self._view.release()
            del self._kept[: self._at]
        else:
            self._kept += self._view[self._at :]
        self._view = memoryview(b"")
        self._at = 0

    def __len__(self) -> int:
        """Bytes that wait for the rest of their part."""
        return max(len(self._view) - self._at, len(self._kept) - self._at)
