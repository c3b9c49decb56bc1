"""Under load nothing is lost: not in plain running, not over a reload, and a killed worker is back within a second."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.zones import LabZone
from tests.ring.gateways import Dnsperf, Gateway, front_of, loopback, running
from tests.support.peers import require, until
from tests.support.zones import serial

ZONE = LabZone("load.example", hosts=500)


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    file = tmp_path / "queries"
    file.write_text("".join(f"host-{number}.{ZONE.name} A\n" for number in range(500)))
    return file


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    require(Nsd.program)
    with Nsd(Primary({ZONE.name: ZONE.text(1, "now")}), tmp_path / "node") as node:
        clients = loopback()
        with running(tmp_path, front_of(node, clients, ZONE.name), clients) as started:
            yield started


def balance(gateway: Gateway, transport: str) -> tuple[float, float]:
    """Both sides of the accounting identity."""
    received = gateway.total("zonegate_ingress_received_total", transport=transport)
    return received, gateway.total("zonegate_ingress_verdicts_total", transport=transport)


@pytest.mark.parametrize("mode", ["udp", "tcp"])
def test_dnsperf_loses_nothing_and_everything_is_counted(gateway: Gateway, queries: Path, mode: str) -> None:
    with Dnsperf(gateway.clients, queries, "-m", mode, "-c", "4", "-q", "100", "-l", "2", "-e") as run:
        load = run.finished()
    assert load.lost == 0
    assert load.completed == load.sent > 1000
    assert load.codes.keys() <= {"NOERROR", "NXDOMAIN"}
    received, judged = balance(gateway, mode)
    assert received == judged
    assert gateway.total("zonegate_ingress_verdicts_total", transport=mode, verdict="forward") >= load.sent


@pytest.mark.parametrize("mode", ["udp", "tcp"])
def test_a_reload_loses_nothing(gateway: Gateway, queries: Path, mode: str) -> None:
    with Dnsperf(gateway.clients, queries, "-m", mode, "-c", "4", "-q", "50", "-l", "3", "-Q", "5000") as run:
        text = gateway.child.file.read_text()
        for number in range(5):
            gateway.child.file.write_text(f'{text}\n[[filters.rate_limits]]\nkey = "qname"\nrate = {90000 + number}\n')
            answer = httpx.post(f"http://{gateway.child.admin}/reload")
            assert answer.status_code == httpx.codes.OK, answer.text
        gateway.child.file.write_text("version = 1\n[filters]\nzones = 7\n")
        refused = httpx.post(f"http://{gateway.child.admin}/reload")
        assert refused.status_code >= 400
        assert "zones" in refused.text
        gateway.child.file.write_text(text)
        gateway.child.send(signal.SIGHUP)
        load = run.finished()
    assert load.lost == 0
    assert load.completed == load.sent > 5000
    assert load.codes.keys() <= {"NOERROR", "NXDOMAIN"}


def test_a_killed_worker_is_back_and_the_others_serve_on(gateway: Gateway, queries: Path) -> None:
    status = httpx.get(f"http://{gateway.child.admin}/status").json()
    workers = [process["pid"] for process in status["processes"] if process["role"] == "ingress"]
    assert len(workers) == 2
    with Dnsperf(gateway.clients, queries, "-c", "8", "-q", "50", "-l", "4", "-Q", "2000", "-t", "3") as run:
        until(lambda: gateway.total("zonegate_ingress_received_total") > 500, what="queries on their way")
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: gateway.total("zonegate_worker_restarts_total") == 1, 1.0, "the restart to be counted")
        until(gateway.is_ready, 1.0, "the worker to be back within a second")
        load = run.finished()
    # What waited in the killed worker's socket is answered by its successor; only what it held itself is gone.
    assert load.lost <= 100
    assert load.completed >= load.sent - 100
    assert serial(gateway.clients, ZONE.name) == 1


def test_sigterm_answers_what_is_in_flight_and_exits_with_0(gateway: Gateway, queries: Path) -> None:
    with Dnsperf(gateway.clients, queries, "-c", "2", "-q", "20", "-l", "1", "-Q", "500") as run:
        assert run.finished().lost == 0
    assert gateway.child.stop() == 0
