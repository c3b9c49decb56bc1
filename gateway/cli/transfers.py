"""`zonegate transfer`: one zone from a primary through a tunnel, checked, into a file or onto the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from gateway.cli.common import FAILED, config_option, fail_config, json_option
from gateway.config import ConfigError, load

_EPILOG = """\
\b
Examples:
  zonegate transfer example.com --from customer-a
  zonegate transfer example.com --from customer-a --via fra --output example.com.zone
  zonegate transfer example.com --from customer-a --serial 2026112001
  zonegate transfer example.com --from customer-a --format wire --output example.com.axfr
  zonegate transfer example.com --from customer-a --json | jq .digest

\b
Tunnels, primaries and keys are those of the configuration; no gateway need run. TLS is used if primaries.tls says so,
and the query is signed by primaries.tsig_key, or by --key. Without --via the primary's tunnels are tried in their
order; never directly, unless a tunnel says direct://.

\b
With --serial an incremental transfer is asked for (IXFR). Its text is a difference: lines with - and +. A primary may
answer with the whole zone.

\b
Nothing is written before the whole transfer has passed the checks that transfers of nodes pass. The wire format is the
messages as they came, each behind its length of two bytes.

\b
Exit code 0: it came, or the zone is up to date; 1: it did not, with the reason; 2: wrong use.
"""


@click.command("transfer", epilog=_EPILOG, short_help="Transfer a zone through a tunnel, and check it.")
@config_option
@click.argument("zone")
@click.option("--from", "primary", help="The name of a primary; may be left out where there is only one.")
@click.option("--via", "tunnel", help="The name of a tunnel.  [default: those of the primary, in their order]")
@click.option("--serial", type=click.IntRange(0, 2**32 - 1), help="What is there already: transfer what has changed.")
@click.option("--key", help="The name of a TSIG key.  [default: primaries.tsig_key]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file; it is replaced when all has come.")
@click.option(
    "--format", "form", type=click.Choice(["zone", "wire"]), default="zone", show_default=True, help="What is written."
)
@json_option
def transfer(
    file: Path,
    zone: str,
    primary: str | None,
    tunnel: str | None,
    serial: int | None,
    key: str | None,
    output: Path | None,
    form: str,
    as_json: bool,
) -> None:
    """Transfer ZONE from a primary through a tunnel, with the checks that transfers of nodes pass.

    The zone goes to --output, else to standard output; with --json only what was found out is printed.
    """
    # Loaded here, because ciphers and data plane are slow to load.
    from gateway.transfer.job import Job, JobError
    from gateway.transfer.run import run

    try:
        job = Job.plan(load(file).settings, file, zone, primary=primary, tunnel=tunnel, serial=serial, key=key)
        run(job, output, form=form, as_json=as_json)
    except ConfigError as error:
        fail_config(error)
    except JobError as error:
        _fail(str(error))
    except BrokenPipeError:
        _leave_quietly()
    except OSError as error:
        _fail(f"{output or 'standard output'}: {error.strerror or error}")


def _leave_quietly() -> NoReturn:
    """Whoever read our output has what it wanted, as `head` has; the interpreter shall not try to flush the rest."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(FAILED)


def _fail(text: str) -> NoReturn:
    click.echo(f"{click.style('error', fg='red')}: {text}", err=True)
    raise SystemExit(FAILED)
