"""DNS cookies (RFC 7873, RFC 9018), with a SipHash-2-4 written out. The hash is checked by the RFC's own example."""

from __future__ import annotations

import ipaddress

from filters.cookies import secret_bytes
from filters.settings import Cookies
from filters.values import IPAddress, Secret

MASK = (1 << 64) - 1
OLDEST, AHEAD = 3600, 300
"""Seconds that a cookie is good for, and that it may be ahead (RFC 9018 section 4.3)."""


def siphash(key: bytes, data: bytes) -> bytes:
    """SipHash-2-4 of 64 bits."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def turn(value: int, bits: int) -> int:
        return (value << bits | value >> (64 - bits)) & MASK

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[1], v[3] = turn(v[1], 13) ^ v[0], turn(v[3], 16) ^ v[2]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[1]) & MASK
            v[0] = (v[0] + v[3]) & MASK
            v[1], v[3] = turn(v[1], 17) ^ v[2], turn(v[3], 21) ^ v[0]
            v[2] = turn(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return (v[0] ^ v[1] ^ v[2] ^ v[3]).to_bytes(8, "little")


def server_cookie(secret: Secret, client_cookie: bytes, stamp: int, address: IPAddress) -> bytes:
    """The 16 bytes of RFC 9018 section 4: version, three reserved bytes, time stamp, hash."""
    head = b"\x01\0\0\0" + (stamp & 0xFFFFFFFF).to_bytes(4)
    return head + siphash(secret_bytes(secret), client_cookie + head + address.packed)


def shown(settings: Cookies, cookie: bytes | None, address: IPAddress, unix: int) -> str:
    """What a message shows: none, client, valid, expired or bad."""
    if cookie is None or settings.secret is None:
        return "none"
    if len(cookie) == 8:
        return "client"
    server = cookie[8:]
    stamp = int.from_bytes(server[4:8])
    for secret in (settings.secret, *settings.accepted_secrets):
        if server == server_cookie(secret, cookie[:8], stamp, address):
            age = (unix - stamp + (1 << 31)) % (1 << 32) - (1 << 31)  # RFC 1982: the stamp wraps around
            return "valid" if -AHEAD <= age <= OLDEST else "expired"
    return "bad"


def check_reply_cookie(settings: Cookies, sent: bytes, given: bytes, address: str, unix: int) -> None:
    """The cookie in a reply is one that its client can show from now on."""
    assert len(given) == 24, given.hex()
    assert given[:8] == sent[:8], "the client's part"
    assert settings.secret is not None
    assert shown(settings, given, ipaddress.ip_address(address), unix) == "valid", "ours is good"
    stamp = int.from_bytes(given[12:16])
    assert given[8:] == server_cookie(settings.secret, given[:8], stamp, ipaddress.ip_address(address))
