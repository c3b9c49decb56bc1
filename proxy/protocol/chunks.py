"""Payload in chunks, the same in both Shadowsocks editions but for the limit (SIP004, SIP022 §3.1.2).

    { seal(length, u16 big endian) 2 + 16 bytes | seal(payload) length + 16 bytes }*

2017: at most 0x3FFF bytes a chunk, the two upper bits are reserved and zero. 2022: at most 0xFFFF.
"""

from __future__ import annotations

from proxy.errors import ProtocolError
from proxy.protocol.inbox import Inbox
from proxy.protocol.methods import TAG_SIZE, Buffer, Method
from proxy.protocol.sealing import Opener, Sealer

LENGTH_SIZE = 2 + TAG_SIZE


def chunk_limit(method: Method) -> int:
    """The most payload that one chunk of this method may carry."""
    return 0x3FFF if method.edition == 2017 else 0xFFFF


def seal_chunks(sealer: Sealer, data: Buffer, limit: int) -> list[bytes]:
    """`data` as sealed chunks, ready to be joined; none for no data."""
    pieces: list[bytes] = []
    view = memoryview(data)
    for at in range(0, len(view), limit):
        payload = view[at : at + limit]
        pieces.append(sealer.seal(len(payload).to_bytes(2)))
        pieces.append(sealer.seal(payload))
    return pieces


class ChunkReader:
    """Opens chunks from an inbox. `first` is the length of a first payload whose length came in a header (2022)."""

    __slots__ = ("_length", "_limit", "_opener")

    def __init__(self, opener: Opener, limit: int, first: int | None = None) -> None:
        self._opener = opener
        self._limit = limit
        self._length = first

    def read(self, inbox: Inbox) -> list[bytes]:
        """The payloads of all chunks that are whole; empty payloads are left out.

        Raises:
            ProtocolError: a chunk does not authenticate, or is longer than its edition allows.
        """
        payloads: list[bytes] = []
        while True:
            if self._length is None:
                if (part := inbox.take(LENGTH_SIZE)) is None:
                    return payloads
                self._length = int.from_bytes(self._opener.open(part))
                if self._length > self._limit:
                    raise ProtocolError(
                        f"a chunk of {self._length} bytes; the limit is {self._limit}", "chunk-too-long"
                    )
            if (part := inbox.take(self._length + TAG_SIZE)) is None:
                return payloads
            self._length = None
            if payload := self._opener.open(part):
                payloads.append(payload)

    @property
    def between_chunks(self) -> bool:
        """Whether the sender may stop here: no length without its payload. Bytes in the inbox are not looked at."""
        return self._length is None
