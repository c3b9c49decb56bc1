"""The state of a gateway as tables for people: processes, backends, tunnels, forwarders, exit, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gateway.state import GatewayState

SOON = 14 * 86400
"""Seconds; a certificate that ends within them should be renewed."""

_COLOURS = {"serving": "green", "healthy": "green", "unhealthy": "red", "down": "red"}


def show_state(state: GatewayState) -> None:
    """Print the state for people."""
    console = make_console()
    ready = "[green]ready[/]" if state.readiness.ready else "[red]not ready[/]"
    console.print(f"zonegate {escape(state.version)} is {ready}, up {state.uptime:.0f} s, configuration {state.serial}")
    for table in tables(state):
        console.print(table)
    for check in state.readiness.checks:
        if not check.ok:
            console.print(f"[red]missing[/]: {escape(check.name)} ({escape(check.detail)})")
    for line in worries(state):
        console.print(Text("look at: ", style="yellow") + Text(line))


def make_console() -> Console:
    """On standard output; lines are as long as they are where that is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def worries(state: GatewayState) -> Iterable[str]:
    """What does not stop queries, so that the gateway is ready, and yet should not stay."""
    for process in state.processes:
        body = process.body or {}
        for route in body.get("routes", ()):
            where = f"{route['primary']} over {route['transport']}"
            if route["fault"] is not None:
                yield f"{where}: no tunnel leads to an answer; `zonegate tunnels` says what to do"
            for way in route["ways"]:
                if way["state"] != "closed":
                    yield f"tunnel {way['tunnel']} to {where}: {way['error'] or 'fails'}"
        for primary in body.get("tls", ()):
            if primary["expires_in"] is not None and primary["expires_in"] < SOON:
                yield f"our certificate for {primary['primary']} ends in {primary['expires_in'] / 86400:.0f} days"
        for backend in (body.get("notify") or {}).get("backends", ()):
            if backend["pending"]:
                zones = "a zone" if backend["pending"] == 1 else f"{backend['pending']:,} zones"
                yield f"backend {backend['backend']} has yet to follow NOTIFY for {zones}"


def tables(state: GatewayState) -> Iterable[Table]:
    """A table for each kind of thing that there is."""
    yield _table(
        ("process", "pid", "phase", "lives", "age"),
        [
            (process.name, process.pid or "", _coloured(process.phase), process.restarts + 1, f"{process.age:.0f} s")
            for process in state.processes
        ],
    )
    told = [process.body for process in state.processes if process.body]
    backends = sorted({backend["name"] for body in told for backend in body.get("backends", ())})
    if backends:
        yield _table(("backend", "state"), [(name, _health(name, told)) for name in backends])
    for kind, columns in _EGRESS.items():
        rows = [row for body in told for row in _rows(_part(body, kind))]
        if rows:
            yield _table(columns, [[_cell(row, column) for column in columns] for row in rows])


# What is shown of each kind: the heading is the name of the field, with blanks for underscores.
_EGRESS = {
    "tunnels": ("name", "kind", "streams open", "streams total", "bytes in", "bytes out", "failures"),
    "forwarders": ("listen", "primary", "connections open", "queries udp", "queries tcp", "refused"),
    "primaries": ("name", "connections open", "connections opened", "transfers running", "waiting"),
    "exit": ("listen", "streams open", "streams total", "handshakes", "bytes in", "bytes out", "rejects"),
    "exit users": ("name", "streams open", "streams total", "associations open", "bytes in", "bytes out", "rejects"),
}


def _part(body: Mapping[str, Any], kind: str) -> Any:
    """What a process says of a kind of thing: "exit users" are the users of its exit."""
    for name in kind.split():
        body = (body or {}).get(name)  # type: ignore[assignment]  # the last is a list
    return body


def _rows(told: Any) -> list[Mapping[str, Any]]:
    return [told] if isinstance(told, dict) else list(told or ())


def _cell(row: Mapping[str, Any], column: str) -> object:
    value = row[column.replace(" ", "_")]
    if isinstance(value, dict):
        return ", ".join(f"{reason} {count:,}" for reason, count in value.items() if count) or "none"
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else value


def _health(name: str, told: Iterable[Mapping[str, Any]]) -> Text:
    """What the workers say of a backend: one word where they agree, else how many say what."""
    states = [backend["state"] for body in told for backend in body.get("backends", ()) if backend["name"] == name]
    kinds = sorted(set(states))
    if len(kinds) == 1:
        return _coloured(kinds[0])
    shares = [Text.assemble(_coloured(kind), f" ({states.count(kind)} of {len(states)} workers)") for kind in kinds]
    return Text(", ").join(shares)


def _coloured(word: str) -> Text:
    return Text(word, style=_COLOURS.get(word, "yellow"))


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        # Text is shown as it is: what comes from elsewhere can't bring markup of its own.
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return table
