"""The two configuration files of the lab, as an operator would write them: one of the exit, one of the gateway.

nodes -> forwarder -> tunnel (Shadowsocks 2022) -> exit -> primary
clients -> listener -> nodes
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.values import Endpoint

METHOD = "2022-blake3-aes-256-gcm"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Addresses:
    """Who listens where."""

    gateway: Endpoint
    admin: Endpoint
    forwarder: Endpoint
    exit: Endpoint
    exit_admin: Endpoint
    primary: Endpoint
    nodes: tuple[tuple[str, Endpoint], ...]  # name and address of each


def write_key(directory: Path, exit_address: Endpoint) -> None:
    """A new key for the tunnel: `exit.key` for the exit, `tunnel.url` for the gateway, readable by their owner only."""
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    for name, text in (("exit.key", key), ("tunnel.url", f"ss://{METHOD}:{key}@{exit_address}")):
        file = directory / name
        file.touch(mode=0o600)
        file.write_text(f"{text}\n")


def exit_file(at: Addresses) -> str:
    """The exit opens the primary's address, and nothing else."""
    return f"""\
version = 1

[exit]
listen = "{at.exit}"
method = "{METHOD}"
key = {{ file = "exit.key" }}
allow = ["{at.primary.address}/32:{at.primary.port}"]

[admin]
address = "{at.exit_admin}"
"""


def gateway_file(at: Addresses, zones: Sequence[str]) -> str:
    """The gateway serves the zones of the lab from its nodes, and leads the nodes to the primary."""
    served = ", ".join(f'"{zone}"' for zone in zones)
    backends = "".join(
        f'[[ingress.backends]]\nname = "{name}"\naddress = "{endpoint}"\n\n' for name, endpoint in at.nodes
    )
    return f"""\
version = 1

[ingress]
workers = 2

[[ingress.listeners]]
address = "{at.gateway}"
transports = ["udp", "tcp"]

[ingress.udp]
receive_buffer = 131072     # as much as a kernel with its usual settings grants without root

[ingress.health]
interval = 0.3              # so that the lab starts quickly

{backends}[filters]
zones = [{served}]

[[filters.rate_limits]]
key = "client-prefix"
rate = 20000
action = "truncate"

[[tunnels]]
name = "lab-tunnel"
url = {{ file = "tunnel.url" }}

[[primaries]]
name = "lab-primary"
address = "{at.primary}"
tunnels = ["lab-tunnel"]

[[forwarders]]
listen = "{at.forwarder}"
primary = "lab-primary"
allow = ["127.0.0.0/8"]
zones = [{served}]

[admin]
address = "{at.admin}"
"""
