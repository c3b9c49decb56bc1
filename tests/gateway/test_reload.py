"""A reload is taken whole or not at all, and what it says of itself is true."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dns.rcode
import pytest

from gateway import ipc
from gateway.config import load
from gateway.config.changes import compare
from gateway.lists.check import check_lists
from gateway.lists.keeper import ListKeeper
from gateway.lists.watched import Outcome, Watched
from gateway.supervisor.gateway import Supervisor
from tests.gateway.configs import INGRESS as INGRESS_TEXT
from tests.gateway.neighbours import Client, backend
from tests.gateway.running import Running
from tests.gateway.test_changes import settings
from tests.gateway.test_supervisor import INGRESS, ingress
from tests.support.peers import auntil, free_port

LIST = '[[filters.lists]]\nname = "abuse"\nfile = "abuse.txt"\naction = "nxdomain"\n'
FETCHED = """
[[tunnels]]
name = "t"
url = "socks5://127.0.0.1:9"
[[filters.lists]]
name = "feed"
url = "https://lists.example/abuse.txt"
tunnels = ["t"]
address = "127.0.0.1"
action = "drop"
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


def reload(gateway: Running) -> dict[str, object]:
    body: dict[str, object] = gateway.post("/reload").json()
    return body


def test_a_rule_for_a_listener_that_needs_a_restart_is_refused_before_anything_changes(
    tmp_path: Path, node: str, door: Client
) -> None:
    with ingress(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        pid = gateway.process_state("ingress-0")["pid"]
        text, address = gateway.file.read_text(), f"127.0.0.1:{free_port()}"
        rule = f'[[filters.rules]]\nname = "new"\nwhen = {{ listener = "{address}" }}\naction = "drop"\n'
        gateway.write(text.replace(f"127.0.0.1:{door.port}", address) + rule)
        answer = gateway.post("/reload")
        assert answer.status_code == 422
        (problem,) = answer.json()["problems"]
        assert problem["key"] == "filters.rules[0].when"
        assert "ingress.listeners[0].address can't change without a restart" in problem["right"]
        assert gateway.process_state("ingress-0")["pid"] == pid
        assert door.ask().rcode() == dns.rcode.NOERROR


def test_a_state_directory_that_can_not_be_made_is_refused_before_anything_changes(
    tmp_path: Path, node: str, door: Client
) -> None:
    (tmp_path / "abuse.txt").write_text("bad.example.net\n")
    with ingress(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        text = gateway.file.read_text()
        (tmp_path / "state").write_text("a file, and no directory")
        gateway.write(text.replace("example.com", "example.net") + LIST)
        answer = gateway.post("/reload")
        assert answer.status_code == 422
        assert f"the state directory {tmp_path}/state" in answer.json()["problems"][0]["found"]
        assert door.ask("www.example.com").rcode() == dns.rcode.NOERROR
        assert gateway.event("config.rejected")["problems"]
        (tmp_path / "state").unlink()
        assert reload(gateway)["ok"]
        assert door.ask("bad.example.net").rcode() == dns.rcode.NXDOMAIN


def test_the_last_list_to_fetch_goes_and_comes_again_without_a_restart(tmp_path: Path, node: str, door: Client) -> None:
    text = INGRESS.format(workers=1, port=door.port, backend=node)
    with Running(tmp_path, text + FETCHED) as gateway:
        gateway.notified("READY=1")
        pid = gateway.process_state("transfer")["pid"]
        for more in ("", FETCHED, FETCHED.partition("[[filters")[0], FETCHED):
            gateway.write(text + more)
            report = reload(gateway)
            assert (report["ok"], report.get("restarted")) == (True, []), report
            assert gateway.process_state("transfer")["pid"] == pid
        gateway.event("list.failed")


def test_a_list_to_fetch_without_a_process_for_it_is_not_said_to_be_taken(tmp_path: Path) -> None:
    text = INGRESS.replace("{{admin}}", "127.0.0.1:8053").format(workers=1, port=5300, backend="127.0.0.1:5353")
    tunnel, _, lists = FETCHED.partition("[[filters")
    before = settings(tmp_path, text + tunnel)
    changes = compare(before, settings(tmp_path, text + tunnel + "[[filters" + lists))
    assert (changes.changed, changes.restart) == ((), ("filters.lists",))


def test_a_worker_that_can_not_take_a_reload_starts_anew_with_it_and_that_is_said(
    tmp_path: Path, node: str, door: Client
) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as there, ingress(tmp_path, node, door, 2) as gateway:
        there.bind(("::1", 0))
        gateway.notified("READY=1")
        pids = [gateway.process_state(name)["pid"] for name in ("ingress-0", "ingress-1")]
        # One worker has no descriptors left for the sockets of another address family.
        most = max(int(each.name) for each in Path(f"/proc/{pids[0]}/fd").iterdir())
        resource.prlimit(pids[0], resource.RLIMIT_NOFILE, (most + 1, 1024))
        more = f'[[ingress.backends]]\nname = "six"\naddress = "[::1]:{there.getsockname()[1]}"\n'
        gateway.write(gateway.file.read_text().replace("[admin]", more + "[admin]").replace("example.com", "a.test"))
        report = reload(gateway)
        assert (report["ok"], report["restarted"]) == (True, ["ingress-0"])
        assert gateway.event("reload.rejected")["process"] == "ingress-0"
        gateway.serving_again("ingress-0", pids[0])
        assert gateway.process_state("ingress-1")["pid"] == pids[1]
        for _ in range(8):  # whichever worker it meets
            with closing(Client(door.port)) as client:
                assert client.ask("www.example.com").rcode() == dns.rcode.REFUSED


async def test_a_reload_waits_for_a_list_that_is_being_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else both would write one file, and the older of the two settings could win."""
    free, building = threading.Event(), []
    build = Watched.build

    def slowly(watched: Watched, wanted: int) -> Outcome:
        building.append(watched.settings.subdomains)
        free.wait(10)
        return build(watched, wanted)

    monkeypatch.setattr(Watched, "build", slowly)
    text = INGRESS.replace("{{admin}}", "127.0.0.1:8053").format(workers=1, port=5300, backend="127.0.0.1:5353")
    (tmp_path / "abuse.txt").write_text("bad.example.com\n")
    old = settings(tmp_path, text + LIST).filters.lists
    new = settings(tmp_path, text + LIST + "subdomains = true\n").filters.lists
    keeper = ListKeeper(state=tmp_path / "state", base=tmp_path, emit=lambda _name, _fields: None)
    first = asyncio.create_task(keeper.configure(old))
    await auntil(lambda: building == [False], what="the first to be built")
    second = asyncio.create_task(keeper.configure(new))
    await asyncio.sleep(0)
    assert building == [False]
    free.set()
    await asyncio.gather(first, second)
    assert building == [False, True]


def test_all_blocks_that_there_may_be_fit_into_one_message() -> None:
    longest = b"\x3f" + b"x" * 63
    names = [(longest * 3 + b"\x3d" + b"y" * 61 + b"\0", "truncate", 2**53)] * 100_000
    assert len(ipc.encode(ipc.Blocks(serial=1, names=names))) <= ipc.MAX_MESSAGE


async def test_a_list_that_found_no_room_is_built_when_there_is(tmp_path: Path) -> None:
    text = INGRESS.replace("{{admin}}", "127.0.0.1:8053").format(workers=1, port=5300, backend="127.0.0.1:5353")
    (tmp_path / "abuse.txt").write_text("bad.example.com\n")
    told: list[str] = []
    keeper = ListKeeper(state=tmp_path / "state", base=tmp_path, emit=lambda name, _fields: told.append(name))
    in_the_way = tmp_path / "state" / "lists" / "abuse.new"
    in_the_way.mkdir(parents=True)
    (tmp_path / "state").chmod(0o700)
    in_the_way.parent.chmod(0o700)
    await keeper.configure(settings(tmp_path, text + LIST).filters.lists)
    assert (told, keeper.files()) == (["list.failed"], {})
    in_the_way.rmdir()
    looks = 0
    while not await keeper.look():
        looks += 1
    assert 10 < looks < 100, "not at every look: each is an event"
    assert (told, list(keeper.files())) == (["list.failed", "list.loaded"], ["abuse"])


async def test_a_fault_of_our_own_in_a_reload_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("a fault")

    file = tmp_path / "zonegate.toml"
    file.write_text(INGRESS_TEXT)
    supervisor = Supervisor(load(file), file)
    monkeypatch.setattr("gateway.supervisor.gateway.read_changes", fail)
    report = await supervisor.reload()
    assert not report.ok
    assert not supervisor.last_reload_ok
    assert report.problems[0].found == "an error of the gateway itself: a fault"
    assert "reload.failed" in capsys.readouterr().err
    assert supervisor.event_counts["reload.failed"] == 1


async def test_a_list_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    text = INGRESS.replace("{{admin}}", "127.0.0.1:8053").format(workers=1, port=5300, backend="127.0.0.1:5353")
    os.mkfifo(tmp_path / "abuse.txt")
    told: list[object] = []
    keeper = ListKeeper(
        state=tmp_path / "state", base=tmp_path, emit=lambda _name, fields: told.append(fields["error"])
    )
    lists = settings(tmp_path, text + LIST).filters.lists
    await keeper.configure(lists)
    assert (told, keeper.files()) == (["not a regular file"], {})
    problems, _ = check_lists(lists, tmp_path / "zonegate.toml")
    assert "not a regular file" in problems[0].found
