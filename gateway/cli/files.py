"""`zonegate check` and `zonegate init`: the configuration file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from filters.limits import limit_words
from filters.settings import FilterSettings
from gateway.cli.common import FAILED, default_file, json_option, show_problems, show_warnings
from gateway.config import ConfigError, load
from gateway.config.starter import starter
from gateway.settings import GatewaySettings

_CHECK_EPILOG = """\
\b
Examples:
  zonegate check
  zonegate check /etc/zonegate/zonegate.toml
  zonegate check --json | jq '.problems[] | .line, .right'

Exit code 0: it can be used; 1: it can't, and every error was printed with file, line, key, what was found and what
would be right.
"""

_INIT_EPILOG = """\
\b
Examples:
  zonegate init
  zonegate init /etc/zonegate/zonegate.toml
"""


@click.command(epilog=_CHECK_EPILOG, short_help="Say all that is wrong with a configuration.")
@click.argument("file", type=click.Path(path_type=Path), default=default_file)
@json_option
def check(file: Path, as_json: bool) -> None:
    """Say all that is wrong with a configuration, or what it configures."""
    try:
        loaded = load(file)
        warnings = (*loaded.warnings, *_check_lists(loaded.settings, file))
    except ConfigError as error:
        if as_json:
            click.echo(msgspec.json.encode({"ok": False, "problems": error.problems, "warnings": []}))
        else:
            show_problems(error.problems)
        raise SystemExit(FAILED) from None
    summary = summarize(loaded.settings)
    if as_json:
        body = {"ok": True, "problems": [], "warnings": warnings, "summary": summary}
        click.echo(msgspec.json.encode(body))
        return
    click.echo(f"{click.style(str(file), bold=True)} is {click.style('right', fg='green')}:")
    for room, text in summary.items():
        click.echo(f"  {room:<10} {text}")
    show_warnings(warnings)


def _check_lists(settings: GatewaySettings, file: Path) -> list[str]:
    """Warnings about the lists.

    Raises:
        ConfigError: one can't be used.
    """
    if not settings.filters.lists:
        return []
    # Imported here, because only lists need the data plane.
    from gateway.lists.check import check_lists

    problems, warnings = check_lists(settings.filters.lists, file)
    if problems:
        raise ConfigError(problems)
    return warnings


# Zones that the summary names.
SHOWN = 5


def summarize(settings: GatewaySettings) -> dict[str, str]:
    """What a configuration sets up, by room."""
    summary = {}
    if settings.ingress is not None:
        ingress = settings.ingress
        workers = f"{ingress.workers} workers" if ingress.workers else "a worker for each CPU"
        listeners = ", ".join(str(listener.address) for listener in ingress.listeners)
        backends = ", ".join(backend.name for backend in ingress.backends)
        summary["ingress"] = f"{workers}, listeners {listeners}, backends {backends}"
        zones = "all zones" if "*" in settings.filters.zones else f"zones {', '.join(settings.filters.zones[:SHOWN])}"
        more = len(settings.filters.zones) - SHOWN
        limits = ", ".join(map(limit_words, settings.filters.rate_limits))
        words = f"{zones}{f' and {more} more' if more > 0 else ''}; limits: {limits or 'none'}"
        summary["filters"] = "; ".join([words, *_more_filters(settings.filters)])
    if settings.tunnels:
        named = [f"{each.name} through {each.through}" if each.through else each.name for each in settings.tunnels]
        others = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        summary["tunnels"] = f"{', '.join(named[:SHOWN])}{others}"
    for forwarder in settings.forwarders:
        primary = next(primary for primary in settings.primaries if primary.name == forwarder.primary)
        secured = " with TLS" if primary.tls is not None else ""
        line = f"{forwarder.listen} to {primary.name} ({primary.address}{secured}) through {', '.join(primary.tunnels)}"
        summary["forwarders"] = f"{summary['forwarders']}; {line}" if "forwarders" in summary else line
    if settings.transparent_doors:
        summary["transparent doors"] = "; ".join(_transparent(settings))
    if settings.zones:
        summary["NOTIFY"] = "; ".join(_notify(settings))
    if settings.exit is not None:
        allowed = ", ".join(map(str, settings.exit.allow))
        users = ", ".join(user.name for user in settings.exit.users)
        whose = f", users {users}" if users else ""
        summary["exit"] = f"{settings.exit.listen}, {settings.exit.method}, opens {allowed}{whose}"
    token = "with a token" if settings.admin.token is not None else "from loopback, without a token"
    summary["admin"] = f"http://{settings.admin.address} {token}"
    return summary


def _notify(settings: GatewaySettings) -> Iterator[str]:
    """Which zones' NOTIFY is taken, and from whom."""
    for zone in settings.zones[:SHOWN]:
        senders = ", ".join(str(each).removesuffix("/32") for each in zone.senders(settings.primaries))
        keys = ", ".join(zone.key_names(settings.primaries))
        signed = f"whoever signs with {keys}" if keys else ""
        yield f"{zone.name} from {' and '.join(filter(None, (senders, signed))) or 'nobody'}"
    if len(settings.zones) > SHOWN:
        yield f"{len(settings.zones) - SHOWN} more zones"


def _transparent(settings: GatewaySettings) -> Iterator[str]:
    for door in settings.transparent_doors:
        asked = (f"{each.asked_at} ({each.name})" for each in door.chosen(settings.primaries))
        yield f"{door.listen} for what nodes send to {', '.join(asked)}"


def _more_filters(settings: FilterSettings) -> Iterator[str]:
    """What else of the filters is configured."""
    if settings.response_limits is not None:
        yield f"response limits: {settings.response_limits.rate} a second"
    if settings.lists:
        yield f"lists: {', '.join(each.name for each in settings.lists[:SHOWN])}"
    if settings.rules:
        yield f"{len(settings.rules)} rule{'s' if len(settings.rules) > 1 else ''}"
    if settings.cookies.secret is not None:
        yield "cookies"


@click.command(epilog=_INIT_EPILOG)
@click.argument("file", type=click.Path(path_type=Path), default="zonegate.toml")
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
def init(file: Path, force: bool) -> None:
    """Write a starter configuration that explains every setting."""
    how = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    try:
        descriptor = os.open(file, how, 0o600)
    except FileExistsError:
        raise click.ClickException(f"{file} exists; --force overwrites it") from None
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as output:
            os.fchmod(descriptor, 0o600)  # a file that was there may have had another mode
            output.write(starter())
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    click.echo(f"wrote {file}; edit it, then: zonegate check {file}")
