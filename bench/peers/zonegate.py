"""zonegate itself: `zonegate run` with a configuration that is written here."""

from __future__ import annotations

import base64
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families

import gateway
from bench.errors import BenchError
from gateway.lab.servers.ports import free_port
from gateway.lab.servers.process import ChildProcess
from proxy.values import Endpoint

LOOPBACK = ip_address("127.0.0.1")
METHOD = "2022-blake3-aes-256-gcm"
UNREACHED = 10_000_000  # queries a second: the limit is checked for every query, and holds none back
CHECKS = 100_000  # SOA checks a second to the primary: what is measured is the way, not the wait for its quota


def new_endpoint() -> Endpoint:
    """A free address on loopback, UDP and TCP."""
    return Endpoint(LOOPBACK, free_port())


def new_key() -> str:
    """A key for `METHOD`."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def door(listen: Endpoint, backend: Endpoint, zone: str) -> str:
    """Queries in, for one zone. It ends within `[filters]`: more of that may follow."""
    return f"""\
[ingress]
workers = 0

[[ingress.listeners]]
address = "{listen}"
transports = ["udp", "tcp"]

[[ingress.backends]]
name = "node"
address = "{backend}"

[filters]
zones = ["{zone}"]
"""


def ingress_role(listen: Endpoint, backend: Endpoint, zone: str, limit: int = UNREACHED) -> str:
    """Queries in: served zones, a limit for each client address, the error budget, all wire checks.

    The bucket of the limit is as large as dnsdist's: a second's worth.
    """
    return f"""\
{door(listen, backend, zone)}
[[filters.rate_limits]]
key = "client-prefix"
rate = {limit}
burst = {limit}
action = "drop"
"""


def forwarder_role(listen: Endpoint, far_end: Endpoint, key: str, primary: Endpoint, zone: str) -> str:
    """A local address that leads through a Shadowsocks tunnel to a primary."""
    return f"""\
[[tunnels]]
name = "out"
url = "ss://{METHOD}:{quote(key, safe="")}@{far_end}"

[[primaries]]
name = "primary"
address = "{primary}"
tunnels = ["out"]

[[forwarders]]
listen = "{listen}"
primary = "primary"
zones = ["{zone}"]
"""


def tunnels_role(listen: Endpoint, far_ends: Sequence[tuple[Endpoint, str]], primary: Endpoint) -> str:
    """A forwarder for any zone with several tunnels: where each ends, and its key."""
    tunnels = "".join(
        f"""\
[[tunnels]]
name = "out{number}"
url = "ss://{METHOD}:{quote(key, safe="")}@{far_end}"

"""
        for number, (far_end, key) in enumerate(far_ends)
    )
    names = ", ".join(f'"out{number}"' for number in range(len(far_ends)))
    return f"""\
{tunnels}[[primaries]]
name = "primary"
address = "{primary}"
tunnels = [{names}]
soa_rate = {CHECKS}
soa_burst = {CHECKS}

[[forwarders]]
listen = "{listen}"
primary = "primary"
"""


def exit_role(listen: Endpoint, key: str, primary: Endpoint) -> str:
    """The far end of that tunnel."""
    return f"""\
[exit]
listen = "{listen}"
method = "{METHOD}"
key = "{key}"
allow = ["{primary}"]
"""


class Zonegate:
    """One gateway. A context manager: entered, it is ready; left, it has ended."""

    def __init__(self, directory: Path, roles: str) -> None:
        """`roles` is its configuration without the version and the control plane."""
        self._admin = Endpoint(LOOPBACK, free_port("tcp"))
        self._directory = directory
        self._roles = roles
        self._child: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess:
        """The supervisor.

        Raises:
            BenchError: it was not started.
        """
        if self._child is None:
            raise BenchError("zonegate was not started")
        return self._child

    def dropped(self) -> int:
        """Queries dropped for their rate so far.

        Raises:
            BenchError: it does not say.
        """
        samples = [
            sample.value
            for metric in text_string_to_metric_families(self._get("metrics"))
            for sample in metric.samples
            if sample.labels.get("verdict") == "drop" and sample.labels.get("reason") == "rate-limited"
        ]
        return int(sum(samples))

    def reload(self, roles: str) -> None:
        """Go by another configuration from now on.

        Raises:
            BenchError: it is not taken.
        """
        self._write(roles)
        try:
            with urllib.request.urlopen(f"http://{self._admin}/reload", data=b"", timeout=30):  # data makes it a POST
                pass
        except OSError as error:
            raise BenchError(f"zonegate does not reload: {error}") from error

    def _write(self, roles: str) -> Path:
        configuration = self._directory / "zonegate.toml"
        configuration.touch(mode=0o600)  # it may hold a key
        configuration.write_text(f'version = 1\n\n{roles}\n[admin]\naddress = "{self._admin}"\n')
        return configuration

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        configuration = self._write(self._roles)
        self._child = ChildProcess(
            [sys.executable, "-m", "gateway.cli", "run", "--config", configuration],
            self._directory / "zonegate.log",
            name="zonegate",
            env={"PYTHONPATH": str(Path(gateway.__file__).parent.parent)},
        ).start()
        try:
            self._child.wait(self._ready)
        except BaseException:
            self._child.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()

    def _ready(self) -> bool:
        try:
            self._get("readyz")
        except BenchError:  # not yet
            return False
        return True

    def _get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://{self._admin}/{path}", timeout=5) as answer:
                return bytes(answer.read()).decode()
        except OSError as error:  # URLError and HTTPError are kinds of it
            raise BenchError(f"zonegate does not answer /{path}: {error}") from error
