"""A whole gateway in real processes: start, crash, hang, reload, drain, end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import dns.rcode
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.configs import KEY_32
from tests.gateway.neighbours import Client, backend
from tests.gateway.running import Running
from tests.support.peers import free_port, until

INGRESS = """\
version = 1
[ingress]
workers = {workers}
[[ingress.listeners]]
address = "127.0.0.1:{port}"
[[ingress.backends]]
name = "ns-a"
address = "{backend}"
[ingress.udp]
receive_buffer = 65536
[ingress.health]
interval = 0.05
[filters]
zones = ["example.com"]
table_size = 1024
[admin]
address = "{{admin}}"
[log]
format = "json"
"""

EXIT = f"""\
version = 1
[exit]
listen = "127.0.0.1:{{port}}"
key = "{KEY_32}"
allow = ["127.0.0.1/32:53"]
[admin]
address = "{{{{admin}}}}"
[log]
format = "json"
"""


@pytest.fixture
def node() -> Iterator[str]:
    """The address of a backend that works."""
    with backend() as address:
        yield address


@pytest.fixture
def door() -> Iterator[Client]:
    """A client of the listener; its port is free when the gateway starts."""
    with closing(Client(free_port())) as client:
        yield client


def ingress(directory: Path, node: str, door: Client, workers: int = 1) -> Running:
    return Running(directory, INGRESS.format(workers=workers, port=door.port, backend=node))


def metrics(gateway: Running) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(gateway.get("/metrics").text)
    return {(s.name, tuple(sorted(s.labels.values()))): s.value for family in families for s in family.samples}


def test_queries_pass_and_the_gateway_says_that_it_is_ready(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door, workers=2) as gateway:
        notified = gateway.notified("READY=1")
        assert "STATUS=serving with ingress-0, ingress-1" in notified[-1]
        until(lambda: gateway.get("/readyz").status_code == 200, what="readiness")
        assert door.ask().rcode() == dns.rcode.NOERROR
        assert door.ask("elsewhere.test").rcode() == dns.rcode.REFUSED
        found = metrics(gateway)
        assert found["zonegate_ingress_received_total", ("udp",)] == 2
        verdicts = {name[1]: value for name, value in found.items() if name[0] == "zonegate_ingress_verdicts_total"}
        assert verdicts == {("forward", "ok", "udp"): 1, ("not-served", "reply", "udp"): 1}
        assert found["zonegate_worker_up", ("ingress-1",)] == 1
        assert found["zonegate_backend_healthy", ("ingress-0", "ns-a")] == 1
        gateway.signal(signal.SIGTERM)
        assert "STOPPING=1" in gateway.notified("STOPPING=1")[-1]
        assert gateway.exit_code() == 0


def test_no_healthy_backend_is_not_ready(tmp_path: Path, door: Client) -> None:
    with ingress(tmp_path, f"127.0.0.1:{free_port()}", door) as gateway:
        gateway.notified("READY=1")
        until(
            lambda: gateway.process_state("ingress-0")["body"]["backends"][0]["state"] == "unhealthy",
            what="a judgement",
        )
        answer = gateway.get("/readyz")
        assert answer.status_code == 503
        (missing,) = [check for check in answer.json()["checks"] if not check["ok"]]
        assert missing == {"name": "a healthy backend for ingress-0", "ok": False, "detail": "ns-a unhealthy"}


def test_a_killed_worker_is_back_within_a_second_and_answers_what_was_queued(
    tmp_path: Path, node: str, door: Client
) -> None:
    with ingress(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        door.ask()
        old = gateway.process_state("ingress-0")["pid"]
        killed = time.monotonic()
        os.kill(old, signal.SIGKILL)
        query = door.send()
        assert door.answer(query).rcode() == dns.rcode.NOERROR
        # The figure is one second on an idle machine; tests share their CPUs.
        assert time.monotonic() - killed < 5
        again = gateway.serving_again("ingress-0", old)
        assert again["restarts"] == 1
        event = gateway.event("process.exited")
        assert (event["process"], event["how"]) == ("ingress-0", "signal SIGKILL")
        found = metrics(gateway)
        assert found["zonegate_worker_restarts_total", ("ingress-0",)] == 1
        assert found["zonegate_event_total", ("process.exited",)] == 1
        assert found["zonegate_ingress_received_total", ("udp",)] == 2, "counters survive a crash"


def test_the_other_workers_serve_on(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door, workers=2) as gateway:
        gateway.notified("READY=1")
        before = {name: gateway.process_state(name)["pid"] for name in ("ingress-0", "ingress-1")}
        os.kill(before["ingress-0"], signal.SIGKILL)
        gateway.serving_again("ingress-0", before["ingress-0"])
        assert gateway.process_state("ingress-1")["pid"] == before["ingress-1"]
        assert gateway.process_state("ingress-1")["restarts"] == 0


def test_a_worker_told_to_end_drains_and_is_started_again(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        old = gateway.process_state("ingress-0")["pid"]
        os.kill(old, signal.SIGTERM)
        gateway.serving_again("ingress-0", old)
        assert gateway.event("process.exited")["how"] == "exit code 0"
        assert door.ask().rcode() == dns.rcode.NOERROR


def test_a_reload_changes_the_policy_and_the_backends_and_nothing_else(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, f"127.0.0.1:{free_port()}", door) as gateway:
        gateway.notified("READY=1")
        old = gateway.process_state("ingress-0")["pid"]
        text = INGRESS.format(workers=3, port=door.port, backend=node).replace("example.com", "example.net")
        gateway.write(text)
        report = gateway.post("/reload").json()
        assert report["ok"]
        assert report["changed"] == ["filters.zones[0]", "ingress.backends[0].address"]
        assert report["restart"] == ["ingress.workers"]
        assert [text.split("\n")[0] for text in gateway.notified("READY=1")] == ["RELOADING=1", "READY=1"]
        assert door.ask("www.example.com").rcode() == dns.rcode.REFUSED
        assert door.ask("www.example.net").rcode() == dns.rcode.NOERROR
        assert gateway.process_state("ingress-0")["pid"] == old
        assert gateway.state()["serial"] == 2
        assert gateway.event("config.restart-needed")["keys"] == ["ingress.workers"]
        # A worker that crashes later comes back with the new settings.
        os.kill(old, signal.SIGKILL)
        gateway.serving_again("ingress-0", old)
        assert door.ask("www.example.com").rcode() == dns.rcode.REFUSED


def test_reloads_lose_no_query(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        text = gateway.file.read_text()
        serials = []
        with ThreadPoolExecutor(1) as pool:
            for weight in range(2, 12):
                gateway.write(text.replace("[ingress.udp]", f"weight = {weight}\n[ingress.udp]"))
                reload = pool.submit(gateway.post, "/reload")
                asked = 0
                while not reload.done() or asked < 20:
                    assert door.ask().rcode() == dns.rcode.NOERROR
                    asked += 1
                serials.append(reload.result().json()["changed"])
        assert serials == [["ingress.backends[0].weight"]] * 10
        found = metrics(gateway)
        assert (
            found["zonegate_ingress_received_total", ("udp",)]
            == found["zonegate_ingress_verdicts_total", ("forward", "ok", "udp")]
        )


def test_a_bad_file_changes_nothing(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        good = gateway.file.read_text()
        gateway.write(good.replace("[filters]", "[fliters]\nx = 1\n[filters]").replace("workers = 1", "workers = -1"))
        answer = gateway.post("/reload")
        assert answer.status_code == 422
        assert [problem["key"] for problem in answer.json()["problems"]] == ["ingress.workers", "fliters"]
        assert gateway.state()["serial"] == 1
        assert metrics(gateway)["zonegate_policy_last_reload_ok", ()] == 0
        assert door.ask().rcode() == dns.rcode.NOERROR
        gateway.write(good)
        gateway.signal(signal.SIGHUP)
        gateway.notified("READY=1")
        until(lambda: metrics(gateway)["zonegate_policy_last_reload_ok", ()] == 1, what="the good file")


def test_forwarders_and_exit_move_without_a_restart(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    forwarders = """
        [[tunnels]]
        name = "none"
        url = "direct://"
        [[primaries]]
        name = "p"
        address = "127.0.0.1:53"
        tunnels = ["none"]
        [[forwarders]]
        listen = "127.0.0.1:{port}"
        primary = "p"
    """
    with Running(tmp_path, EXIT.format(port=ports[0])) as gateway:
        gateway.notified("READY=1")
        old = gateway.process_state("transfer")["pid"]
        gateway.write(EXIT.format(port=ports[1]) + forwarders.format(port=ports[2]))
        report = gateway.post("/reload").json()
        assert (report["ok"], report["restart"], report["restarted"]) == (True, [], [])
        assert gateway.process_state("transfer")["pid"] == old
        until(lambda: gateway.process_state("transfer")["body"]["forwarders"], what="the forwarder")
        for port in ports[1:]:
            socket.create_connection(("127.0.0.1", port), 5).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", ports[0]), 5)
        found = metrics(gateway)
        assert found["zonegate_transfer_connections_opened_total", (f"127.0.0.1:{ports[2]}", "p")] >= 0
        assert found["zonegate_exit_streams", ()] >= 0


def test_an_address_that_is_taken_fails_the_reload_and_changes_nothing(tmp_path: Path) -> None:
    port = free_port()
    with Running(tmp_path, EXIT.format(port=port)) as gateway, socket.socket() as taken:
        gateway.notified("READY=1")
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway.write(EXIT.format(port=taken.getsockname()[1]))
        answer = gateway.post("/reload")
        assert answer.status_code == 422
        assert "in use" in answer.json()["problems"][0]["found"]
        socket.create_connection(("127.0.0.1", port), 5).close()


def test_an_address_that_is_taken_fails_the_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with Running(tmp_path, EXIT.format(port=taken.getsockname()[1])) as gateway:
            assert gateway.exit_code() == 1
            assert "in use" in gateway.event("gateway.failed")["error"]


def test_a_second_signal_ends_at_once(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        pid = gateway.process_state("ingress-0")["pid"]
        os.kill(pid, signal.SIGSTOP)  # it won't drain
        gateway.signal(signal.SIGTERM)
        gateway.notified("STOPPING=1")
        gateway.signal(signal.SIGINT)
        assert gateway.exit_code() == 1


def test_processes_do_not_outlive_a_killed_supervisor(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door, workers=2) as gateway:
        gateway.notified("READY=1")
        pids = [process["pid"] for process in gateway.state()["processes"]]
        gateway.signal(signal.SIGKILL)
        gateway.exit_code()
        until(lambda: not any(alive(pid) for pid in pids), what="the workers to end")


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_secrets_of_the_environment_stay_in_the_supervisor(tmp_path: Path) -> None:
    text = EXIT.format(port=free_port()).replace(f'"{KEY_32}"', '{ env = "ZONEGATE_EXIT_KEY" }')
    with Running(tmp_path, text, environment={"ZONEGATE_EXIT_KEY": KEY_32}) as gateway:
        gateway.notified("READY=1")
        pid = gateway.process_state("transfer")["pid"]
        shown = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline")]
        assert KEY_32.encode() not in b"".join(shown)
        assert KEY_32 not in gateway.log.read_text() + gateway.get("/status").text + gateway.get("/metrics").text


def test_an_exit_runs_from_options_alone(tmp_path: Path) -> None:
    key = tmp_path / "exit.key"
    key.write_text(KEY_32 + "\n")
    key.chmod(0o600)
    port = free_port()
    admin = f"127.0.0.1:{free_port('tcp')}"
    options = ["--listen", f"127.0.0.1:{port}", "--key-file", str(key), "--allow", "127.0.0.1/32:53", "--admin", admin]
    with Running(tmp_path, "", "exit", *options) as gateway:
        gateway.admin = admin
        gateway.notified("READY=1")
        assert gateway.get("/readyz").status_code == 200
        answer = gateway.post("/reload")
        assert answer.status_code == 422
        assert "without a file" in answer.json()["problems"][0]["found"]
        gateway.signal(signal.SIGINT)
        assert gateway.exit_code() == 0


def test_an_exit_with_a_file_takes_a_changed_one_and_keeps_to_its_part(tmp_path: Path) -> None:
    others = (
        f'[[forwarders]]\nlisten = "127.0.0.1:{free_port()}"\nprimary = "customer-a"\n'
        '[[primaries]]\nname = "customer-a"\naddress = "127.0.0.1:53"\ntunnels = ["fra"]\n'
        '[[tunnels]]\nname = "fra"\nurl = "direct://"\n'
    )
    text = EXIT.format(port=free_port()) + others
    with Running(tmp_path, text, "exit", "--config", str(tmp_path / "zonegate.toml")) as gateway:
        gateway.notified("READY=1")
        gateway.write(text.replace('"127.0.0.1/32:53"', '"127.0.0.1/32:54"').replace("fra", "ams"))
        assert gateway.post("/reload").json()["changed"] == ["exit.allow[0]"]
        gateway.write('version = 1\n[admin]\naddress = "{admin}"\n' + others)
        refused = gateway.post("/reload")
        assert refused.status_code == 422
        assert "needs an [exit]" in refused.json()["problems"][0]["right"]
        assert gateway.get("/readyz").status_code == 200


def test_a_second_gateway_on_the_same_doors_does_not_start(tmp_path: Path, node: str, door: Client) -> None:
    (tmp_path / "second").mkdir()
    with ingress(tmp_path, node, door, workers=2) as gateway:
        gateway.notified("READY=1")
        with ingress(tmp_path / "second", node, door) as second:
            assert second.exit_code() == 1
            assert "address in use" in second.event("gateway.failed")["error"]
        assert door.ask().rcode() == dns.rcode.NOERROR


def test_a_full_disk_under_the_log_stops_nothing(tmp_path: Path, node: str, door: Client) -> None:
    gateway = ingress(tmp_path, node, door)
    gateway.log = Path("/dev/full")
    with gateway:
        gateway.notified("READY=1")
        old = gateway.process_state("ingress-0")["pid"]
        os.kill(old, signal.SIGKILL)
        gateway.serving_again("ingress-0", old)
        assert door.ask().rcode() == dns.rcode.NOERROR
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0


def test_few_descriptors_bound_the_clients_and_leave_the_backends_alone(
    tmp_path: Path, node: str, door: Client
) -> None:
    with ingress(tmp_path, node, door) as gateway, ExitStack() as clients:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        granted = gateway.event("ingress.descriptors-few")["granted"]
        assert 0 < granted < 64
        gateway.notified("READY=1")
        for _ in range(100):
            with suppress(ConnectionResetError):  # one that is refused may be reset while it is still being made
                clients.enter_context(socket.create_connection(("127.0.0.1", door.port), 5))
        refused = ("zonegate_ingress_io_total", ("connections-refused",))
        until(lambda: metrics(gateway).get(refused) == 100 - granted, what="all others to be refused, and counted")
        assert door.ask().rcode() == dns.rcode.NOERROR
        assert gateway.get("/readyz").status_code == 200
        assert "backend.unhealthy" not in gateway.state()["events"]
        # Nor may those who crowd the admin API keep a worker from coming back.
        host, port = gateway.admin.split(":")
        old = gateway.process_state("ingress-0")["pid"]
        for _ in range(100):
            clients.enter_context(socket.create_connection((host, int(port)), 5))
        os.kill(old, signal.SIGKILL)
        assert door.ask().rcode() == dns.rcode.NOERROR


def test_workers_may_open_as_many_descriptors_as_the_hard_limit_allows(tmp_path: Path, node: str, door: Client) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard))
    try:
        with ingress(tmp_path, node, door) as gateway:
            gateway.notified("READY=1")
            pid = gateway.process_state("ingress-0")["pid"]
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_reload_that_takes_long_to_read_holds_up_nothing_else(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door) as gateway, ThreadPoolExecutor(1) as pool:
        gateway.notified("READY=1")
        good = gateway.file.read_text().replace("example.com", "example.net")
        gateway.file.unlink()
        os.mkfifo(gateway.file, 0o600)
        reader = os.open(gateway.file, os.O_RDONLY | os.O_NONBLOCK)
        with gateway.file.open("w") as slow:
            reload = pool.submit(gateway.post, "/reload")
            gateway.notified("RELOADING=1")
            assert gateway.get("/healthz").status_code == 200
            assert door.ask("www.example.com").rcode() == dns.rcode.NOERROR
            assert not reload.done()
            slow.write(good)
            slow.flush()
            os.close(reader)
        assert reload.result().json()["changed"] == ["filters.zones[0]"]
        assert door.ask("www.example.net").rcode() == dns.rcode.NOERROR


def test_a_hangup_during_the_drain_changes_nothing_and_says_nothing(tmp_path: Path, node: str, door: Client) -> None:
    with ingress(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        pid = gateway.process_state("ingress-0")["pid"]
        os.kill(pid, signal.SIGSTOP)  # it won't drain
        gateway.signal(signal.SIGTERM)
        gateway.notified("STOPPING=1")
        gateway.signal(signal.SIGHUP)
        answer = gateway.post("/reload")
        assert answer.status_code == 422
        assert "draining" in answer.json()["problems"][0]["found"]
        os.kill(pid, signal.SIGCONT)
        assert gateway.exit_code() == 0
        assert gateway.notifications() == []
