"""The smaller parts: zones, versions, machine facts, criterion's estimates, configurations, the command itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import MEASUREMENTS, main
from bench.errors import BenchError
from bench.figures import Figure, Run
from bench.machine import describe, kernel, processor
from bench.measure.criterion import TYPICAL, estimates
from bench.peers.dnsdist import Dnsdist
from bench.peers.programs import version_in
from bench.zones import ZONE, large_zone, last_host, names, query_file, small_zone
from proxy.values import Endpoint
from tests.support.zones import parsed


def test_names_are_many_different_and_always_the_same() -> None:
    found = names(10_000)
    assert len(set(found)) == 10_000
    assert names(10_000) == found
    assert {len(name) for name in found} == set(range(3, 16))


def test_every_query_has_its_name_in_the_zone(tmp_path: Path) -> None:
    zone = parsed(small_zone(50), ZONE)
    lines = query_file(tmp_path / "queries", 50).read_text().splitlines()
    assert len(lines) == 50
    for line in lines:
        name, rdtype = line.split()
        assert zone.find_rdataset(f"{name}.", rdtype)
    some = query_file(tmp_path / "some", 50, length=9).read_text().splitlines()
    assert 0 < len(some) < 50
    assert {len(line) for line in some} == {len(f"123456789.{ZONE} A")}


def test_the_large_zone_has_four_records_besides_its_hosts() -> None:
    zone = parsed(large_zone(300), ZONE)
    assert sum(len(rdataset) for _, rdataset in zone.iterate_rdatasets()) == 304
    assert zone.find_rdataset(f"{last_host(300)}.", "A")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("BIND 9.18.49-1~deb12u3-Debian (Extended Support Version) <id:>", "9.18.49"),
        ("  -s the server to query (default: 127.0.0.1)\nVersion 2.10.0", "2.10.0"),
        ("knotd (Knot DNS), version 3.2.6", "3.2.6"),
        ("no number", "unknown"),
    ],
)
def test_versions_are_found(said: str, version: str) -> None:
    assert version_in(said) == version


def test_machine_facts_name_no_host() -> None:
    assert kernel("6.18.44-built-by-someone") == "6.18"
    assert processor("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n") == "Some CPU @ 2 GHz"
    assert processor("") == "unknown"
    assert "cores" in describe()


def test_estimates_of_criterion_are_read(tmp_path: Path) -> None:
    new = tmp_path / "check_query_edns and cookie" / "new"
    new.mkdir(parents=True)
    (new / "benchmark.json").write_text(json.dumps({"full_id": TYPICAL[0]}))
    (new / "estimates.json").write_text(json.dumps({"median": {"point_estimate": 41.5}}))
    assert estimates(tmp_path) == {TYPICAL[0]: 41.5}
    (new / "benchmark.json").write_text(json.dumps({"full_id": TYPICAL[0], "throughput": {"Elements": 10}}))
    assert estimates(tmp_path) == {TYPICAL[0]: 4.15}
    (new / "estimates.json").write_text("{}")
    with pytest.raises(BenchError, match="not a result of criterion"):
        estimates(tmp_path)


def test_dnsdist_gets_the_settings_that_the_figures_name(tmp_path: Path) -> None:
    backend = Endpoint.parse("127.0.0.1:5300")
    plain = Dnsdist(tmp_path, backend, ZONE).configuration()
    assert "setUDPMultipleMessagesVectorSize(64)" in plain
    assert "MaxQPSIPRule" not in plain
    limited = Dnsdist(tmp_path, backend, ZONE, limit=100).configuration()
    assert "addAction(MaxQPSIPRule(100, 32, 64), DropAction())" in limited


def test_what_cannot_be_measured_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(run: Run) -> list[Figure]:
        raise BenchError(f"dnsdist is not installed; {run.pairs} pairs will not be measured")

    monkeypatch.setitem(MEASUREMENTS, "tcp", missing)
    monkeypatch.setitem(MEASUREMENTS, "rss", lambda run: [Figure("memory: RSS", 50.0, "MB", 60.0)])
    monkeypatch.setattr("bench.__main__.HERE", tmp_path / "bench")
    done = CliRunner().invoke(main, ["--quick", "--only", "rss", "tcp"])
    assert done.exit_code == 1
    assert "dnsdist is not installed; 1 pairs" in done.output
    assert "met" in done.output
    (saved,) = (tmp_path / "bench" / "results").iterdir()
    names = {outcome["name"]: bool(outcome["error"]) for outcome in json.loads(saved.read_text())["outcomes"]}
    assert names == {"tcp": True, "rss": False}


def test_the_command_explains_itself() -> None:
    runner = CliRunner()
    shown = runner.invoke(main, ["--help"])
    assert shown.exit_code == 0
    assert all(name in shown.output for name in ["--quick", "--only", *MEASUREMENTS])
    assert runner.invoke(main, ["--only", "nothing"]).exit_code == 2
