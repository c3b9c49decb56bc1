"""The sections of the page, in its order. A new one is an async function from a directory to a `page.Section`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.interop import shadowsocks, socks, transfers
from tests.interop.page import Section

SECTIONS: dict[str, Callable[[Path], Awaitable[Section]]] = {
    "Shadowsocks": shadowsocks.direct,
    "Shadowsocks through a relay": shadowsocks.relayed,
    "SOCKS5": socks.through_servers,
    "Transfers": transfers.through_the_gateway,
}
