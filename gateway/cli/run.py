"""`zonegate run`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.common import config_option, fail_config
from gateway.config import ConfigError, load

_EPILOG = """\
\b
Examples:
  zonegate run
  zonegate run --config /etc/zonegate/zonegate.toml

\b
Signals:
  SIGHUP             take a changed configuration into use; a bad one changes nothing
  SIGTERM, SIGINT    answer what is in flight, then exit with 0; a second one ends at once, with 1
"""


@click.command(epilog=_EPILOG, short_help="Run the gateway.")
@config_option
def run(file: Path) -> None:
    """Run the gateway: ingress workers, forwarders and exit, whatever is configured."""
    try:
        loaded = load(file)
    except ConfigError as error:
        fail_config(error)
    from gateway.supervisor import run as supervise

    raise SystemExit(supervise(loaded, file))
