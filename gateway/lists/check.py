"""What `zonegate check` says of the lists that come from files: each is read as the gateway would read it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataplane import List
from filters.lists import reading
from filters.settings import FilterList
from gateway.config import Problem
from gateway.lists.watched import NO_FILE

_LINE = re.compile(r"line (\d+): (.*)")


def check_lists(lists: Sequence[FilterList], config: Path) -> tuple[list[Problem], list[str]]:
    """Problems for which a list is not taken, and warnings of garbage and of what has no effect."""
    problems: list[Problem] = []
    warnings: list[str] = []
    for index, settings in enumerate(lists):
        if settings.file is None:
            continue
        source = config.parent / settings.file
        try:
            if source.exists() and not source.is_file():
                raise OSError(errno.EINVAL, NO_FILE)
            _, _, garbage, first, triggers, local = List.build(source, None, reading(settings), 0)
        except OSError as error:
            found = f"{source}: {error.strerror or error}"
            key, right = f"filters.lists[{index}].file", "put the file there, or correct the path"
            problems.append(Problem(file=str(config), line=None, key=key, found=found, right=right))
        except ValueError as error:
            problems.append(_refused(source, str(error)))
        else:
            warnings += _warnings(source, garbage, first, triggers + local)
    return problems, warnings


def _refused(source: Path, text: str) -> Problem:
    place = _LINE.fullmatch(text)
    line, found = (int(place[1]), place[2]) if place is not None else (None, text)
    right = 'mend it, or set garbage = "skip"' if place is not None else "shorten it, or raise max_entries"
    return Problem(file=str(source), line=line, key="", found=found, right=right)


def _warnings(source: Path, garbage: int, first: Sequence[tuple[int, str]], unused: int) -> Iterator[str]:
    if garbage:
        line, why = first[0]
        more = f", and {garbage - 1} more lines" if garbage > 1 else ""
        yield f"{source}:{line}: {why}{more}: skipped"
    if unused:
        yield f"{source}: {unused} records have no effect before an answer is there"
