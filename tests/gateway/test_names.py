"""Names that the configuration lets pass are names to dnspython too, of the same length on the wire."""

from __future__ import annotations

import dns.exception
import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.names import check_name

written = st.text(st.sampled_from('ab.\\0259-_*é \t"$@(;'), max_size=20) | st.text(max_size=300)


def is_name(text: str) -> bool:
    try:
        check_name(text)
    except ValueError:
        return False
    return True


@given(written)
@settings(deadline=None)
def test_what_passes_is_a_name(text: str) -> None:
    if is_name(text):
        wire = dns.name.from_text(text).to_wire()
        assert wire is not None
        assert len(wire) <= 255


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=8))
@settings(deadline=None)
def test_every_name_passes_as_dnspython_writes_it(labels: list[bytes]) -> None:
    try:
        name = dns.name.Name([*labels, b""])
    except dns.exception.DNSException:
        return
    assert is_name(name.to_text())
    assert is_name(name.to_text(omit_final_dot=True)) or name == dns.name.root


@pytest.mark.parametrize(
    "text", ["", "..", ".a", "a..b", "a" * 64, "a\\", "a\\25", "a\\256", "a..", ".".join(["a" * 63] * 4)]
)
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize(
    "text", [".", "a", "a.", "*.example", "_dmarc.example", "a\\.b.c", "\\000", ".".join(["a" * 63] * 3)]
)
def test_what_is_a_name(text: str) -> None:
    assert is_name(text)
