"""The run of `zonegate rules test`: from its options to messages, through one policy or two, to what is printed."""

from __future__ import annotations

import ipaddress
import os
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import BinaryIO

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from gateway.cli.trial_tables import difference_table, report_tables, step_table
from gateway.trial.capture import Capture
from gateway.trial.described import (
    DescriptionError,
    Form,
    QueryFile,
    class_number,
    form,
    hexadecimal,
    name_wire,
    type_number,
)
from gateway.trial.difference import Difference
from gateway.trial.messages import ALONE, Asker, Captured, Described, Message
from gateway.trial.outcome import Outcome
from gateway.trial.steps import steps
from gateway.trial.tally import Report, Tally
from gateway.trial.trial import Trial
from proxy.values import Endpoint

_STRIDE = 4096
"""Messages from one step of the progress bar to the next."""
_WIDE = 200


class Inputs(msgspec.Struct, kw_only=True):
    """The options of the command that say which messages are tried."""

    pcap: BinaryIO | None
    queries: BinaryIO | None
    name: str | None
    digits: str | None
    kind: str
    qclass: str
    client: str
    client_port: int
    transport: str
    listener: str | None
    server_name: str | None
    tlvs: Sequence[str]
    flags: str
    opcode: str
    edns: int | None
    dnssec_ok: bool
    edns_options: Sequence[str]
    at: datetime | None
    rate: float | None
    ports: Sequence[int]
    moving: bool

    @property
    def source(self) -> str:
        """What the messages come from."""
        file = self.pcap or self.queries
        return getattr(file, "name", "the input") if file is not None else "the message"

    def check(self) -> None:
        """Look whether the options go together.

        Raises:
            DescriptionError: they don't; with what would be right.
        """
        given = [self.pcap, self.queries, self.name, self.digits]
        if sum(item is not None for item in given) != 1:
            raise DescriptionError("say what is tried: one of --name NAME, --hex DIGITS, --queries FILE, --pcap FILE")
        if self.rate is not None and self.queries is None:
            raise DescriptionError("--rate goes with --queries; the times of --pcap are in the capture")
        if self.ports and self.pcap is None:
            raise DescriptionError("--port goes with --pcap; --listener names the address that is asked")
        if self.server_name is not None and self.transport != "tls":
            raise DescriptionError("--server-name goes with --transport tls")
        _address("--client", self.client)
        self.unix()

    def form(self) -> Form:
        """Everything of a described query besides its question."""
        return form(self.flags, self.opcode, self.edns, self.dnssec_ok, self.edns_options)

    def single(self) -> bytes | None:
        """The single message, if one is described."""
        if self.digits is not None:
            return hexadecimal("--hex", self.digits)
        if self.name is None:
            return None
        return self.form().message(name_wire(self.name), type_number(self.kind), class_number(self.qclass), 0x1234)

    def asker(self, trial: Trial) -> Asker:
        """Who sends what is described."""
        try:
            asked = Endpoint.parse(self.listener) if self.listener else trial.ingress.listeners[0].address
        except ValueError as error:
            raise DescriptionError(f"--listener: {error}") from None
        server = (self.server_name or "").removesuffix(".").encode()
        tlvs = b"".join(map(_tlv, self.tlvs))
        source, local = _address("--client", self.client), _address("--listener", str(asked.address))
        return Asker(self.transport, source, self.client_port, local, asked.port, server, tlvs)

    def unix(self) -> int:
        """When it is sent, in seconds since 1970.

        Raises:
            DescriptionError: DNS has no such time: it counts 32 bits from 1970 on.
        """
        seconds = int(self.at.replace(tzinfo=UTC).timestamp() if self.at is not None else time.time())
        if not 0 <= seconds < 1 << 32:
            raise DescriptionError("--at: write a time from 1970-01-01T00:00 to 2106-02-07T06:28")
        return seconds


def _address(option: str, text: str) -> str:
    """An address as the data plane takes it: without a zone, and IPv4 as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise DescriptionError(f"{option}: {text[:60]!r} is no IP address") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise DescriptionError(f"{option}: {text[:60]!r}: leave the zone behind % out")
        return str(address.ipv4_mapped or address)
    return str(address)


def _tlv(text: str) -> bytes:
    kind, _, digits = text.partition(":")
    if not (kind.isascii() and kind.isdigit() and len(kind) < 4 and int(kind) < 256):
        raise DescriptionError(f"--tlv: {kind[:20]!r} is no type; write a number up to 255, a colon, and digits")
    data = hexadecimal("--tlv", digits)
    return bytes((int(kind),)) + len(data).to_bytes(2) + data


def run(trial: Trial, old: Trial | None, inputs: Inputs, as_json: bool) -> int:
    """Try it and print what came of it. How many messages the two policies decide differently about.

    Raises:
        DescriptionError: what is described is no message.
        CaptureError: the capture can't be read.
        OSError: a file can't be read.
    """
    wire = inputs.single()
    if wire is not None:
        message = Message(wire, ALONE, inputs.unix(), inputs.asker(trial))
        if old is None:
            _explain(trial, message, as_json)
            return 0
        return _many(trial, old, [message], None, as_json)
    source = _source(trial, inputs)
    return _many(trial, old, source, inputs, as_json)


def _source(trial: Trial, inputs: Inputs) -> Captured | Described:
    if inputs.pcap is not None:
        ports = set(inputs.ports) or {53, *(listener.address.port for listener in trial.ingress.listeners)}
        return Captured(Capture(inputs.pcap.read), ports, moving=inputs.moving)
    assert inputs.queries is not None
    queries = QueryFile(inputs.queries, inputs.form(), class_number(inputs.qclass))
    return Described(queries, inputs.asker(trial), inputs.unix(), inputs.rate)


def _explain(trial: Trial, message: Message, as_json: bool) -> None:
    told = trial.judge(message)
    rows, outcome = steps(trial, message, told), trial.outcome(told)
    if as_json:
        body = {"steps": rows, "outcome": outcome._asdict(), "remarks": trial.remarks, "warnings": trial.warnings}
        click.echo(msgspec.json.encode(body))
        return
    _console().print(step_table(rows, outcome, trial.remarks))


def _many(
    trial: Trial,
    old: Trial | None,
    source: Captured | Described | Sequence[Message],
    inputs: Inputs | None,
    as_json: bool,
) -> int:
    tally, difference = Tally(trial), Difference()
    old_tally = Tally(old) if old is not None else None
    remarks = []
    try:
        for message in _progress(source, inputs):
            outcome = _count(trial, tally, message)
            if old is not None and old_tally is not None:
                difference.take(message, _count(old, old_tally, message), outcome)
    except KeyboardInterrupt:
        remarks.append("ended by Ctrl-C: the rest was not read")
    remarks += [] if isinstance(source, Sequence) else source.remarks
    if not tally.messages:
        raise DescriptionError(f"no message was found; {'; '.join(remarks) or 'the input is empty'}")
    _show(tally.report(remarks), old_tally.report() if old_tally is not None else None, difference, as_json)
    return difference.count


def _count(trial: Trial, tally: Tally, message: Message) -> Outcome:
    told = trial.judge(message)
    outcome = trial.outcome(told)
    tally.take(message, told, outcome)
    return outcome


def _show(report: Report, old: Report | None, difference: Difference, as_json: bool) -> None:
    changes = difference.changes()
    if as_json:
        body = msgspec.to_builtins(report)
        if old is not None:
            body |= {"against": old, "changed": difference.count, "changes": changes}
        click.echo(msgspec.json.encode(body))
    elif old is None:
        _console().print(report_tables(report))
    else:
        _console().print(difference_table(report, old, changes, difference.count))


def _console() -> Console:
    """Standard output; a file has as many columns as the tables like."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def _progress(source: Captured | Described | Sequence[Message], inputs: Inputs | None) -> Iterator[Message]:
    """The messages, with a bar on a terminal that tells how much of the file was read."""
    console = Console(stderr=True)
    if inputs is None or isinstance(source, Sequence) or not console.is_terminal:
        yield from source
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading", total=_size(inputs.pcap or inputs.queries))
        for number, message in enumerate(source):
            if number % _STRIDE == 0:
                bar.update(task, completed=source.offset)
            yield message


def _size(file: BinaryIO | None) -> int | None:
    """Bytes of a regular file; None for a pipe."""
    try:
        known = os.fstat(file.fileno()) if file is not None else None
    except (OSError, AttributeError):
        return None
    return known.st_size if known is not None and stat.S_ISREG(known.st_mode) else None
