"""Keys and subkeys, against other implementations of the same functions."""

from __future__ import annotations

import base64
import hmac
import subprocess

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.protocol.methods import METHODS, find_method
from tests.support.peers import require

SALT = bytes(range(32))


def hkdf_sha1(key: bytes, salt: bytes, size: int) -> bytes:
    """RFC 5869 in its own words."""
    secret = hmac.digest(salt, key, "sha1")
    out = block = b""
    for number in (1, 2):
        block = hmac.digest(secret, block + b"ss-subkey" + bytes((number,)), "sha1")
        out += block
    return out[:size]


def test_2017_subkeys_are_hkdf_sha1() -> None:
    method = METHODS["aes-256-gcm"]
    sealed = method.session_cipher(b"k" * 32, SALT).encrypt(bytes(12), b"plain", None)
    assert AESGCM(hkdf_sha1(b"k" * 32, SALT, 32)).decrypt(bytes(12), sealed, None) == b"plain"


def test_a_password_becomes_a_key_as_openssl_makes_it() -> None:
    # Worked out with `openssl enc -aes-256-cbc -md md5 -nosalt -P -pass pass:zonegate`.
    argv = [require("openssl"), "enc", "-aes-256-cbc", "-md", "md5", "-nosalt", "-P", "-pass", "pass:zonegate"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    key = bytes.fromhex(next(line for line in said.splitlines() if line.startswith("key=")).removeprefix("key="))
    assert METHODS["aes-256-gcm"].key_from_text("zonegate") == key
    assert METHODS["aes-128-gcm"].key_from_text("zonegate") == key[:16]


@pytest.mark.parametrize("method", [method for method in METHODS.values() if method.edition == 2022])
def test_2022_keys_are_base64_of_the_right_size(method: object) -> None:
    found = find_method(getattr(method, "name", ""))
    key = bytes(range(found.key_size))
    assert found.key_from_text(base64.b64encode(key).decode()) == key
    for wrong in ("hunter2!", base64.b64encode(key + b"x").decode(), base64.b64encode(key[1:]).decode(), "", "ключ"):
        with pytest.raises(ValueError, match=f"openssl rand -base64 {found.key_size}") as raised:
            found.key_from_text(wrong)
        assert not wrong or wrong not in str(raised.value)


def test_an_empty_password_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        METHODS["aes-128-gcm"].key_from_text("")


def test_an_unknown_method_is_named_with_those_known() -> None:
    with pytest.raises(ValueError, match=r"'rc4-md5'.*aes-128-gcm.*2022-blake3-chacha20-poly1305"):
        find_method("rc4-md5")
