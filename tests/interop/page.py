"""The page, as values: sections with a table each, written as Markdown and found again in it.

A section is made by running what it tells. Whoever adds one writes an async function from a directory to a `Section`,
and names it in `sections.SECTIONS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PAGE = "docs/interop.md"
HEAD = """\
# What works with what

Every cell of these tables was written by a test that ran the two programs against each other on one machine, and is
checked anew by each run of the tests: `make interop` writes the page, the tests compare it. A cell names what passed;
"no UDP" means that it was tried and did not pass, "-" that one of the two has no such thing.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One table. `details` say of each cell that did not pass what happened; they are not on the page."""

    title: str
    text: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    details: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return f"## {self.title}\n\n{self.text.strip()}\n\n{table}\n"


def write(sections: dict[str, str]) -> str:
    """The page of these sections, by title."""
    return "\n".join([HEAD, *sections.values()])


def read(page: str) -> dict[str, str]:
    """The sections of a page, by title."""
    parts = re.split(r"(?m)^(?=## )", page)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part.rstrip() + "\n" for part in parts}
