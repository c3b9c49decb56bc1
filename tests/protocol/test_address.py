"""SOCKS addresses: RFC 1928 §5."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.protocol.address import NamedTarget, Target, decode_address, encode_address, take_address
from proxy.values import Endpoint
from tests.protocol.strategies import targets


@pytest.mark.parametrize(
    ("target", "wire"),
    [
        (Endpoint.parse("192.0.2.7:53"), "01 c0000207 0035"),
        (Endpoint.parse("[2001:db8::1]:853"), "04 20010db8000000000000000000000001 0355"),
        (NamedTarget(b"ns.example", 53), "03 0a 6e732e6578616d706c65 0035"),
    ],
)
def test_wire_forms(target: Target, wire: str) -> None:
    assert encode_address(target) == bytes.fromhex(wire)


@given(targets, st.binary(max_size=20), st.binary(max_size=5))
def test_what_is_written_is_read(target: Target, behind: bytes, before: bytes) -> None:
    wire = encode_address(target)
    assert decode_address(before + wire + behind, len(before)) == (target, len(before) + len(wire))
    for end in range(len(wire)):
        assert decode_address(wire[:end]) is None


@given(st.binary(max_size=300))
def test_hostile_bytes_raise_only_protocol_errors(data: bytes) -> None:
    try:
        target, end = take_address(data)
    except ProtocolError:
        return
    assert encode_address(target) == data[:end]


def test_a_name_is_fit_for_a_terminal() -> None:
    assert str(NamedTarget(b"ns.example", 53)) == "ns.example:53"
    assert str(NamedTarget(b"\x1b[2J\n\xff", 53)) == r"\x1b[2J\n\xff:53"


@pytest.mark.parametrize("wire", ["00", "02 00", "05", "ff c0000207 0035", "03 00 0035"])
def test_unknown_types_and_empty_names_are_errors(wire: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode_address(bytes.fromhex(wire))
    assert raised.value.reason == "bad-address"


@pytest.mark.parametrize("name", [b"", b"x" * 256])
def test_a_name_that_does_not_fit_is_not_written(name: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        encode_address(NamedTarget(name, 1))
