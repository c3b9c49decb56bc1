"""What `zonegate rules test` prints for people. Everything is `Text`: nothing from a packet is read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.trial.difference import Change
from gateway.trial.outcome import Outcome
from gateway.trial.steps import Step
from gateway.trial.tally import OutcomeRow, Report, Row

_COLOURS = {"forward": "green", "reply": "yellow", "drop": "red", "passed": "green", "decided": "yellow"}
_NUMBERS = {"messages", "hits", "share"}


def step_table(rows: Sequence[Step], outcome: Outcome, remarks: Sequence[str]) -> RenderableType:
    """One message, step by step."""
    cells = [(row.name, _coloured(row.result), row.detail) for row in rows]
    end = Text.assemble(("verdict: ", "bold"), _coloured(outcome.verdict), f" ({_why(outcome.reason, outcome.by)})")
    return Group(_table(("step", "result", "why"), cells), end, *_remarks(remarks))


def report_tables(report: Report) -> RenderableType:
    """Many messages through one policy."""
    total = ", ".join(f"{word} {count:,}" for word, count in report.verdicts.items())
    head = f"{report.messages:,} messages in {report.seconds:,.1f} s: {total}"
    parts: list[RenderableType] = [Text(head, style="bold"), _outcomes(report.outcomes)]
    for title, rows in (("rule", report.rules), ("list", report.lists), ("limit", report.limits)):
        if rows:
            parts.append(_counted(title, rows))
    if report.never_matched:
        parts.append(Text(f"never matched: {', '.join(report.never_matched)}"))
    for title, counts in (("observed only", report.observed), ("cookies", report.cookies)):
        if counts:
            parts.append(Text(f"{title}: {', '.join(f'{word} {count:,}' for word, count in counts.items())}"))
    if report.without_listener:
        parts.append(
            Text(f"{report.without_listener:,} messages are for no address of a listener: taken as for the first one")
        )
    return Group(*parts, *_remarks(report.remarks))


def difference_table(new: Report, old: Report, changes: Sequence[Change], count: int) -> RenderableType:
    """What two policies do differently."""
    head = Text(f"{count:,} of {new.messages:,} messages are decided differently", style="bold")
    verdicts = sorted({*old.verdicts, *new.verdicts})
    totals = [(word, f"{old.verdicts.get(word, 0):,}", f"{new.verdicts.get(word, 0):,}") for word in verdicts]
    parts: list[RenderableType] = [head, _table(("verdict", "old", "new"), totals, numbers={"old", "new"})]
    if changes:
        cells = [
            (
                Text.assemble(_coloured(change.old_verdict), f" ({_why(change.old_reason, change.old_by)})"),
                Text.assemble(_coloured(change.new_verdict), f" ({_why(change.new_reason, change.new_by)})"),
                f"{change.count:,}",
                f"{change.share:.1%}",
                _examples(change.examples),
            )
            for change in changes
        ]
        parts.append(_table(("old", "new", "messages", "share", "such as"), cells))
    kept = [remark for remark in old.remarks if remark not in new.remarks]
    return Group(*parts, *_remarks([*new.remarks, *(f"old policy: {remark}" for remark in kept)]))


def _outcomes(rows: Sequence[OutcomeRow]) -> Table:
    cells = [
        (_coloured(row.verdict), row.reason, row.by, f"{row.count:,}", f"{row.share:.1%}", _examples(row.examples))
        for row in rows
    ]
    return _table(("verdict", "reason", "by", "messages", "share", "such as"), cells)


def _counted(title: str, rows: Sequence[Row]) -> Table:
    cells = [(row.name, row.note, f"{row.hits:,}", f"{row.share:.1%}", _examples(row.examples)) for row in rows]
    return _table((title, "does", "hits", "share", "such as"), cells)


def _examples(names: Iterable[str]) -> str:
    return "  ".join(names)


def _why(reason: str, by: str) -> str:
    return f"{reason}: {by}" if by else reason


def _remarks(remarks: Iterable[str]) -> list[Text]:
    return [Text(f"note: {remark}", style="dim") for remark in remarks]


def _coloured(words: str) -> Text:
    return Text(words, style=_COLOURS.get(words.partition(" ")[0].rstrip(","), ""))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], numbers: Iterable[str] = _NUMBERS) -> Table:
    table = Table(box=None, header_style="bold")
    numeric = set(numbers)
    for column in columns:
        side: JustifyMethod = "right" if column in numeric else "left"
        # Names are only examples: on a narrow terminal they give way to the counts.
        narrow = column == "such as"
        table.add_column(column, justify=side, overflow="ellipsis" if narrow else "fold", no_wrap=narrow)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table
