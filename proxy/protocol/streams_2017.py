"""Shadowsocks streams, AEAD edition of 2017 (SIP004, SIP007). Each direction stands alone:

    client   salt | chunks; their payload begins with the SOCKS address of the target
    exit     salt | chunks

Nothing binds the two directions together and there is no clock. The exit keeps the salts it saw, so a replay to the
same exit is noticed; a response replayed to a client is not (a weakness of this edition: prefer 2022).
"""

from __future__ import annotations

import os

from proxy.protocol.address import Target, decode_address, encode_address
from proxy.protocol.chunks import ChunkReader, chunk_limit, seal_chunks
from proxy.protocol.inbox import Inbox
from proxy.protocol.methods import Buffer, Method
from proxy.protocol.salts import SaltStore
from proxy.protocol.sealing import Opener, Sealer
from proxy.protocol.shadowsocks import Opened


class _Writer:
    """One sending direction: the salt goes before the first chunk."""

    def __init__(self, method: Method, key: bytes) -> None:
        self._salt = os.urandom(method.salt_size)
        self._sealer = Sealer(method.session_cipher(key, self._salt))
        self._limit = chunk_limit(method)

    def send(self, data: Buffer) -> bytes:
        pieces = seal_chunks(self._sealer, data, self._limit)
        if self._salt and pieces:
            pieces.insert(0, self._salt)
            self._salt = b""
        return b"".join(pieces)


class _Reader:
    """One receiving direction: the salt, then chunks."""

    def __init__(self, method: Method, key: bytes) -> None:
        self._method = method
        self._key = key
        self._inbox = Inbox()
        self._chunks: ChunkReader | None = None
        self.salt = b""

    def feed(self, data: Buffer) -> list[bytes]:
        self._inbox.add(data)
        if self._chunks is None:
            if (salt := self._inbox.take(self._method.salt_size)) is None:
                self._inbox.settle()
                return []
            self.salt = bytes(salt)
            del salt  # a part must not outlive `settle`
            opener = Opener(self._method.session_cipher(self._key, self.salt))
            self._chunks = ChunkReader(opener, chunk_limit(self._method))
        payloads = self._chunks.read(self._inbox)
        self._inbox.settle()
        return payloads

    @property
    def at_end(self) -> bool:
        return not len(self._inbox) and (self._chunks is None or self._chunks.between_chunks)


class ClientStream2017:
    """The client's end; see `proxy.protocol.shadowsocks.ClientStream`."""

    begun = True  # this edition asks nothing of the first read

    def __init__(self, method: Method, key: bytes) -> None:
        self._writer = _Writer(method, key)
        self._reader = _Reader(method, key)

    def open(self, target: Target, first: Buffer, now: float) -> bytes:
        """The salt, and one write of chunks that begin with the target's address."""
        return self._writer.send(encode_address(target) + bytes(first))

    def send(self, data: Buffer) -> bytes:
        """More payload, sealed."""
        return self._writer.send(data)

    def feed(self, data: Buffer, now: float) -> list[bytes]:
        """The payload of each whole chunk.

        Raises:
            ProtocolError: "authentication", "chunk-too-long".
        """
        return self._reader.feed(data)

    @property
    def at_end(self) -> bool:
        """Whether the exit may end the stream here."""
        return self._reader.at_end


class ServerStream2017:
    """The exit's end; see `proxy.protocol.shadowsocks.ServerStream`."""

    begun = True  # this edition asks nothing of the first read

    def __init__(self, method: Method, key: bytes, salts: SaltStore) -> None:
        self._writer = _Writer(method, key)
        self._reader = _Reader(method, key)
        self._salts = salts
        self._head: bytes | None = b""  # payload in front of which the address is not yet whole
        self._salt_checked = False

    def feed(self, data: Buffer, now: float) -> list[Opened | bytes]:
        """`Opened` as soon as the address is whole, then payload.

        Raises:
            ProtocolError: "authentication", "chunk-too-long", "replay", "salts-full", "bad-address".
        """
        events: list[Opened | bytes] = []
        for payload in self._reader.feed(data):
            if self._head is None:
                events.append(payload)
            else:
                events += self._read_head(payload, now)
        return events

    def send(self, data: Buffer, now: float) -> bytes:
        """Payload for the client, sealed."""
        if not self.opened:
            raise RuntimeError("the stream was not opened by the client")
        return self._writer.send(data)

    @property
    def opened(self) -> bool:
        """Whether the header was read."""
        return self._head is None

    @property
    def at_end(self) -> bool:
        """Whether the client may end the stream here."""
        return self.opened and self._reader.at_end

    def _read_head(self, payload: bytes, now: float) -> list[Opened | bytes]:
        if not self._salt_checked:
            # Only now: a salt in front of a chunk that authenticated was made by someone with the key.
            self._salts.add(self._reader.salt, now)
            self._salt_checked = True
        self._head = (self._head or b"") + payload
        found = decode_address(self._head)
        if found is None:
            return []
        target, end = found
        rest, self._head = self._head[end:], None
        return [Opened(target), rest] if rest else [Opened(target)]
