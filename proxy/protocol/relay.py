"""A relay between a client and an exit (SIP023): it learns from the first identity header where a connection goes.

    stream     salt | identity header | rest            ──▶  salt | rest, as it is
    datagram   AES(own key, header) | identity header | rest   ──▶  AES(key of the next hop, header) | rest, as it is

What comes back passes unchanged. A relay can't open what it passes: neither a target nor whether the bytes are
genuine is known to it, and replays are the exit's to notice.
"""

from __future__ import annotations

from proxy.protocol.identity import IDENTITY_SIZE, KeyHolder, KeyTable, open_identity
from proxy.protocol.methods import TAG_SIZE, Buffer, Method
from proxy.protocol.packets_2022 import BODY_AT, SESSION_SIZE, Block, IdentityReader
from proxy.protocol.shadowsocks import Opened

_FIXED_HEADER = 11  # bytes of the fixed header of a stream, see `streams_2022`


def relay_head(
    method: Method, identity_key: bytes, hops: KeyTable, first_read: bytes
) -> tuple[KeyHolder, bytes] | None:
    """Where a stream goes, and what is to be sent there in place of the first read; later reads go as they are.

    None if the first read is too short to hold salt, identity header and fixed header, which the client sends in one
    write (SIP022 §3.1.4): no client of ours.

    Raises:
        ProtocolError: "unknown-user": the header names no hop.
    """
    salt_size = method.salt_size
    if len(first_read) < salt_size + IDENTITY_SIZE + _FIXED_HEADER + TAG_SIZE:
        return None
    salt, header = first_read[:salt_size], first_read[salt_size : salt_size + IDENTITY_SIZE]
    hop = hops.find(open_identity(method, identity_key, salt, header))
    return hop, salt + first_read[salt_size + IDENTITY_SIZE :]


class RelayStream:
    """The rest of a relayed stream: it passes as it is. See `proxy.protocol.shadowsocks.ServerStream`."""

    begun = opened = at_end = True

    def feed(self, data: Buffer, now: float) -> list[Opened | bytes]:
        """What the client sent."""
        return [bytes(data)]

    def send(self, data: Buffer, now: float) -> bytes:
        """What the next hop answered."""
        return bytes(data)


class DatagramRelay:
    """Relays the datagrams of all clients of one identity key."""

    def __init__(self, identity_key: bytes, hops: KeyTable) -> None:
        self._reader = IdentityReader(identity_key)
        self._hops = hops
        self._blocks: dict[bytes, Block] = {}  # by identity, only of hops in the table

    def forward(self, packet: bytes) -> tuple[KeyHolder, bytes, bytes]:
        """The next hop, the client's session ID, by which answers find their way back, and the packet for the hop.

        Raises:
            ProtocolError: "too-short", "unknown-user".
        """
        header, identity = self._reader.read(packet)
        hop = self._hops.find(identity)
        block = self._blocks.get(identity)
        if block is None:
            block = self._blocks[identity] = Block(hop.key)
        return hop, header[:SESSION_SIZE], block.encrypt(header) + packet[BODY_AT:]
