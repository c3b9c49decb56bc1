"""XChaCha20-Poly1305 against the vectors of draft-irtf-cfrg-xchacha-03."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag

from proxy.protocol.xchacha import XChaCha20Poly1305, hchacha20

PLAIN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it."
)
KEY = bytes(range(0x80, 0xA0))
NONCE = bytes(range(0x40, 0x58))
ASSOCIATED = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
SEALED = bytes.fromhex(
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
    "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
    "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
    "21f9664c97637da9768812f615c68b13b52e"
    "c0875924c1c7987947deafd8780acf49"
)


def test_hchacha20_vector() -> None:
    """§2.2.1."""
    subkey = hchacha20(bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927"))
    assert subkey.hex() == "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"


def test_aead_vector() -> None:
    """Appendix A.3.1."""
    cipher = XChaCha20Poly1305(KEY)
    assert cipher.encrypt(NONCE, PLAIN, ASSOCIATED) == SEALED
    assert cipher.decrypt(NONCE, SEALED, ASSOCIATED) == PLAIN


def test_a_changed_nonce_does_not_open() -> None:
    for at in (0, 15, 16, 23):
        nonce = bytearray(NONCE)
        nonce[at] ^= 1
        with pytest.raises(InvalidTag):
            XChaCha20Poly1305(KEY).decrypt(bytes(nonce), SEALED, ASSOCIATED)
