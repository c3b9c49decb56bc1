"""Run dnsperf (DNS-OARC) for a bounded time and read what it prints."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import BenchError
from bench.processes import CpuMeter
from gateway.lab.servers.process import find_binary
from proxy.values import Endpoint

TIMEOUT = 2  # seconds after which dnsperf calls a query lost
QUIET = "suppress=timeouts,congestion,sendfailed,sockready,unexpected"  # one line per lost query else

_NUMBERS = {
    "sent": re.compile(r"^ *Queries sent: +(\d+)", re.MULTILINE),
    "answered": re.compile(r"^ *Queries completed: +(\d+)", re.MULTILINE),
    "lost": re.compile(r"^ *Queries lost: +(\d+)", re.MULTILINE),
    "seconds": re.compile(r"^ *Run time \(s\): +([\d.]+)", re.MULTILINE),
    "latency": re.compile(r"^ *Average Latency \(s\): +([\d.]+)", re.MULTILINE),
}
_CODES = re.compile(r"^ *Response codes: +(.*)$", re.MULTILINE)
_CODE = re.compile(r"([A-Z]\w*) (\d+) \(")


@dataclass(frozen=True, slots=True)
class Load:
    """What dnsperf is to do."""

    queries: Path  # one "name type" a line
    clients: int
    in_flight: int  # over all clients
    seconds: float
    mode: Literal["udp", "tcp"] = "udp"
    rate: float | None = None  # queries a second at most
    source: str | None = None  # the clients' address

    def argv(self, program: str, target: Endpoint) -> list[str]:
        """The command, with EDNS in every query."""
        words = [program, "-e", "-W", "-O", QUIET, "-t", str(TIMEOUT), "-m", self.mode]
        words += ["-s", str(target.address), "-p", str(target.port), "-d", str(self.queries)]
        words += ["-c", str(self.clients), "-q", str(self.in_flight), "-l", f"{self.seconds:g}"]
        words += ["-Q", f"{self.rate:.0f}"] if self.rate else []
        return words + (["-a", self.source] if self.source else [])


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of it."""

    sent: int
    answered: int
    lost: int
    seconds: float
    latency: float  # seconds, mean
    codes: dict[str, int]  # RCODE -> answers

    @property
    def kqps(self) -> float:
        """Thousands of answers a second."""
        return self.answered / self.seconds / 1000

    @property
    def unserved(self) -> int:
        """Queries that were lost, or answered with an error."""
        return self.lost + sum(count for code, count in self.codes.items() if code != "NOERROR")


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn: answers, and the CPU time that a program spent on them."""

    answers: Answers
    cpu: float  # seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a query answered."""
        return self.cpu / self.answers.answered * 1e6

    def __str__(self) -> str:
        return f"{self.answers.kqps:.1f} kqps, {self.cpu_us:.2f} µs of CPU a query, {self.answers.lost} lost"


def parse(text: str) -> Answers:
    """Read the statistics that dnsperf prints at its end.

    Raises:
        BenchError: they are not there, or no query was answered.
    """
    found = {name: pattern.search(text) for name, pattern in _NUMBERS.items()}
    numbers = {name: match.group(1) for name, match in found.items() if match}
    if len(numbers) != len(_NUMBERS) or not int(numbers["answered"]):
        raise BenchError(f"no answers in what dnsperf says:\n{text[-2000:]}")
    codes = _CODES.search(text)
    return Answers(
        sent=int(numbers["sent"]),
        answered=int(numbers["answered"]),
        lost=int(numbers["lost"]),
        seconds=float(numbers["seconds"]),
        latency=float(numbers["latency"]),
        codes={code: int(count) for code, count in _CODE.findall(codes.group(1))} if codes else {},
    )


def ask(load: Load, target: Endpoint) -> Answers:
    """Run it against `target`; whatever the answers are.

    Raises:
        BenchError: dnsperf is missing or failed, or there was no answer.
    """
    program = find_binary("dnsperf")
    if program is None:
        raise BenchError("dnsperf is not installed; `make peers` installs it")
    done = subprocess.run(
        load.argv(program, target), capture_output=True, text=True, timeout=load.seconds + 30, check=False
    )
    if done.returncode:
        raise BenchError(f"dnsperf ended with status {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return parse(done.stdout)


def costed(load: Load, target: Endpoint, pid: int) -> Sample:
    """`ask`, and what the process `pid` with its descendants spent meanwhile.

    Raises:
        BenchError: as `ask`; or the process has ended; or not all answers are NOERROR: an error costs less than an
            answer and would flatter.
    """
    meter = CpuMeter(pid)
    answers = ask(load, target)
    used = meter.used()
    if set(answers.codes) != {"NOERROR"}:
        raise BenchError(f"not all answers from {target} are NOERROR: {answers.codes}")
    return Sample(answers, used)
