"""The command `zonegate`. Each subcommand lives in a module of its own, which is loaded when it is asked for."""

from __future__ import annotations

import importlib
import sys

import click

from gateway.version import version

_COMMANDS = {
    "run": "gateway.cli.run:run",
    "check": "gateway.cli.files:check",
    "init": "gateway.cli.files:init",
    "status": "gateway.cli.control:status",
    "reload": "gateway.cli.control:reload",
    "top": "gateway.cli.top:top",
    "tunnels": "gateway.cli.tunnels:tunnels",
    "blocks": "gateway.cli.blocks:blocks",
    "rules": "gateway.cli.rules:rules",
    "transfer": "gateway.cli.transfers:transfer",
    "exit": "gateway.cli.exits:exit_command",
    "exit-key": "gateway.cli.exits:exit_key",
    "cookie-secret": "gateway.cli.secrets:cookie_secret",
    "lab": "gateway.lab.command:lab",
}

_EPILOG = """\
\b
First steps:
  zonegate lab                  the whole ring on this machine, nothing to configure
  zonegate init                 write a starter file, zonegate.toml
  zonegate check                say all that is wrong with it
  zonegate run                  start the gateway
  zonegate status               see how it is

\b
The configuration is --config FILE, else $ZONEGATE_CONFIG, else ./zonegate.toml, else /etc/zonegate/zonegate.toml.

\b
Exit codes:
  0  done
  1  what was asked for failed or is not so: errors in the configuration, not ready, a reload refused
  2  wrong use of the command line
  3  the gateway can't be reached
"""


class _Lazy(click.Group):
    """A group that imports a subcommand when it is needed, so that `zonegate run` starts fast."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """In the order of use."""
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Import it."""
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


def _show_version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"zonegate {version()}")
        context.exit()


@click.group(cls=_Lazy, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def cli() -> None:
    """zonegate: a secure ingress and egress gateway for secondary DNS.

    In: every query and NOTIFY reaches your nodes only through it. Out: every zone transfer leaves through Shadowsocks
    or SOCKS5 tunnels.
    """


def main() -> None:
    """Entry of the console script."""
    cli(prog_name="zonegate")
    sys.exit(0)
