"""The wire check alone: nanoseconds a message, by criterion (`cargo bench -p wire`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from bench.errors import BenchError
from bench.figures import Figure, Run

TARGET = 100.0  # ns
TYPICAL = "check_query/edns and cookie"  # what resolvers send
ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "dataplane" / "Cargo.toml"
PATIENCE = 900  # seconds; the first build may need a while


def measure(run: Run) -> list[Figure]:
    """The typical message against its target, the others for information.

    Raises:
        BenchError: cargo is missing or failed, or there is no result of the typical message.
    """
    cargo = shutil.which("cargo")
    if cargo is None:
        raise BenchError("cargo is not installed")
    target = run.directory / "wire"
    times = ["--warm-up-time", f"{run.seconds / 3:g}", "--measurement-time", f"{run.seconds:g}", "--noplot"]
    done = subprocess.run(
        [
            cargo,
            "bench",
            "--locked",
            "--quiet",
            "--manifest-path",
            MANIFEST,
            "-p",
            "wire",
            "--bench",
            "check_query",
            "--",
            *times,
        ],
        env={**os.environ, "CRITERION_HOME": str(target)},  # results of this run alone
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"cargo bench ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    found = estimates(target)
    if TYPICAL not in found:
        raise BenchError(f"criterion has no result for {TYPICAL!r}, only {sorted(found)}")
    run.say(", ".join(f"{name}: {value:.1f} ns" for name, value in sorted(found.items())))
    typical = Figure(f"wire: {TYPICAL}", found.pop(TYPICAL), "ns", TARGET, "a typical query")
    return [typical, *(Figure(f"wire: {name}", value, "ns") for name, value in sorted(found.items()))]


def estimates(directory: Path) -> dict[str, float]:
    """What criterion has written: name of a benchmark -> median in nanoseconds.

    Raises:
        BenchError: a file is not what criterion writes.
    """
    found = {}
    for path in directory.glob("**/new/estimates.json"):
        try:
            name = json.loads((path.parent / "benchmark.json").read_text())["full_id"]
            found[str(name)] = float(json.loads(path.read_text())["median"]["point_estimate"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchError(f"not a result of criterion: {path.parent.name}: {error}") from error
    return found
