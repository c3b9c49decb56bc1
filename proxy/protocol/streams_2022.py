"""Shadowsocks streams, AEAD edition of 2022 (SIP022 §3.1).

    request   salt | identity headers | seal(fixed header) 11 + 16 | seal(variable header) n + 16 | chunks
              fixed     type 0, u8 | Unix seconds, u64 | n, u16
              variable  SOCKS address | padding length, u16 | padding | first payload
    response  salt | seal(fixed header) 27 or 43 + 16 | seal(first payload) n + 16 | chunks
              fixed     type 1, u8 | Unix seconds, u64 | salt of the request | n, u16      (serves as the first length)

Identity headers are there where the exit has several users or relays stand before it: `proxy.protocol.identity`.
Everything sealed is sealed with the user's key, which is the only one where there are none.

Numbers are big endian. The head of either direction is one write, and its reader makes one read for salt and fixed
header: a sender that dribbles its head is no Shadowsocks peer. The codec takes any chunking; `begun` tells its
owner whether the first read was enough.
"""

from __future__ import annotations

import os
import secrets
import struct

from proxy.errors import ProtocolError
from proxy.protocol.address import Target, encode_address, take_address
from proxy.protocol.chunks import ChunkReader, chunk_limit, seal_chunks
from proxy.protocol.clock import check_clock
from proxy.protocol.identity import IDENTITY_SIZE, KeyTable, open_identity, seal_identities
from proxy.protocol.inbox import Inbox
from proxy.protocol.methods import TAG_SIZE, Buffer, Method
from proxy.protocol.salts import SaltStore
from proxy.protocol.sealing import Opener, Sealer
from proxy.protocol.shadowsocks import Opened

REQUEST, RESPONSE = 0, 1
MAX_PADDING = 900
_REQUEST_HEADER = struct.Struct("!BQH")


class ClientStream2022:
    """The client's end; see `proxy.protocol.shadowsocks.ClientStream`."""

    def __init__(self, method: Method, key: bytes, identity_keys: tuple[bytes, ...] = ()) -> None:
        """`key` is the user's; `identity_keys` are those before it, of the first relay first."""
        self._method = method
        self._key = key
        self._identity_keys = identity_keys
        self._salt = os.urandom(method.salt_size)
        self._sealer = Sealer(method.session_cipher(key, self._salt))
        self._inbox = Inbox()
        self._chunks: ChunkReader | None = None

    def open(self, target: Target, first: Buffer, now: float) -> bytes:
        """The head, with as much of `first` inside as fits, the rest in chunks behind it; padded if there is none."""
        address = encode_address(target)
        room = 0xFFFF - len(address) - 2
        padding = b"" if first else os.urandom(1 + secrets.randbelow(MAX_PADDING))
        variable = b"".join((address, len(padding).to_bytes(2), padding, bytes(first[:room])))
        fixed = _REQUEST_HEADER.pack(REQUEST, int(now), len(variable))
        identities = seal_identities(self._method, self._identity_keys, self._key, self._salt)
        headers = self._sealer.seal(fixed), self._sealer.seal(variable)
        return b"".join((self._salt, identities, *headers, self.send(first[room:])))

    def send(self, data: Buffer) -> bytes:
        """More payload, sealed."""
        return b"".join(seal_chunks(self._sealer, data, chunk_limit(self._method)))

    def feed(self, data: Buffer, now: float) -> list[bytes]:
        """The payload of each whole chunk.

        Raises:
            ProtocolError: "authentication", "wrong-type", "clock-skew", "wrong-salt".
        """
        self._inbox.add(data)
        if self._chunks is None:
            self._read_header(now)
        payloads = self._chunks.read(self._inbox) if self._chunks is not None else []
        self._inbox.settle()
        return payloads

    @property
    def begun(self) -> bool:
        """Whether salt and fixed header of the response were read."""
        return self._chunks is not None

    @property
    def at_end(self) -> bool:
        """Whether the exit may end the stream here."""
        return not len(self._inbox) and (self._chunks is None or self._chunks.between_chunks)

    def _read_header(self, now: float) -> None:
        salt_size = self._method.salt_size
        part = self._inbox.take(2 * salt_size + 11 + TAG_SIZE)
        if part is None:
            return
        opener = Opener(self._method.session_cipher(self._key, bytes(part[:salt_size])))
        header = opener.open(part[salt_size:])
        if header[0] != RESPONSE:
            raise ProtocolError(f"a response stream of type {header[0]}: our own bytes played back?", "wrong-type")
        check_clock(int.from_bytes(header[1:9]), now, "exit")
        if header[9 : 9 + salt_size] != self._salt:
            raise ProtocolError("the response belongs to another request", "wrong-salt")
        self._chunks = ChunkReader(opener, chunk_limit(self._method), first=int.from_bytes(header[-2:]))


class ServerStream2022:
    """The exit's end; see `proxy.protocol.shadowsocks.ServerStream`."""

    def __init__(self, method: Method, key: bytes, salts: SaltStore, users: KeyTable | None = None) -> None:
        """With `users`, `key` is the identity key, and each user's own key seals."""
        self._method = method
        self._key = key
        self._salts = salts
        self._users = users
        self._user = ""
        self._inbox = Inbox()
        self._request_salt = b""
        self._opener: Opener | None = None
        self._variable_size = 0
        self._chunks: ChunkReader | None = None
        self._sealer: Sealer | None = None

    def feed(self, data: Buffer, now: float) -> list[Opened | bytes]:
        """`Opened` as soon as both headers are whole, then payload.

        Raises:
            ProtocolError: "unknown-user", "authentication", "wrong-type", "clock-skew", "before-start", "replay",
                "salts-full", "bad-address", "bad-padding".
        """
        events: list[Opened | bytes] = []
        self._inbox.add(data)
        if self._opener is None:
            self._read_fixed_header(now)
        if self._opener is not None and self._chunks is None:
            events += self._read_variable_header(self._opener)
        if self._chunks is not None:
            events += self._chunks.read(self._inbox)
        self._inbox.settle()
        return events

    def send(self, data: Buffer, now: float) -> bytes:
        """Payload for the client, sealed; the first goes with the response header."""
        if not self.opened:
            raise RuntimeError("the stream was not opened by the client")
        limit = chunk_limit(self._method)
        if self._sealer is not None:
            return b"".join(seal_chunks(self._sealer, data, limit))
        if not data:
            return b""
        salt = os.urandom(self._method.salt_size)
        self._sealer = sealer = Sealer(self._method.session_cipher(self._key, salt))
        first = data[:limit]
        header = struct.pack("!BQ", RESPONSE, int(now)) + self._request_salt + len(first).to_bytes(2)
        return b"".join((salt, sealer.seal(header), sealer.seal(first), *seal_chunks(sealer, data[limit:], limit)))

    @property
    def begun(self) -> bool:
        """Whether salt and fixed header of the request were read."""
        return self._opener is not None

    @property
    def opened(self) -> bool:
        """Whether both headers were read."""
        return self._chunks is not None

    @property
    def at_end(self) -> bool:
        """Whether the client may end the stream here."""
        return self._chunks is not None and not len(self._inbox) and self._chunks.between_chunks

    def _read_fixed_header(self, now: float) -> None:
        salt_size = self._method.salt_size
        at = salt_size if self._users is None else salt_size + IDENTITY_SIZE
        part = self._inbox.take(at + _REQUEST_HEADER.size + TAG_SIZE)
        if part is None:
            return
        salt = bytes(part[:salt_size])
        if self._users is not None:
            user = self._users.find(open_identity(self._method, self._key, salt, part[salt_size:at]))
            self._user, self._key = user.name, user.key
        opener = Opener(self._method.session_cipher(self._key, salt))
        kind, stamp, size = _REQUEST_HEADER.unpack(opener.open(part[at:]))
        if kind != REQUEST:
            raise ProtocolError(f"a request stream of type {kind}: our own bytes played back?", "wrong-type")
        check_clock(stamp, now, "client")
        self._salts.add(salt, now, stamp=stamp, user=self._user)
        self._request_salt = salt
        self._variable_size = size
        self._opener = opener

    def _read_variable_header(self, opener: Opener) -> list[Opened | bytes]:
        part = self._inbox.take(self._variable_size + TAG_SIZE)
        if part is None:
            return []
        header = opener.open(part)
        target, at = take_address(header)
        if len(header) < at + 2:
            raise ProtocolError("the request header ends before its padding length", "bad-padding")
        padding = int.from_bytes(header[at : at + 2])
        payload_at = at + 2 + padding
        if payload_at > len(header):
            raise ProtocolError("the padding is longer than the request header", "bad-padding")
        payload = header[payload_at:]
        if not payload and not padding:
            raise ProtocolError("a request header with neither payload nor padding", "bad-padding")
        self._chunks = ChunkReader(opener, chunk_limit(self._method))
        opened = Opened(target, self._user)
        return [opened, payload] if payload else [opened]
