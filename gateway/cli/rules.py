"""`zonegate rules test`: what a policy would do with messages, and why, without a gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from gateway.cli.common import config_option, json_option, show_problems, show_warnings
from gateway.config import ConfigError

WRONG = 2
DIFFERENT = 1

_EPILOG = """\
\b
Examples:
  zonegate rules test --name www.example.com --type A --client 192.0.2.1
  zonegate rules test --name example.com --type ANY --transport udp --edns --do --option NSID
  zonegate rules test --hex 123400000001000000000000076578616d706c6503636f6d0000010001
  zonegate rules test --queries queries.txt --client 192.0.2.1 --rate 500
  tcpdump -i any -w - -c 100000 port 53 | zonegate rules test --pcap -
  zonegate rules test -c new.toml --against zonegate.toml --pcap yesterday.pcap
  zonegate rules test --pcap yesterday.pcap --json | jq '.never_matched'

\b
One message is explained step by step. Many are counted: for each outcome, rule, list and limit how many messages it
was, their share and a few names, and which rules never matched.

\b
Nothing that runs is touched: the test has buckets of its own, which are full at its beginning. Lists come from their
files; one that is fetched, from its last good copy in the state directory. Not tried: dynamic blocks, response limits
and admission, which need a running gateway and the answers of backends.

\b
Read from a capture (pcap, pcapng): packets to port 53 and the ports of the listeners, or to --port alone; Ethernet,
Linux cooked, raw IP and loopback; VLAN tags; UDP, and TCP connections from their first segment on. Their times drive
the rate limits. Fragments and TLS are not read, and counted. PROXY headers are not taken off.

\b
Exit code 0: done, and with --against no difference; 1: --against, and there are differences; 2: an error.
"""

_GROUP_EPILOG = """\
\b
Examples:
  zonegate rules test --help
  zonegate rules test --name www.example.com --type A --client 192.0.2.1
"""

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = [
    click.option("--pcap", type=click.File("rb"), help="A capture; - is standard input."),
    click.option("--queries", type=click.File("rb"), help="Lines of name and type, as for dnsperf; - likewise."),
    click.option("--name", help="A single query for this name."),
    click.option("--hex", "digits", help="A single message, in hexadecimal digits."),
    click.option("--type", "kind", default="A", show_default=True, help="The type that --name is asked for."),
    click.option("--class", "qclass", default="IN", show_default=True, help="The class."),
    click.option("--client", default="192.0.2.1", show_default=True, help="The address that asks."),
    click.option(
        "--client-port", type=click.IntRange(0, 65535), default=53535, show_default=True, help="The port it asks from."
    ),
    click.option(
        "--transport", type=click.Choice(["udp", "tcp", "tls"]), default="udp", show_default=True, help="How."
    ),
    click.option("--listener", help="The address and port that is asked; else the first listener's."),
    click.option("--server-name", help="The name that a TLS client asks for (SNI)."),
    click.option("--tlv", "tlvs", multiple=True, help="A TLV of its PROXY header: type and bytes, such as 224:0a0b."),
    click.option("--flags", default="", help="Bits of the header, such as rd,cd."),
    click.option("--opcode", default="QUERY", show_default=True, help="Such as NOTIFY."),
    click.option(
        "--edns", is_flag=False, flag_value=1232, type=click.IntRange(0, 65535), help="With EDNS, and this UDP size."
    ),
    click.option("--do", "dnssec_ok", is_flag=True, help="Ask for DNSSEC records."),
    click.option("--option", "edns_options", multiple=True, help="An EDNS option: NSID, or ECS:00011800c00002."),
    click.option("--at", type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]), help="When, in UTC; else now."),
    click.option("--rate", type=click.FloatRange(0.001, 1e8), help="--queries in a second; else each by itself."),
    click.option(
        "--port", "ports", multiple=True, type=click.IntRange(1, 65535), help="The port of --pcap's messages."
    ),
    click.option(
        "--time/--no-time", "moving", default=True, help="Whether --pcap's times drive the rate limits. Default: yes."
    ),
]


def _described(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.group(epilog=_GROUP_EPILOG, short_help="Try a policy on messages before it is used.")
def rules() -> None:
    """Try a policy on messages before it is used."""


@rules.command("test", epilog=_EPILOG)
@config_option
@click.option("--against", type=click.Path(path_type=Path), help="An old configuration: show what differs from it.")
@json_option
@_described
def try_policy(file: Path, against: Path | None, as_json: bool, **options: Any) -> None:
    """Say what the policy of a configuration would do with messages, and why: one of --name or --hex, --queries,
    --pcap.
    """
    # Loaded here, because the data plane and rich are slow to load.
    from gateway.cli.trial import Inputs, run
    from gateway.trial.capture import CaptureError
    from gateway.trial.described import DescriptionError
    from gateway.trial.trial import Trial, TrialError

    inputs = Inputs(**options)
    try:
        inputs.check()
        trials = [Trial(path) for path in (file, against) if path is not None]
        for trial in trials if not as_json else ():
            show_warnings(trial.warnings)
        differences = run(trials[0], trials[1] if against is not None else None, inputs, as_json)
    except ConfigError as error:
        show_problems(error.problems)
        raise SystemExit(WRONG) from None
    except DescriptionError as error:
        _fail(str(error))
    except TrialError as error:
        _fail(str(error))
    except CaptureError as error:
        _fail(f"{inputs.source}: {error}")
    except OSError as error:
        _fail(f"{inputs.source}: {error.strerror or error}")
    raise SystemExit(DIFFERENT if differences else 0)


def _fail(text: str) -> NoReturn:
    click.echo(f"{click.style('error', fg='red')}: {text}", err=True)
    raise SystemExit(WRONG)
