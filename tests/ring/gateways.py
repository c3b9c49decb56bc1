"""The gateway as an operator runs it, `zonegate run` with a file, in front of one real node; and dnsperf against it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gateway.lab.program import Zonegate
from gateway.lab.servers.server import NameServer
from proxy.values import Endpoint
from tests.support.peers import free_port, require, until


def loopback(kind: str = "both") -> Endpoint:
    """A free port on loopback."""
    return Endpoint.parse(f"127.0.0.1:{free_port(kind)}")  # type: ignore[arg-type]  # the kinds are those of free_port


@dataclass
class Gateway:
    """A running gateway: where clients ask it, and its process."""

    clients: Endpoint
    child: Zonegate

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All samples of /metrics by name and labels."""
        text = httpx.get(f"http://{self.child.admin}/metrics").text
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples of one name that have these labels."""
        return sum(
            value
            for (sample, pairs), value in self.metrics().items()
            if sample == name and labels.items() <= dict(pairs).items()
        )

    def is_ready(self) -> bool:
        """What /readyz says; an error while the process has ended."""
        self.child.check()
        try:
            return httpx.get(f"http://{self.child.admin}/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@contextmanager
def running(directory: Path, text: str, clients: Endpoint | None = None) -> Iterator[Gateway]:
    """Run a configuration, with an admin address added, until the block ends. Entered when it is ready."""
    admin = loopback("tcp")
    child = Zonegate("gateway", directory, admin)
    child.file.write_text(f'version = 1\n[admin]\naddress = "{admin}"\n{text}')
    child.file.chmod(0o600)
    gateway = Gateway(clients or loopback(), child)
    with child:
        until(gateway.is_ready, 20, f"the gateway to be ready; its log: {child.log}")
        yield gateway


def front_of(node: NameServer, clients: Endpoint, zone: str, more: str = "") -> str:
    """The text of a gateway that serves `zone` from `node`."""
    return f"""
[ingress]
workers = 2
udp = {{ receive_buffer = 131072 }}
[[ingress.listeners]]
address = "{clients}"
[[ingress.backends]]
name = "node"
address = "{node.endpoint}"
[filters]
zones = ["{zone}"]
{more}
"""


@dataclass(frozen=True)
class Load:
    """What dnsperf says of a run."""

    sent: int
    completed: int
    lost: int
    codes: dict[str, int]


class Dnsperf:
    """A run of dnsperf 2.10 against `target`. A context manager: left, it has ended."""

    def __init__(self, target: Endpoint, queries: Path, *arguments: str) -> None:
        argv = [require("dnsperf"), "-s", str(target.address), "-p", str(target.port), "-d", str(queries), *arguments]
        self._run = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finished(self, patience: float = 60.0) -> Load:
        """Wait for its end and read its statistics."""
        output, _ = self._run.communicate(timeout=patience)
        counts = {key: int(value) for key, value in re.findall(r"Queries (sent|completed|lost):\s+(\d+)", output)}
        assert counts.keys() == {"sent", "completed", "lost"}, output
        codes = re.search(r"Response codes:\s+(.*)", output)
        pairs = re.findall(r"([A-Z]+) (\d+)", codes.group(1)) if codes else []
        return Load(counts["sent"], counts["completed"], counts["lost"], {name: int(count) for name, count in pairs})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._run.poll() is None:
            self._run.kill()
            self._run.communicate()
