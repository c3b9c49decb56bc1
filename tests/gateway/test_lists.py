"""Lists in a whole gateway: taken before the first query, changed under load, kept over a restart, and told of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dns.rcode
import pytest

from tests.gateway.neighbours import Client, backend
from tests.gateway.running import Running
from tests.gateway.test_supervisor import INGRESS, metrics
from tests.support.peers import free_port, until

NXDOMAIN, NOERROR, REFUSED = dns.rcode.NXDOMAIN, dns.rcode.NOERROR, dns.rcode.REFUSED

LIST = """
[[filters.lists]]
name = "abuse"
file = "abuse.txt"
subdomains = true
action = "nxdomain"
"""


@pytest.fixture
def node() -> Iterator[str]:
    """The address of a backend that works."""
    with backend() as address:
        yield address


@pytest.fixture
def door() -> Iterator[Client]:
    """A client of the listener."""
    with closing(Client(free_port())) as client:
        yield client


def gateway_with(directory: Path, node: str, door: Client, lists: str = LIST, workers: int = 2) -> Running:
    return Running(directory, INGRESS.format(workers=workers, port=door.port, backend=node) + lists)


def replace(path: Path, text: str) -> None:
    """Put another file in the place of one, as editors and rsync do."""
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_list_decides_from_the_first_query_on_and_is_counted(tmp_path: Path, node: str, door: Client) -> None:
    (tmp_path / "abuse.txt").write_text("bad.example.com\nnot a name\n127.0.0.2\n")
    with gateway_with(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        assert [door.ask(name).rcode() for name in ("www.bad.example.com", "www.example.com")] == [NXDOMAIN, NOERROR]
        skipped = gateway.event("list.lines-skipped")
        assert skipped["first"] == [f"{tmp_path}/abuse.txt:2: more than one entry on a line"]
        found = metrics(gateway)
        assert found["zonegate_policy_list_hits_total", ("abuse",)] == 1
        assert found["zonegate_policy_list_entries", ("abuse", "names")] == 1
        assert found["zonegate_policy_list_entries", ("abuse", "prefixes")] == 1
        assert found["zonegate_policy_list_unused", ("abuse", "skipped")] == 1
        assert found["zonegate_ingress_verdicts_total", ("listed", "reply", "udp")] == 1


def test_a_changed_file_is_taken_by_all_workers_without_an_error(tmp_path: Path, node: str, door: Client) -> None:
    source = tmp_path / "abuse.txt"
    source.write_text("bad.example.com\n")
    with gateway_with(tmp_path, node, door) as gateway:
        gateway.notified("READY=1")
        codes = {door.ask("bad.example.com").rcode()}
        replace(source, "\n".join(f"host{number}.example.com" for number in range(20_000)))

        def swapped() -> bool:
            # Every query under way meanwhile gets the answer of the one list or of the other.
            codes.add(door.ask("bad.example.com").rcode())
            return door.ask("host7.example.com").rcode() == NXDOMAIN

        until(swapped, what="the new list")
        assert codes <= {NXDOMAIN, NOERROR}
        assert door.ask("bad.example.com").rcode() == NOERROR
        assert metrics(gateway)["zonegate_policy_list_entries", ("abuse", "names")] == 20_000
        verdicts = {name for name in metrics(gateway) if name[0] == "zonegate_ingress_verdicts_total"}
        assert {name[1] for name in verdicts} == {("forward", "ok", "udp"), ("listed", "reply", "udp")}


def test_the_last_good_list_stays_over_garbage_a_missing_file_and_a_restart(
    tmp_path: Path, node: str, door: Client
) -> None:
    source = tmp_path / "abuse.txt"
    source.write_text("bad.example.com\n")
    strict = LIST + 'garbage = "refuse"\n'
    with gateway_with(tmp_path, node, door, strict, workers=1) as gateway:
        gateway.notified("READY=1")
        replace(source, "good.example.com\n<html>\n")
        failed = gateway.event("list.failed")
        assert (failed["error"], failed["meanwhile"]) == ("line 2: no domain name", "the last good one stays")
        assert 'garbage = "skip"' in failed["remedy"]
        assert [door.ask(name).rcode() for name in ("bad.example.com", "good.example.com")] == [NXDOMAIN, NOERROR]
        assert metrics(gateway)["zonegate_policy_list_failures_total", ("abuse",)] == 1
    source.unlink()
    with gateway_with(tmp_path, node, door, strict, workers=1) as gateway:
        gateway.notified("READY=1")
        assert "No such file" in gateway.event("list.failed")["error"]
        assert door.ask("bad.example.com").rcode() == NXDOMAIN
    built = tmp_path / "state" / "lists" / "abuse.list"
    assert built.stat().st_mode & 0o777 == 0o400
    built.chmod(0o600)
    built.write_bytes(built.read_bytes()[:-1])
    with gateway_with(tmp_path, node, door, strict, workers=1) as gateway:
        gateway.notified("READY=1")
        assert door.ask("bad.example.com").rcode() == NOERROR, "a list that was cut is none"


def test_a_reload_adds_lists_and_takes_them_away(tmp_path: Path, node: str, door: Client) -> None:
    (tmp_path / "abuse.txt").write_text("bad.example.com\n")
    plain = INGRESS.format(workers=1, port=door.port, backend=node)
    with gateway_with(tmp_path, node, door, "", workers=1) as gateway:
        gateway.notified("READY=1")
        assert door.ask("bad.example.com").rcode() == NOERROR
        for lists, expected in [(LIST, NXDOMAIN), (LIST.replace("nxdomain", "refuse"), REFUSED), ("", NOERROR)]:
            gateway.write(plain + lists)
            assert gateway.post("/reload").json()["ok"]
            assert door.ask("bad.example.com").rcode() == expected


def test_a_worker_that_starts_again_has_the_lists(tmp_path: Path, node: str, door: Client) -> None:
    (tmp_path / "abuse.txt").write_text("bad.example.com\n")
    with gateway_with(tmp_path, node, door, workers=1) as gateway:
        gateway.notified("READY=1")
        old = gateway.process_state("ingress-0")["pid"]
        os.kill(old, 9)
        gateway.serving_again("ingress-0", old)
        assert door.ask("bad.example.com").rcode() == NXDOMAIN


def test_a_reload_says_which_list_could_not_be_taken(tmp_path: Path, node: str, door: Client) -> None:
    (tmp_path / "abuse.txt").write_text("bad.example.com\n")
    with gateway_with(tmp_path, node, door, workers=1) as gateway:
        gateway.notified("READY=1")
        (tmp_path / "abuse.txt").write_text("<html>\n")
        gateway.write(gateway.file.read_text() + 'garbage = "refuse"\n')
        answer = gateway.post("/reload").json()
        assert (answer["ok"], answer["warnings"]) == (True, ["list abuse: line 1: no domain name"])
        assert door.ask("bad.example.com").rcode() == NXDOMAIN, "the last good one stays"
