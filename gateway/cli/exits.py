"""`zonegate exit` and `zonegate exit-key`: this machine as the far end of tunnels, with nothing else configured.

`zonegate exit keys`, which makes all that exit and tunnels need, is in `exit_keys`.
"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from gateway.cli.common import fail_config
from gateway.cli.exit_keys import METHODS, fresh_key, keys
from gateway.cli.secrets import hand_over
from gateway.config import ConfigError, Loaded, Problem, load, load_tree
from gateway.settings import GatewaySettings

_METHODS_2022 = [name for name in METHODS if name.startswith("2022-")]

_EXIT_EPILOG = """\
\b
Examples:
  # one client
  zonegate exit keys --host exit.example.net:8388 --output keys
  zonegate exit --listen 0.0.0.0:8388 --key-file keys/exit.key --allow 203.0.113.5/32:53
  # several users, each with a key, limits and numbers of its own
  zonegate exit keys --host exit.example.net:8388 --user berlin --user oslo --output keys
  zonegate exit --config zonegate.toml

`zonegate exit keys` prints the [exit] for zonegate.toml, and the ss:// URL for the tunnel of the gateway on the other
side. The exit opens what `allow` names and nothing else; whoever shows no key sees silence and then a reset.
"""

_KEY_EPILOG = """\
\b
Examples:
  zonegate exit-key
  zonegate exit-key 2022-blake3-aes-128-gcm --output exit.key

A bare key and nothing more. `zonegate exit keys` makes the keys of several users, and the URLs for their tunnels.
"""


@click.group("exit", epilog=_EXIT_EPILOG, short_help="Run only the far end of tunnels.", invoke_without_command=True)
@click.option(
    "-c", "--config", "file", type=click.Path(path_type=Path), help="Take [exit], [admin] and [log] from FILE."
)
@click.option("--listen", help="Where the tunnels end, such as 0.0.0.0:8388.")
@click.option("--method", help="The Shadowsocks method.  [default: 2022-blake3-aes-256-gcm]")
@click.option("--key-file", help="A file with the key, chmod 600.  [default: the variable ZONEGATE_EXIT_KEY]")
@click.option(
    "--allow",
    multiple=True,
    help="A prefix and port that it opens, such as 203.0.113.0/24:53; may be given more than once.",
)
@click.option("--admin", help="Address of /healthz, /readyz and /metrics.  [default: 127.0.0.1:8053]")
@click.pass_context
def exit_command(
    context: click.Context,
    file: Path | None,
    listen: str | None,
    method: str | None,
    key_file: str | None,
    allow: tuple[str, ...],
    admin: str | None,
) -> None:
    """Run an exit: the far end of tunnels, that opens connections to the primaries it is allowed to."""
    given = {"listen": listen, "method": method, "allow": list(allow)}
    options = {name: value for name, value in given.items() if value}
    if context.invoked_subcommand is not None:
        if file or options or key_file or admin:
            raise click.UsageError(f"options of zonegate exit {context.invoked_subcommand} stand behind its name")
        return
    if file is not None and (options or key_file or admin):
        raise click.UsageError("--config stands alone: the other options are in the file")
    try:
        loaded = _from_file(file) if file is not None else _from_options(options, key_file, admin)
    except ConfigError as error:
        fail_config(error)
    from gateway.supervisor import run as supervise

    raise SystemExit(supervise(loaded, file, _from_file))


def _from_file(file: Path) -> Loaded:
    """What an exit takes of a file, at the start and at each reload."""
    loaded = load(file)
    settings = loaded.settings
    if settings.exit is None:
        right = "`zonegate exit` needs an [exit]; `zonegate exit keys` prints one"
        raise ConfigError([Problem(file=str(file), line=None, key="exit", found="nothing", right=right)])
    alone = GatewaySettings(version=1, exit=settings.exit, admin=settings.admin, log=settings.log)
    return msgspec.structs.replace(loaded, settings=alone)


def _from_options(options: dict[str, str | list[str]], key_file: str | None, admin: str | None) -> Loaded:
    key = {"file": key_file} if key_file else {"env": "ZONEGATE_EXIT_KEY"}
    tree: dict[str, object] = {"version": 1, "exit": {**options, "key": key}}
    if admin:
        tree["admin"] = {"address": admin}
    return Loaded(settings=load_tree("command line", tree))


exit_command.add_command(keys)


@click.command("exit-key", epilog=_KEY_EPILOG)
@click.argument(
    "method",
    type=click.Choice(_METHODS_2022),
    default="2022-blake3-aes-256-gcm",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a new file with mode 600.")
def exit_key(method: str, output: Path | None) -> None:
    """Make a fresh random key for an exit and its tunnels."""
    hand_over(fresh_key(method), output)
