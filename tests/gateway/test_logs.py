"""Logs: one line an event, inert on a terminal, without secrets, and never a flood."""

from __future__ import annotations

import errno
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway.events import _WARNINGS, EventSink
from gateway.logs import configure
from gateway.settings import LogSettings
from proxy.values import Secret
from tests.docs.pages import ROOT


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """The tests after these log as before."""
    handlers = logging.getLogger().handlers[:]
    level = logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logger = configure(LogSettings(format="json"))
    logger.info("gateway.ready", address="127.0.0.1:53", n=3)
    (entry,) = written(capsys)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "gateway.ready", "level": "info", "address": "127.0.0.1:53", "n": 3}


@pytest.mark.parametrize("format_", ["json", "console"])
def test_control_characters_and_secrets_are_inert(format_: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logger = configure(LogSettings(format=format_))
    logger.info("x", name="a\x1b]0;owned\x07b\u202e", key=Secret("planted"))
    text = capsys.readouterr().err
    assert "planted" not in text
    assert not set(text) & {"\x1b", "\x07", "\u202e"} or format_ == "console"
    assert "]0;owned\x07" not in text
    assert "owned" in text


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logger = configure(LogSettings())

    def fail(hidden: str) -> None:
        raise RuntimeError("visible")

    try:
        fail("planted" * 2)
    except RuntimeError:
        logger.exception("process.error")
    text = capsys.readouterr().err
    assert "visible" in text
    assert "plantedplanted" not in text


def test_a_value_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    sink = EventSink(LogSettings())
    sink.emit("x.failed", {"error": "a\n2026-01-01 [info] forged", "traceback": "line 1\nline 2"})
    lines = capsys.readouterr().err.splitlines()
    assert not any(line.startswith("2026-01-01 [info]") for line in lines)
    assert "line 2" in lines


def test_a_flood_is_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    logger = configure(LogSettings(format="json"))
    for _ in range(10_000):
        logger.warning("tunnel.failed", tunnel="a", reason="refused")
    logger.warning("tunnel.failed", tunnel="b")
    entries = written(capsys)
    assert len(entries) < 100
    assert entries[-1]["tunnel"] == "b"


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    logger = configure(LogSettings(format="json", level="warning"))
    logger.info("quiet")
    logging.getLogger("some.library").error("what %s said", "it")
    (entry,) = written(capsys)
    assert (entry["event"], entry["library"], entry["level"]) == ("what it said", "some.library", "error")


def test_events_are_counted_and_have_levels(capsys: pytest.CaptureFixture[str]) -> None:
    sink = EventSink(LogSettings(format="json"))
    sink.emit("tunnel.failed", {"tunnel": "a", "event": "x", "level": "y"}, 3)
    sink.emit("gateway.ready", {})
    for number in range(1000):
        sink.emit(f"made.up.{number}", {})
    entries = written(capsys)
    assert (entries[0]["event"], entries[0]["level"], entries[0]["count"]) == ("tunnel.failed", "warning", 3)
    assert entries[1]["level"] == "info"
    assert sink.counts["tunnel.failed"] == 3
    assert len(sink.counts) <= 257
    assert sink.counts["other"] == 1000 - 254


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, text)

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Full())
    sink = EventSink(LogSettings(format="json"))
    sink.emit("process.exited", {"process": "ingress-0"})
    logging.getLogger("some.library").error("said")
    assert sink.counts["process.exited"] == 1


NEWS = {
    "backend.healthy", "block.added", "block.escalated", "block.expired", "block.more", "block.removed",
    "config.reloaded", "gateway.draining", "gateway.ready", "gateway.stopped", "ingress.tcp-overload-ends",
    "list.fetched", "list.loaded", "node.synced", "notify.accepted", "primary.recovered", "primary.tls-recovered",
    "primary.tls-renewed", "transfer.accepted", "tunnel-list.taken", "tunnel.chosen", "tunnel.exit-address",
    "tunnel.recovered",
}  # fmt: skip


def test_whatever_went_wrong_is_a_warning() -> None:
    groups = (
        "backend|blocks?|config|egress|exit|gateway|ingress|list|node|notify|primary|prober|process|reload|transfer|"
        "transparent|tunnel|tunnel-list|worker"
    )
    names: set[str] = set()
    for package in ("gateway", "proxy"):
        for file in (ROOT / package).rglob("*.py"):
            names.update(re.findall(rf'"((?:{groups})\.[a-z-]+)"', file.read_text()))
    names -= {"blocks.json", "exit.key", "gateway.key", "gateway.pem", "tunnel.url"}  # files and keys
    names -= {"gateway.cli", "gateway.wiring"}
    assert names >= NEWS
    assert {name for name in names if name.rpartition(".")[2] not in _WARNINGS} == NEWS
