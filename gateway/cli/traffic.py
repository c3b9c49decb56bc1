"""Blocks and sampled traffic as tables for people.

Names of clients' making come escaped as in zone files, and everything is `Text`, which is shown as it is: nothing from
a packet can bring markup or control characters into the terminal.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.blocks.values import Block, BlockList, Row, Share, Top

_COLOURS = {"drop": "red", "truncate": "yellow", "warn": "cyan"}
_LONGEST = 60


def show_blocks(found: BlockList, console: Console | None = None) -> None:
    """Print all blocks."""
    console = console or Console(highlight=False)
    if found.blocks:
        console.print(block_table(found.blocks))
    console.print(Text(f"{len(found.blocks)} blocks of at most {found.most:,}"))
    if found.overflowed:
        console.print(Text(f"{found.overflowed:,} findings had no place: raise filters.blocks.most"))


def block_table(blocks: Iterable[Block]) -> Table:
    """A table of blocks."""
    now = time.time()
    rows = [
        (
            str(block.id),
            block.subject,
            Text(block.action, style=_COLOURS.get(block.action, "")),
            _span(now - block.since),
            _span(block.until - now) if block.until is not None else "for ever",
            f"{block.hits:,}",
            block.reason,
        )
        for block in blocks
    ]
    return _table(("id", "subject", "action", "since", "until", "hits", "why"), rows)


def page(top: Top) -> RenderableType:
    """All that `zonegate top` shows."""
    sampled = top.sampled
    head = (
        f"{sampled.queries:,.0f} queries/s in {_bytes(sampled.query_bytes)}/s, {sampled.answers:,.0f} answers/s in "
        f"{_bytes(sampled.answer_bytes)}/s, over {sampled.seconds} s, from {sampled.samples:,} samples; "
        "all of it a second"
    )
    parts: list[RenderableType] = [Text(head, style="bold")]
    titles = {"clients": "client", "prefixes": "prefix", "names": "name", "suffixes": "suffix"}
    parts += [_subjects(titles[view], sampled.rows.get(view, ())) for view in titles if sampled.rows.get(view)]
    shares = [(kind, sampled.shares.get(kind, ())) for kind in ("qtype", "rcode", "reason", "transport")]
    parts += [_shares(kind, rows) for kind, rows in shares if rows]
    if sampled.backends:
        rows = [(item.name, f"{item.rate:,.1f}", f"{item.milliseconds:,.2f}") for item in sampled.backends]
        parts.append(_table(("backend", "answers/s", "ms"), rows))
    if top.limits:
        parts.append(_table(("limit", "over/s"), [(limit.name, f"{limit.rate:,.1f}") for limit in top.limits]))
    if top.blocks:
        parts.append(block_table(top.blocks))
        if top.blocks_in_all > len(top.blocks):
            parts.append(Text(f"{top.blocks_in_all - len(top.blocks):,} blocks more: zonegate blocks list"))
    return Group(*parts)


def _subjects(title: str, rows: Sequence[Row]) -> Table:
    columns = (title, "queries", "share", "answers", "bytes", "malformed", "nxdomain", "blocked")
    return _table(
        columns,
        [
            (
                row.subject,
                f"{row.queries:,.1f}",
                f"{row.share:.1%}",
                f"{row.answers:,.1f}",
                _bytes(row.answer_bytes),
                f"{row.malformed:,.1f}",
                f"{row.nxdomain:,.1f}",
                f"{row.blocked:,.1f}",
            )
            for row in rows
        ],
    )


def _shares(title: str, rows: Sequence[Share]) -> Table:
    return _table((title, "a second", "share"), [(row.value, f"{row.rate:,.1f}", f"{row.share:.1%}") for row in rows])


def _table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Where it is narrow, subjects and reasons go over several lines; numbers are never cut."""
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for number, column in enumerate(columns):
        if column in {"subject", "why"} or (number == 0 and column != "id"):
            table.add_column(column, overflow="fold", min_width=12)
        else:
            table.add_column(column, justify="left" if column == "action" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(_plain(cell)) for cell in row))
    return table


def _plain(text: str) -> str:
    """What can't be shown as it is, such as control characters in a reason, and text that is too long for a cell."""
    safe = "".join(c if c.isprintable() and c.isascii() else f"\\u{ord(c):04x}" for c in text)
    return safe if len(safe) <= 4 * _LONGEST else f"{safe[: 4 * _LONGEST]}…"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 10_000:
            return f"{number:,.0f} {unit}"
        number /= 1000
    return f"{number:,.0f} TB"
