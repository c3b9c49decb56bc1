"""What the subcommands share: which configuration file, and how errors are shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from gateway.config import ConfigError, Problem

FAILED = 1
UNREACHABLE = 3

_SYSTEM_FILE = Path("/etc/zonegate/zonegate.toml")
F = TypeVar("F", bound=Callable[..., Any])


def default_file() -> Path:
    """The configuration file when none is named."""
    named = os.environ.get("ZONEGATE_CONFIG")
    if named:
        return Path(named)
    local = Path("zonegate.toml")
    return _SYSTEM_FILE if not local.exists() and _SYSTEM_FILE.exists() else local


def config_option(function: F) -> F:
    """`--config FILE`."""
    return click.option(
        "-c",
        "--config",
        "file",
        type=click.Path(path_type=Path),
        default=default_file,
        show_default="$ZONEGATE_CONFIG, ./zonegate.toml, /etc/zonegate/zonegate.toml",
        help="The configuration file.",
    )(function)


def json_option(function: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def fail_config(error: ConfigError) -> NoReturn:
    """Show what is wrong and exit with 1."""
    show_problems(error.problems)
    raise SystemExit(FAILED)


def show_problems(problems: tuple[Problem, ...]) -> None:
    """One paragraph each, on standard error."""
    for problem in problems:
        place = problem.file if problem.line is None else f"{problem.file}:{problem.line}"
        click.echo(
            f"{click.style(place, bold=True)}: "
            + (f"{click.style(problem.key, fg='cyan')}: " if problem.key else "")
            + f"found {click.style(problem.found, fg='red')}; {problem.right}",
            err=True,
        )
    count = len(problems)
    click.echo(f"{count} error{'s' if count != 1 else ''}", err=True)


def show_warnings(warnings: tuple[str, ...]) -> None:
    """One line each, on standard error."""
    for warning in warnings:
        click.echo(f"{click.style('warning', fg='yellow')}: {warning}", err=True)
