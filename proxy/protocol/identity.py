"""Identity headers: several users behind one exit, and relays on the way (SIP023). Only for the AES methods of 2022.

A client's key is a chain `iPSK0:iPSK1:...:uPSK`. For every identity key (iPSK) it sends one block of 16 bytes, which
names the key that comes next by the first 16 bytes of its BLAKE3 hash:

    stream     salt | identity headers | chunks
               AES(BLAKE3 derive-key of iPSKn || salt, hash of the next key)
    datagram   AES(iPSK0, session ID | packet ID) | identity headers | AES-GCM(body)
               AES(iPSKn, hash of the next key XOR (session ID | packet ID))

A relay holds one identity key and a table of those that come next: it takes the first header off, and learns from it
where the rest goes. The exit's table is that of its users. All else is sealed with the user's key (uPSK), also on the
way back, where there are no identity headers.

A header carries no tag: from another key it decrypts to a hash that nobody has, "unknown-user".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from proxy.errors import ProtocolError
from proxy.protocol.methods import Buffer, Method

IDENTITY_SIZE = 16
MAX_IDENTITIES = 16  # our own bound: a datagram with so many headers still leaves 900 bytes for the message
SUBKEY_CONTEXT = "shadowsocks 2022 identity subkey"


def supports_identity(method: Method) -> bool:
    """Whether the method can carry identity headers: they are AES blocks."""
    return method.edition == 2022 and "aes" in method.name


def identity_of(key: bytes) -> bytes:
    """The 16 bytes by which an identity header names a key."""
    return blake3(key).digest(IDENTITY_SIZE)


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose key it is: a user of the exit, or the next hop of a relay."""

    name: str
    key: bytes = field(repr=False)


class KeyTable:
    """Who may stand in an identity header."""

    __slots__ = ("_holders",)

    def __init__(self, method: Method, holders: Iterable[KeyHolder]) -> None:
        """
        Raises:
            ValueError: the method has no identity headers, a key has not its size, or two holders share a key.
        """
        if not supports_identity(method):
            raise ValueError(f"{method.name} has no identity headers (SIP023): users need one of 2022-blake3-aes-*")
        self._holders: dict[bytes, KeyHolder] = {}
        for holder in holders:
            if len(holder.key) != method.key_size:
                raise ValueError(f"the key of {holder.name} must have {method.key_size} bytes for {method.name}")
            same = self._holders.setdefault(identity_of(holder.key), holder)
            if same is not holder:
                raise ValueError(f"{holder.name} and {same.name} have the same key; each needs its own")

    def find(self, identity: bytes) -> KeyHolder:
        """Who that is.

        Raises:
            ProtocolError: "unknown-user": nobody here, or the header was made with another identity key.
        """
        try:
            return self._holders[identity]
        except KeyError:
            raise ProtocolError(
                "the identity header names no user: an unknown key, or another key of the exit", "unknown-user"
            ) from None

    def __contains__(self, holder: object) -> bool:
        return isinstance(holder, KeyHolder) and self._holders.get(identity_of(holder.key)) == holder

    def __len__(self) -> int:
        return len(self._holders)


def read_key_chain(method: Method, text: str) -> tuple[tuple[bytes, ...], bytes]:
    """A client's key as the operator writes it, `iPSK0:iPSK1:...:uPSK`: the identity keys, and the user's key.

    In the edition of 2017 a colon is a character of the password.

    Raises:
        ValueError: not a key of this method, or the method has no identity headers. The text itself is not shown.
    """
    if method.edition == 2017:
        return (), method.key_from_text(text)
    *identities, user = text.split(":")
    if identities and not supports_identity(method):
        raise ValueError(f"{method.name} takes a single key; several, with a colon between, only 2022-blake3-aes-*")
    if len(identities) > MAX_IDENTITIES:
        raise ValueError(f"a chain of {len(identities) + 1} keys; at most {MAX_IDENTITIES + 1} are possible")
    return tuple(method.key_from_text(identity) for identity in identities), method.key_from_text(user)


def seal_identities(method: Method, identity_keys: tuple[bytes, ...], user_key: bytes, salt: bytes) -> bytes:
    """The identity headers of a stream, one for each identity key."""
    following = (*identity_keys[1:], user_key)
    return b"".join(
        _block(method, key, salt).encryptor().update(identity_of(after))
        for key, after in zip(identity_keys, following, strict=False)
    )


def open_identity(method: Method, identity_key: bytes, salt: bytes, header: Buffer) -> bytes:
    """What the first identity header of a stream says: 16 bytes, to be looked up in a `KeyTable`."""
    return _block(method, identity_key, salt).decryptor().update(header)


def _block(method: Method, key: bytes, salt: bytes) -> Cipher[modes.ECB]:
    subkey = blake3(key + salt, derive_key_context=SUBKEY_CONTEXT).digest(method.key_size)
    return Cipher(algorithms.AES(subkey), modes.ECB())  # noqa: S305 - SIP023: one block under a key of its own
