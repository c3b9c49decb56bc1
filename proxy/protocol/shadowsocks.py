"""Shadowsocks streams and datagrams of either edition behind one face: what the tunnel and the exit hold.

Bytes in, events out. Whoever uses a codec after it raised a `ProtocolError` gets nonsense: such a connection is over.
`now` is always Unix time in seconds; only the 2022 edition looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from proxy.protocol.address import Target
from proxy.protocol.methods import Buffer


@dataclass(frozen=True, slots=True)
class Opened:
    """The header of a stream was read and is genuine: the client wants this target.

    `user` is the name of the user whose key it was; empty where the exit has a single key.
    """

    target: Target
    user: str = ""


class ClientStream(Protocol):
    """The client's end of one stream."""

    def open(self, target: Target, first: Buffer, now: float) -> bytes:
        """The head of the stream, once, to be sent in one write. `first` is payload to go with it, any length."""

    def send(self, data: Buffer) -> bytes:
        """More payload, sealed; any length. Payload of no bytes gives no bytes."""

    def feed(self, data: Buffer, now: float) -> list[bytes]:
        """What the exit sent: the payload of each whole chunk.

        Raises:
            ProtocolError: see the edition's module.
        """

    @property
    def begun(self) -> bool:
        """Whether the first read held enough, as 2022 demands of the peer; always true in 2017."""

    @property
    def at_end(self) -> bool:
        """Whether the other side may end the stream here: not inside a header or a chunk."""


class ServerStream(Protocol):
    """The exit's end of one stream."""

    def feed(self, data: Buffer, now: float) -> list[Opened | bytes]:
        """What the client sent: once `Opened`, then the payload of each whole chunk.

        Raises:
            ProtocolError: see the edition's module. `Opened` was not given before it: the peer may be a prober.
        """

    def send(self, data: Buffer, now: float) -> bytes:
        """Payload for the client, sealed; the first call puts the stream's head before it.

        Raises:
            RuntimeError: called before `Opened`.
        """

    @property
    def begun(self) -> bool:
        """Whether the first read held enough, as 2022 demands of the peer; always true in 2017."""

    @property
    def opened(self) -> bool:
        """Whether the client has proven that it knows the key, and a target was read."""

    @property
    def at_end(self) -> bool:
        """Whether the client may end the stream here."""


@dataclass(frozen=True, slots=True)
class ClientPacket:
    """A datagram of a client.

    `session` names the client's session, and is only good for handing back; it is empty in the edition of 2017.
    `user` is the name of the user whose key it was; empty where the exit has a single key.
    """

    session: bytes
    target: Target
    payload: bytes
    user: str = ""


@dataclass(frozen=True, slots=True)
class ServerPacket:
    """A datagram of the exit: what `source` answered."""

    source: Target
    payload: bytes


class ClientDatagrams(Protocol):
    """The client's end of one datagram session."""

    def seal(self, target: Target, payload: Buffer, now: float) -> bytes:
        """The packet that carries one payload to a target."""

    def open(self, packet: bytes, now: float) -> ServerPacket:
        """Read a packet of the exit.

        Raises:
            ProtocolError: forged, replayed, too old, of another session, or malformed: to be dropped and counted.
        """


class ServerDatagrams(Protocol):
    """The exit's end of all datagram sessions under one key."""

    def open(self, packet: bytes, now: float) -> ClientPacket:
        """Read a packet of any client. A session that is new is remembered until `forget`.

        Raises:
            ProtocolError: forged, replayed, too old, or malformed: to be dropped and counted.
        """

    def seal(self, session: bytes, source: Target, payload: Buffer, now: float) -> bytes:
        """The packet that carries an answer back to a session.

        Raises:
            KeyError: no such session (2022).
        """

    def forget(self, session: bytes) -> None:
        """Drop a session's state. Not before it was silent for 60 seconds, or its packets could be replayed."""
