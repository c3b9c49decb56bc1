"""`zonegate cookie-secret`, and how a fresh secret is handed over: printed, or written to a file that only we read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

_COOKIE_EPILOG = """\
\b
Examples:
  zonegate cookie-secret
  zonegate cookie-secret --output /etc/zonegate/cookie.secret

All gateways and name servers of a zone share it. In zonegate.toml:
\b
  [filters.cookies]
  secret = { file = "cookie.secret" }
"""


@click.command("cookie-secret", epilog=_COOKIE_EPILOG, short_help="Make a fresh secret for DNS cookies.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a new file with mode 600.")
def cookie_secret(output: Path | None) -> None:
    """Make a fresh secret for DNS cookies (RFC 9018), in the form that BIND, NSD and Knot DNS take too."""
    hand_over(secrets.token_hex(16), output)


def hand_over(secret: str, output: Path | None) -> None:
    """Print a secret, or write it to a new file with mode 600.

    Raises:
        click.ClickException: the file exists or can't be written.
    """
    if output is None:
        click.echo(secret)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secret}\n")
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None
    click.echo(f"wrote {output}")
