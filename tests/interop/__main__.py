"""`python -m tests.interop [TITLE...]`: run the sections, all or those named, and write them into docs/interop.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import pytest
import uvloop

from tests.docs.pages import ROOT
from tests.interop.page import PAGE, read, write
from tests.interop.sections import SECTIONS


async def run(titles: list[str]) -> None:
    """Write the page: these sections anew, the others as they are."""
    place = ROOT / PAGE
    sections = read(place.read_text()) if place.exists() else {}
    for title in titles:
        with tempfile.TemporaryDirectory() as directory:
            section = await SECTIONS[title](Path(directory))
        sections[title] = str(section)
        for detail in section.details:
            print(f"{title}: {detail}", file=sys.stderr)
    place.write_text(write({title: sections[title] for title in SECTIONS if title in sections}))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("title", nargs="*", metavar="TITLE", help=f"one of: {', '.join(SECTIONS)}")
    titles = parser.parse_args().title or list(SECTIONS)
    if unknown := set(titles) - SECTIONS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(titles))
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        sys.exit(f"the page is as it was: {missing}")


main()
