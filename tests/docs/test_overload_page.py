"""The examples of docs/overload.md are configurations, and what the page says of the door's defaults is true."""

from __future__ import annotations

import tomllib

from gateway.config import load_tree
from proxy.settings import TcpOverload
from tests.docs.pages import blocks, page

PAGE = "docs/overload.md"
INGRESS = """version = 1
[[ingress.listeners]]
address = "127.0.0.1:5300"
[[ingress.backends]]
name = "ns-a"
address = "127.0.0.1:5353"
"""


def test_the_examples_together_are_a_configuration() -> None:
    text = INGRESS + "\n".join(blocks(page(PAGE), "toml"))
    ingress = load_tree(PAGE, tomllib.loads(text)).ingress
    assert ingress is not None
    assert [str(prefix) for prefix in ingress.overload.verified] == ["192.0.2.0/24"]
    assert ingress.tcp.time_limit == 5000
    assert ingress.tcp.overload == TcpOverload()
