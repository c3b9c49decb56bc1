"""Queries that must be signed by one key (RFC 8945)."""

from __future__ import annotations

import time

import dns.message
import dns.tsigkeyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.protocol.signed_queries import SignatureGate
from proxy.settings import TsigKey
from proxy.values import Secret

BASE64 = "c2VjcmV0IG9mIHRlc3Rz"
GATE = SignatureGate(TsigKey(name="Key.example", secret=Secret(BASE64)))
REASONS = {None, "tsig-missing", "tsig-key", "tsig-mac", "tsig-time"}


def query(key: str = "key.example.", base64: str = BASE64, algorithm: str = "hmac-sha256.") -> bytes:
    message = dns.message.make_query("example.com", "IXFR", use_edns=0)
    message.use_tsig(dns.tsigkeyring.from_text({key: base64}), algorithm=algorithm)
    return message.to_wire()


def test_a_query_signed_by_the_key_passes_while_it_is_fresh() -> None:
    signed = query()
    assert GATE.refusal(signed, time.time()) is None
    assert GATE.refusal(signed, time.time() + 301) == "tsig-time"
    assert GATE.refusal(signed, time.time() - 302) == "tsig-time"


def test_what_is_wrong_is_named() -> None:
    now = time.time()
    assert GATE.refusal(dns.message.make_query("example.com", "SOA").to_wire(), now) == "tsig-missing"
    assert GATE.refusal(dns.message.make_query("example.com", "SOA", use_edns=0).to_wire(), now) == "tsig-missing"
    assert GATE.refusal(query(key="other."), now) == "tsig-key"
    assert GATE.refusal(query(algorithm="hmac-sha512."), now) == "tsig-key"
    assert GATE.refusal(query(base64="b3RoZXI="), now) == "tsig-mac"
    signed = query()
    assert GATE.refusal(signed[:20] + bytes((signed[20] ^ 1,)) + signed[21:], now) == "tsig-mac"
    assert GATE.refusal(signed + b"\0", now) == "tsig-mac"


@given(st.integers(0, 200), st.binary(max_size=20), st.integers(0, 200))
def test_any_bytes_have_a_reason(at: int, noise: bytes, cut: int) -> None:
    signed = query()
    message = signed[:at] + noise + signed[at + len(noise) :]
    assert GATE.refusal(message[: len(message) - cut], time.time()) in REASONS
    assert GATE.refusal(noise, time.time()) in REASONS


@pytest.mark.parametrize(("name", "secret"), [("a..b", BASE64), ("key", "not base64!")])
def test_a_bad_key_is_an_error_that_shows_no_secret(name: str, secret: str) -> None:
    with pytest.raises(ValueError, match=name.replace(".", r"\.")) as error:
        SignatureGate(TsigKey(name=name, secret=Secret(secret)))
    assert secret not in str(error.value)
