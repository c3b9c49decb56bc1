"""The header of a datagram that goes through a SOCKS5 server (RFC 1928 §7).

    0000 | FRAG, u8 | SOCKS address | payload

The address is the target on the way out and the one who answered on the way back. FRAG 0 is a whole datagram.
Fragments are dropped, as an implementation without reassembly must: no server known to us sends any, and DNS falls
back to TCP.
"""

from __future__ import annotations

from proxy.errors import ProtocolError
from proxy.protocol.address import Target, encode_address, take_address


def wrap_datagram(target: Target, payload: bytes) -> bytes:
    """The datagram for the SOCKS server."""
    return b"\0\0\0" + encode_address(target) + payload


def unwrap_datagram(data: bytes) -> tuple[Target, bytes]:
    """Who answered, and what.

    Raises:
        ProtocolError: "fragment", "bad-address", "malformed".
    """
    if len(data) < 3:
        raise ProtocolError(f"a SOCKS datagram of {len(data)} bytes is too short")
    if data[2] != 0:
        raise ProtocolError("a fragment of a datagram", "fragment")
    source, end = take_address(data, 3)
    return source, data[end:]
