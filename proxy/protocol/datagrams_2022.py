"""Shadowsocks datagrams, AEAD edition of 2022 (SIP022 §3.2), in the envelope of `packets_2022`.

    client to exit   type 0, u8 | Unix seconds, u64 | n, u16 | padding, n | SOCKS address | payload
    exit to client   type 1, u8 | Unix seconds, u64 | client session, 8 | n, u16 | padding, n | SOCKS address | payload

Each side numbers the packets of its own session from 0, and passes those of the other through a sliding window,
which is only moved by a packet that is right in every respect. No padding is sent: a padded SOA query would not
look more like noise than a plain one.
"""

from __future__ import annotations

import os
import struct

from proxy.errors import ProtocolError
from proxy.protocol.address import Target, encode_address, take_address
from proxy.protocol.clock import check_clock
from proxy.protocol.identity import KeyTable
from proxy.protocol.methods import Buffer, Method
from proxy.protocol.packets_2022 import (
    BODY_AT,
    SESSION_SIZE,
    AesPackets,
    IdentityReader,
    Packets,
    packets_of,
    too_short,
)
from proxy.protocol.salts import check_start
from proxy.protocol.shadowsocks import ClientPacket, ServerPacket
from proxy.protocol.window import PacketWindow

TO_EXIT, TO_CLIENT = 0, 1
REMEMBER = 60.0  # seconds for which a session must not be forgotten, §3.2.4
_HEAD = struct.Struct("!BQ")
_NO_PADDING = bytes(2)


def _read_head(body: bytes, kind: int, now: float, peer: str) -> int:
    """The time stamp."""
    if len(body) < _HEAD.size:
        raise too_short(body)
    found, stamp = _HEAD.unpack_from(body)
    if found != kind:
        raise ProtocolError(f"a packet of type {found}: our own bytes played back?", "wrong-type")
    check_clock(stamp, now, peer)
    return int(stamp)


def _read_rest(body: bytes, at: int) -> tuple[Target, bytes]:
    if len(body) < at + 2:
        raise too_short(body)
    address, end = take_address(body, at + 2 + int.from_bytes(body[at : at + 2]))
    return address, body[end:]


class _Session:
    """What the exit remembers of one client session. `name` is what it is called by outside of this module."""

    __slots__ = ("client", "name", "next_id", "own", "packets", "user", "window")

    def __init__(self, name: bytes, client: bytes, packets: Packets, user: str) -> None:
        self.name = name
        self.client = client
        self.packets = packets
        self.user = user
        self.window = PacketWindow()
        self.own = os.urandom(SESSION_SIZE)
        self.next_id = 0


class _ExitSession:
    """What the client remembers of one session of the exit."""

    __slots__ = ("last_seen", "session", "window")

    def __init__(self, session: bytes, now: float) -> None:
        self.session = session
        self.window = PacketWindow()
        self.last_seen = now


class ClientDatagrams2022:
    """The client's end; see `proxy.protocol.shadowsocks.ClientDatagrams`.

    An exit that restarts answers from a new session. Two are known at a time; a third is only accepted when
    the older of them was silent for a minute (the second way that §3.2.4 allows).
    """

    def __init__(self, method: Method, key: bytes, identity_keys: tuple[bytes, ...] = ()) -> None:
        """`key` is the user's; `identity_keys` are those before it, of the first relay first."""
        self._packets = packets_of(method, key, identity_keys)
        self._session = os.urandom(SESSION_SIZE)
        self._next_id = 0
        self._exit_sessions: list[_ExitSession] = []

    def seal(self, target: Target, payload: Buffer, now: float) -> bytes:
        """The packet that carries one payload to a target."""
        body = b"".join((_HEAD.pack(TO_EXIT, int(now)), _NO_PADDING, encode_address(target), payload))
        packet = self._packets.seal(self._session, self._next_id, body)
        self._next_id += 1
        return packet

    def open(self, packet: bytes, now: float) -> ServerPacket:
        """Read a packet of the exit.

        Raises:
            ProtocolError: "too-short", "authentication", "wrong-type", "clock-skew", "wrong-session", "bad-address",
                "replay", "too-many-sessions".
        """
        session, packet_id, body = self._packets.open(packet)
        _read_head(body, TO_CLIENT, now, "exit")
        if body[_HEAD.size : _HEAD.size + SESSION_SIZE] != self._session:
            raise ProtocolError("the packet belongs to another session", "wrong-session")
        source, payload = _read_rest(body, _HEAD.size + SESSION_SIZE)
        known = next((known for known in self._exit_sessions if known.session == session), None)
        if known is None:
            known = self._new_exit_session(session, now)
        if not known.window.fresh(packet_id):
            raise ProtocolError(f"packet {packet_id} was seen before, or is too far behind", "replay")
        known.window.mark(packet_id)
        known.last_seen = now
        return ServerPacket(source, payload)

    def _new_exit_session(self, session: bytes, now: float) -> _ExitSession:
        if len(self._exit_sessions) == 2:
            if now - self._exit_sessions[0].last_seen < REMEMBER:
                raise ProtocolError("the exit began a third session within a minute", "too-many-sessions")
            del self._exit_sessions[0]
        self._exit_sessions.append(_ExitSession(session, now))
        return self._exit_sessions[-1]


class ServerDatagrams2022:
    """The exit's end; see `proxy.protocol.shadowsocks.ServerDatagrams`. Its owner bounds the sessions by `forget`."""

    def __init__(self, method: Method, key: bytes, since: float = 0.0) -> None:
        """`since` is the Unix time from which on all sessions are known: packets that are older are replays."""
        self._packets = packets_of(method, key)
        self._since = int(since)
        self._sessions: dict[bytes, _Session] = {}

    def open(self, packet: bytes, now: float) -> ClientPacket:
        """Read a packet of any client.

        Raises:
            ProtocolError: "too-short", "authentication", "wrong-type", "clock-skew", "before-start", "bad-address",
                "replay"; and with several users "unknown-user".
        """
        session, packet_id, body = self._open_envelope(packet)
        check_start(_read_head(body, TO_EXIT, now, "client"), self._since, "packet")
        target, payload = _read_rest(body, _HEAD.size)
        if not session.window.fresh(packet_id):
            raise ProtocolError(f"packet {packet_id} was seen before, or is too far behind", "replay")
        session.window.mark(packet_id)
        self._sessions[session.name] = session
        return ClientPacket(session.name, target, payload, session.user)

    def seal(self, session: bytes, source: Target, payload: Buffer, now: float) -> bytes:
        """The packet that carries an answer back to a session.

        Raises:
            KeyError: no such session.
        """
        known = self._sessions[session]
        head = _HEAD.pack(TO_CLIENT, int(now))
        body = b"".join((head, known.client, _NO_PADDING, encode_address(source), payload))
        packet = known.packets.seal(known.own, known.next_id, body)
        known.next_id += 1
        return packet

    def forget(self, session: bytes) -> None:
        """Drop a session's state."""
        self._sessions.pop(session, None)

    def _open_envelope(self, packet: bytes) -> tuple[_Session, int, bytes]:
        """The session, known or new, the packet's ID, and the body."""
        name, packet_id, body = self._packets.open(packet)
        return self._sessions.get(name) or _Session(name, name, self._packets, ""), packet_id, body

    def __len__(self) -> int:
        return len(self._sessions)


class UsersDatagrams2022(ServerDatagrams2022):
    """The exit's end with several users.

    All users know the identity key, and with it they can read each other's session IDs. So a session is named by user
    and session ID: who takes the ID of another has a session of his own, and draws no answers away.
    """

    def __init__(self, method: Method, identity_key: bytes, users: KeyTable, since: float = 0.0) -> None:
        super().__init__(method, identity_key, since)
        self._method = method
        self._reader = IdentityReader(identity_key)
        self._users = users
        self._envelopes: dict[bytes, AesPackets] = {}  # by identity, only of users in the table

    def replace_users(self, users: KeyTable) -> None:
        """Follow another table. Who is not in it sends no more; sessions live until they are forgotten."""
        self._users = users
        self._envelopes.clear()

    def _open_envelope(self, packet: bytes) -> tuple[_Session, int, bytes]:
        header, identity = self._reader.read(packet)
        user = self._users.find(identity)
        envelope = self._envelopes.get(identity)
        if envelope is None:
            envelope = self._envelopes[identity] = AesPackets(self._method, user.key)
        body = envelope.open_body(header, packet[BODY_AT:])
        client, packet_id = header[:SESSION_SIZE], int.from_bytes(header[SESSION_SIZE:])
        name = identity + client
        return self._sessions.get(name) or _Session(name, client, envelope, user.name), packet_id, body
