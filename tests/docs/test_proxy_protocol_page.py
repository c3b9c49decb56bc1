"""The examples of docs/proxy-protocol.md are configurations."""

from __future__ import annotations

import tomllib

from gateway.config import load_tree
from tests.docs.pages import blocks, page

PAGE = "docs/proxy-protocol.md"


def test_the_examples_together_are_a_configuration() -> None:
    text = "version = 1\n[ingress]\n" + "\n".join(blocks(page(PAGE), "toml"))
    ingress = load_tree(PAGE, tomllib.loads(text)).ingress
    assert ingress is not None
    assert "v2" in {listener.proxy_protocol.over_tcp for listener in ingress.listeners}
    assert "v2" in {backend.proxy_protocol.tcp for backend in ingress.backends}
