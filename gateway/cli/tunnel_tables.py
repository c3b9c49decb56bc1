"""Tunnels as tables for people: what a gateway knows of them, and what fresh probes found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.probing import Probed, Report
from gateway.cli.show import make_console

_COLOURS = {
    "closed": "green",
    "ok": "green",
    "verified": "green",
    "open": "red",
    "fails": "red",
    "mismatch": "red",
    "failed": "red",
}
_STATES = {"closed": "works", "failing": "in doubt", "open": "left alone", "half-open": "tried again"}
_EXITS = {
    "pending": "not asked yet",
    "verified": "as declared",
    "mismatch": "NOT as declared",
    "learned": "not declared; for the primaries' access lists",
    "failed": "can't be found out",
}

Row = Mapping[str, Any]


def show_known(told: Mapping[str, Sequence[Row]], console: Console | None = None) -> None:
    """Print what a gateway told."""
    console = console or make_console()
    if not told["routes"]:
        console.print("no primary is reached through a tunnel here")
        return
    exits = {each["tunnel"]: each for each in told["exit_addresses"]}
    table = _table("primary", "over", "tunnel", "state", "round trip", "answered", "exit address")
    for route in told["routes"]:
        for way in route["ways"]:
            table.add_row(*_known_row(route, way, exits.get(way["tunnel"], {})))
    console.print(table)
    for route in told["routes"]:
        if route["fault"] is not None:
            about = f"{route['primary']} over {route['transport']}: no tunnel leads to an answer"
            console.print(Text(f"{about}; {_FAULTS[route['fault']]}", style="red"))
    _show_errors(
        console,
        (
            (
                f"{way['tunnel']} to {route['primary']} over {route['transport']}"
                + (" (before it worked again)" if way["state"] == "closed" else ""),
                way["error"],
                way["remedy"],
            )
            for route in told["routes"]
            for way in route["ways"]
            if way["error"] is not None
        ),
    )
    _show_exits(console, told["exit_addresses"])


_FAULTS = {
    "primary": "the tunnels work, so it is the primary",
    "tunnels": "every tunnel is broken",
    "unknown": "whether it is the primary or the tunnels can't be told from here",
}


def _known_row(route: Row, way: Row, seen: Row) -> list[Text]:
    state = Text(_STATES.get(str(way["state"]), ""), style=_COLOURS.get(str(way["state"]), "yellow"))
    if way["retry_in"] is not None:
        state.append(f", again in {way['retry_in']:.0f} s")
    elif way["answered_ago"] is None and way["state"] == "closed":
        state = Text("not used yet", style="yellow")
    name = Text(way["tunnel"], style="bold" if route["chosen"] == way["tunnel"] else "")
    if route["chosen"] == way["tunnel"]:
        name.append(" (chosen)")
    return [
        Text(route["primary"]),
        Text(route["transport"]),
        name,
        state,
        Text(_milliseconds(way["delay"])),
        Text("" if way["answered_ago"] is None else f"{way['answered_ago']:.0f} s ago"),
        Text(_exit_address(seen)),
    ]


def show_probed(report: Report, console: Console | None = None) -> None:
    """Print what probes found."""
    console = console or make_console()
    if not report.probes:
        console.print("no primary is reached through a tunnel here")
        return
    exits = {each.tunnel: {"declared": each.declared, "seen": each.seen} for each in report.exit_addresses}
    table = _table("primary", "over", "tunnel", "result", "round trip", "exit address")
    for each in report.probes:
        table.add_row(*_probed_row(each, exits.get(each.tunnel, {})))
    console.print(table)
    _show_errors(
        console,
        (
            (f"{each.tunnel} to {each.primary} over {each.transport}", each.error or "", each.remedy)
            for each in report.probes
            if not each.ok
        ),
    )
    _show_exits(console, [_plain(each) for each in report.exit_addresses])
    good = sum(each.ok for each in report.probes)
    console.print(f"{good} of {len(report.probes)} probes were answered")


def _probed_row(each: Probed, seen: Row) -> list[Text]:
    result = Text("ok", style="green") if each.ok else Text("fails", style="red")
    if each.ok and each.rcode != "NOERROR":
        result.append(f" ({each.rcode})")
    return [
        Text(each.primary),
        Text(each.transport),
        Text(each.tunnel),
        result,
        Text(_milliseconds(each.round_trip)),
        Text(_exit_address(seen)),
    ]


def _show_errors(console: Console, errors: Iterable[tuple[str, str, str]]) -> None:
    """What went wrong where, and what to do; once where it is the same in several places."""
    places: dict[tuple[str, str], list[str]] = {}
    for place, error, remedy in errors:
        places.setdefault((error, remedy), []).append(place)
    for (error, remedy), where in places.items():
        console.print(Text.assemble((", ".join(where), "bold"), f": {error}"))
        if remedy:
            console.print(Text(f"  {remedy}"))


def _show_exits(console: Console, exits: Iterable[Row]) -> None:
    for each in exits:
        if each["state"] in {"off", "pending"}:
            continue
        seen = ", ".join(each["seen"]) or each["error"] or ""
        style = _COLOURS.get(each["state"], "yellow")
        declared = f" ({', '.join(each['declared'])})" if each["state"] == "mismatch" else ""
        said = Text.assemble(f"exit of {each['tunnel']}: {seen}: ", (_EXITS[each["state"]], style), declared)
        console.print(said)


def _exit_address(seen: Row) -> str:
    """What was seen, else what is declared."""
    return ", ".join(str(each).removesuffix("/32") for each in seen.get("seen") or seen.get("declared") or ())


def _plain(each: Any) -> Row:
    return {name: getattr(each, name) for name in ("tunnel", "declared", "seen", "state", "error")}


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, header_style="bold")
