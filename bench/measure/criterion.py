"""The wire check, the engine and the guard alone: nanoseconds a message or a record, by criterion (`cargo bench`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from bench.errors import BenchError
from bench.figures import Figure, Run

TYPICAL = ("check_query/edns and cookie", 100.0, "a typical query")
WHOLE = ("decide/50 rules, 100k suffixes, five limits", 450.0, "a whole policy, 1,000 clients")
RECORD = ("guard/unsigned", 1e9 / 3e6, "a record of an AXFR, three million a second")
ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "dataplane" / "Cargo.toml"
PATIENCE = 900  # seconds; the first build may need a while


def wire(run: Run) -> list[Figure]:
    """The wire check: the typical message against its target, the others for information.

    Raises:
        BenchError: cargo is missing or failed, or there is no result of the typical message.
    """
    return _measure(run, "wire", "check_query", "", TYPICAL)


def engine(run: Run) -> list[Figure]:
    """The decision: with a whole policy against its target, with less for information.

    Raises:
        BenchError: as `wire`.
    """
    return _measure(run, "engine", "decide", "no limit, one|client limit$|five|50 rules|cookies", WHOLE)


def guard(run: Run) -> list[Figure]:
    """The guard: unsigned A records against its target, others for information.

    Raises:
        BenchError: as `wire`.
    """
    return _measure(run, "xfr", "guard", "", RECORD)


def _measure(run: Run, crate: str, bench: str, only: str, figure: tuple[str, float, str]) -> list[Figure]:
    cargo = shutil.which("cargo")
    if cargo is None:
        raise BenchError("cargo is not installed")
    results = run.directory / crate
    command: list[str | Path] = [
        cargo,
        "bench",
        "--locked",
        "--quiet",
        "--manifest-path",
        MANIFEST,
        "-p",
        crate,
        "--bench",
        bench,
        "--",
    ]
    times = ["--warm-up-time", f"{run.seconds / 3:g}", "--measurement-time", f"{run.seconds:g}", "--noplot"]
    done = subprocess.run(
        [*command, *times, *([only] if only else [])],
        env={**os.environ, "CRITERION_HOME": str(results)},  # results of this run alone
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"cargo bench ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    found = estimates(results)
    name, target, detail = figure
    if name not in found:
        raise BenchError(f"criterion has no result for {name!r}, only {sorted(found)}")
    run.say(", ".join(f"{name}: {value:.1f} ns" for name, value in sorted(found.items())))
    first = Figure(f"{crate}: {name}", found.pop(name), "ns", target, detail)
    return [first, *(Figure(f"{crate}: {name}", value, "ns") for name, value in sorted(found.items()))]


def estimates(directory: Path) -> dict[str, float]:
    """What criterion has written: name of a benchmark -> median in nanoseconds, of each element where it counts them.

    Raises:
        BenchError: a file is not what criterion writes.
    """
    found = {}
    for path in directory.glob("**/new/estimates.json"):
        try:
            benchmark = json.loads((path.parent / "benchmark.json").read_text())
            elements = (benchmark.get("throughput") or {}).get("Elements", 1)
            found[str(benchmark["full_id"])] = (
                float(json.loads(path.read_text())["median"]["point_estimate"]) / elements
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise BenchError(f"not a result of criterion: {path.parent.name}: {error}") from error
    return found
