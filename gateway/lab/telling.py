"""What the lab says, in words: the pieces of the ring, how to ask it by hand, and a running account."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.markup import escape

from gateway.lab.changes import Change
from gateway.lab.meter import Reading
from gateway.lab.ring import Ring
from gateway.lab.stream import RATE, Tally

VERDICTS = {"reply": "answered itself", "drop": "dropped", "shed": "shed"}


def introduce(console: Console, ring: Ring) -> None:
    """The pieces, where they listen, and what to try."""
    at = ring.at
    pieces = [
        ("gateway", f"{at.gateway}", "zonegate; clients ask it, nodes fetch through it"),
        *((f"node {name}", f"{node.endpoint}", f"{node.software}, a secondary") for name, node in ring.nodes.items()),
        ("forwarder", f"{at.forwarder}", "the gateway again: what the nodes take for their primary"),
        ("exit", f"{at.exit}", "zonegate; the far end of the Shadowsocks tunnel"),
        ("primary", f"{at.primary}", f"{ring.primary.software}; the zones are changed here"),
    ]
    console.print("\n[bold]The ring is closed.[/bold]")
    console.print("queries: client → gateway → node      zones: node → forwarder → tunnel → exit → primary\n")
    for name, address, words in pieces:
        console.print(f"  [bold]{name:<16}[/] {address:<16}  {words}", highlight=False)
    zones = ", ".join(f"{zone.name} (signed)" if zone.key else zone.name for zone in ring.zones.values())
    console.print(f"\n  [bold]{'zones':<16}[/] {zones}", highlight=False)
    console.print(f"  [bold]{'metrics':<16}[/] http://{at.admin}/metrics", highlight=False)
    console.print(f"  [bold]{'files':<16}[/] {escape(str(ring.directory))} (configurations and logs)", highlight=False)
    console.print("\nAsk it by hand:")
    first, signed = next(iter(ring.zones)), next((zone.name for zone in ring.zones.values() if zone.key), None)
    dig = f"dig @{at.gateway.address} -p {at.gateway.port}"
    console.print(f"  {dig} {first} SOA", highlight=False)
    console.print(f"  {dig} {first} SOA +tcp", highlight=False)
    console.print(f"  {dig} clock.{first} TXT +short        # the moment of its last change", highlight=False)
    if signed:
        console.print(f"  {dig} {signed} DNSKEY +dnssec", highlight=False)
    console.print(f"  {dig} www.elsewhere.test A            # not ours: REFUSED", highlight=False)
    console.print(f"\nNow {RATE} queries a second, one in ten junk, and a change every few seconds. Ctrl-C ends it.\n")


def tell_change(console: Console, change: Change) -> None:
    """One change, and when it was seen."""
    nodes = ", ".join(f"{name} {_seconds(delay)}" for name, delay in change.nodes.items())
    clients = "[bold red]never seen by clients[/]" if change.clients is None else f"clients {_seconds(change.clients)}"
    say(console, f"[bold]{change.zone}[/] changed to serial {change.serial}; seen after: {nodes}, [green]{clients}[/]")


def tell_account(console: Console, tally: Tally, reading: Reading) -> None:
    """The clients' count beside the gateway's own."""
    lost = f"[bold red]{tally.lost} lost[/]" if tally.lost else "none lost"
    say(
        console,
        f"clients sent {tally.sent} ({tally.over_tcp} over TCP): {tally.answered} answered, {lost}; "
        f"{tally.silent} deserved no answer",
    )
    say(
        console,
        f"gateway received {reading.received}, the lab's own looks included: {reading.forwarded} to the nodes; "
        f"{_reasons(reading)}",
    )
    say(
        console,
        f"tunnel carried {reading.checks} SOA checks and {reading.connections} connections for transfers; "
        f"{reading.tunnel_in:,} bytes in, {reading.tunnel_out:,} out",
    )


def say(console: Console, text: str) -> None:
    """A line of the account, with the time."""
    console.print(f"[dim]{datetime.now():%H:%M:%S}[/]  {text}", highlight=False)


def _seconds(delay: float | None) -> str:
    return "never" if delay is None else f"{delay:.1f} s"


def _reasons(reading: Reading) -> str:
    parts = []
    for verdict, words in VERDICTS.items():
        found = {reason: count for (kind, reason), count in reading.reasons.items() if kind == verdict}
        if found:
            detail = ", ".join(f"{reason} {count}" for reason, count in sorted(found.items()))
            parts.append(f"{sum(found.values())} {words} ({detail})")
    return "; ".join(parts) or "nothing refused or dropped"
