"""What dnsperf is told, and what is read from what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.dnsperf import Load, Sample, parse
from bench.errors import BenchError
from proxy.values import Endpoint

# Printed by dnsperf 2.10.0.
PRINTED = """\
DNS Performance Testing Tool
Version 2.10.0

[Status] Command line: dnsperf -e -W -s 127.0.0.1 -p 18266 -d queries -c 8 -q 500 -l 2
[Status] Sending queries (to 127.0.0.1:18266)
[Status] Started at: Fri Nov 20 09:57:20 2026
[Status] Stopping after 2.000000 seconds
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         132501
  Queries completed:    132194 (99.77%)
  Queries lost:         307 (0.23%)

  Response codes:       NOERROR 132000 (99.85%), SERVFAIL 194 (0.15%)
  Average packet size:  request 47, response 97
  Run time (s):         2.002020
  Queries per second:   66030.309388

  Average Latency (s):  0.002341 (min 0.000022, max 0.013809)
  Latency StdDev (s):   0.001967
"""


def test_the_statistics_are_read() -> None:
    answers = parse(PRINTED)
    assert (answers.sent, answers.answered, answers.lost) == (132_501, 132_194, 307)
    assert (answers.seconds, answers.latency) == (2.00202, 0.002341)
    assert answers.codes == {"NOERROR": 132_000, "SERVFAIL": 194}
    assert answers.unserved == 307 + 194
    assert answers.kqps == pytest.approx(66.030309388)


@pytest.mark.parametrize("lost", ["Queries sent", "Queries completed", "Queries lost", "Run time", "Average Latency"])
def test_without_one_of_them_there_is_no_result(lost: str) -> None:
    with pytest.raises(BenchError, match="no answers"):
        parse("\n".join(line for line in PRINTED.splitlines() if lost not in line))


def test_a_run_without_an_answer_is_no_result() -> None:
    with pytest.raises(BenchError, match="no answers"):
        parse(PRINTED.replace("Queries completed:    132194", "Queries completed:    0"))


def test_cpu_is_divided_by_the_answers() -> None:
    sample = Sample(parse(PRINTED), cpu=1.32194)
    assert sample.cpu_us == pytest.approx(10.0)
    assert str(sample) == "66.0 kqps, 10.00 µs of CPU a query, 307 lost"


def test_a_load_is_bounded_and_has_edns() -> None:
    load = Load(Path("queries"), clients=8, in_flight=500, seconds=2.5, rate=81_234.5, source="127.0.0.2")
    words = load.argv("dnsperf", Endpoint.parse("127.0.0.1:5300"))
    text = " ".join(words)
    assert "-e" in words
    for option in ["-l 2.5", "-c 8", "-q 500", "-Q 81234", "-a 127.0.0.2", "-s 127.0.0.1", "-p 5300", "-m udp"]:
        assert option in text
    assert "-Q" not in Load(Path("queries"), 1, 1, 1.0).argv("dnsperf", Endpoint.parse("127.0.0.1:5300"))
