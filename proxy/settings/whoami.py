"""Settings of the question whose answer is the asker's address: `[tunnels.whoami]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Seconds, Settings
from proxy.values import Endpoint


class Whoami(Settings, frozen=True, kw_only=True):
    """`[tunnels.whoami]`: a DNS server that answers with the address that it was asked from, asked over TCP."""

    address: Annotated[Endpoint, Meta(description="the server; the exit must be allowed to open it")]
    name: Annotated[str, Meta(description="the name to ask for, such as o-o.myaddr.l.google.com")]
    type: Annotated[Literal["TXT", "A", "AAAA"], Meta(description="and the type in which the answer comes")] = "TXT"
    interval: Annotated[Seconds, Meta(description="how often it is asked")] = 3600.0
