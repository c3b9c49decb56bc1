"""The pages of the documentation, and what is in their code blocks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "bench" / "README.md"])


def page(name: str) -> str:
    """The text of a page, by its path from the root."""
    return (ROOT / name).read_text()


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, without their fences."""
    return re.findall(rf"(?ms)^```{re.escape(language)}\n(.*?)^```$", text)


def block(name: str, language: str) -> str:
    """The only block of a language on a page."""
    (found,) = blocks(page(name), language)
    return found


def commands(text: str) -> list[str]:
    """Every line of a shell block, without its comment, and every span of code in prose."""
    lines = [line.partition("  #")[0].strip() for shell in blocks(text, "sh") for line in shell.splitlines()]
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)
    return [*filter(None, lines), *(span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose))]
