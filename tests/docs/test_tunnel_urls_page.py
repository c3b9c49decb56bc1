"""What docs/tunnel-urls.md says of URLs is what becomes of them."""

from __future__ import annotations

import re

import pytest

from proxy.protocol.tunnel_urls import ShadowsocksAddress, parse_tunnel_url
from tests.docs.pages import page

ROW = re.compile(r"(?m)^\| `(\w+://[^`]*)` \| (.*) \|$")
GOOD, BAD = (ROW.findall(part) for part in page("docs/tunnel-urls.md").split("What is refused"))


def test_the_page_has_both_tables() -> None:
    assert len(GOOD) == len(BAD) == 6


@pytest.mark.parametrize(("url", "text"), GOOD)
def test_a_form_is_read_as_the_page_says(url: str, text: str) -> None:
    address = parse_tunnel_url(url)
    if isinstance(address, ShadowsocksAddress):
        assert f"edition of {address.method.edition}" in text or "the same" in text
        assert bool(address.identity_keys) == ("chain of keys" in text)
        assert bool(address.tag) == ("#" in url)


@pytest.mark.parametrize(("url", "says"), BAD)
def test_a_refusal_says_what_the_page_says(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_tunnel_url(url)
