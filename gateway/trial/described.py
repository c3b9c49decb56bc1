"""Messages that are described: by options of the command line, or by lines of a file as dnsperf takes them.

NAME TYPE        one query a line; empty lines and what begins with `;` or `#` is skipped
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import dns.exception
import dns.name
import msgspec

from filters.codes import Opcode, OptionCode, QueryClass, QueryType

LINE_MOST = 2048
_FLAGS = {"aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "z": 0x0040, "ad": 0x0020, "cd": 0x0010, "qr": 0x8000}
_OPT, _DO = 41, 0x8000


class DescriptionError(ValueError):
    """A description that makes no message; with what would be right."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of a query besides its question. `size` is the UDP size of EDNS, None for a query without EDNS."""

    flags: int = 0
    opcode: int = 0
    size: int | None = None
    dnssec_ok: bool = False
    options: bytes = b""

    def message(self, name: bytes, qtype: int, qclass: int, number: int) -> bytes:
        """The query for a name in wire form, with the ID `number` (RFC 1035 section 4.1, RFC 6891 section 6.1)."""
        head = struct.pack("!HHHHHH", number, self.flags | self.opcode << 11, 1, 0, 0, int(self.size is not None))
        question = struct.pack("!HH", qtype, qclass)
        if self.size is None:
            return b"".join((head, name, question))
        flags = _DO if self.dnssec_ok else 0
        opt = struct.pack("!BHHHHH", 0, _OPT, self.size, 0, flags, len(self.options))
        return b"".join((head, name, question, opt, self.options))


def form(flags: str, opcode: str, size: int | None, dnssec_ok: bool, options: Sequence[str]) -> Form:
    """Read how a query is to be. DO and options bring EDNS with them, with the size that DNS Flag Day 2020 asks for.

    Raises:
        DescriptionError: what one of them is not.
    """
    bits = 0
    for flag in filter(None, flags.lower().replace(",", " ").split()):
        if flag not in _FLAGS:
            raise DescriptionError(f"--flags: {flag[:20]!r} is none of {', '.join(_FLAGS)}")
        bits |= _FLAGS[flag]
    if size is None and (dnssec_ok or options):
        size = 1232
    try:
        code = Opcode.parse(opcode).number
    except ValueError as error:
        raise DescriptionError(f"--opcode: {error}") from None
    wire = b"".join(map(_option, options))
    if len(wire) > 0xFFFF:
        raise DescriptionError("--option: more than 65535 bytes of options")
    return Form(flags=bits, opcode=code, size=size, dnssec_ok=dnssec_ok, options=wire)


def _option(text: str) -> bytes:
    name, _, digits = text.partition(":")
    try:
        code = OptionCode.parse(name).number
    except ValueError as error:
        raise DescriptionError(f"--option: {name[:40]!r}: {error}") from None
    return struct.pack("!HH", code, len(data := hexadecimal("--option", digits))) + data


def hexadecimal(option: str, text: str) -> bytes:
    """Bytes that are written as hexadecimal digits; blanks between them are allowed.

    Raises:
        DescriptionError: they are not, or more than a message has.
    """
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise DescriptionError(f"{option}: {text[:40]!r} is not pairs of hexadecimal digits") from None
    if len(data) > 0xFFFF:
        raise DescriptionError(f"{option}: {len(data)} bytes are more than a message has, 65535")
    return data


def name_wire(text: str) -> bytes:
    """A name in wire form, its case kept. The last dot may be left out.

    Raises:
        DescriptionError: it is none.
    """
    labels = text.removesuffix(".").split(".")
    plain = text.isascii() and "\\" not in text and len(text) < 250
    if plain and all(0 < len(label) < 64 for label in labels):
        return b"".join([*(bytes((len(label),)) + label.encode() for label in labels), b"\0"])
    try:
        return dns.name.from_text(text).to_wire() or b"\0"
    except (dns.exception.DNSException, UnicodeError) as error:
        raise DescriptionError(f"{text[:80]!r} is no domain name: {str(error).removesuffix('.')}") from None


def type_number(text: str) -> int:
    """The number of a type.

    Raises:
        DescriptionError: there is no such type.
    """
    number = _type(text)
    if isinstance(number, str):
        raise DescriptionError(f"type {text[:40]!r}: {number}")
    return number


@functools.lru_cache(1024)
def _type(text: str) -> int | str:
    """The number, or what is wrong: looking for what was meant takes long, and a file may have one mistake often."""
    try:
        return QueryType.parse(text).number
    except ValueError as error:
        return str(error)


def class_number(text: str) -> int:
    """The number of a class.

    Raises:
        DescriptionError: there is no such class.
    """
    try:
        return QueryClass.parse(text).number
    except ValueError as error:
        raise DescriptionError(f"class {text[:40]!r}: {error}") from None


class QueryFile:
    """Queries, one a line. Lines that are none are counted in `bad`, and the first few kept in `first`."""

    def __init__(self, file: BinaryIO, form: Form, qclass: int = 1) -> None:
        self._file = file
        self._form = form
        self._qclass = qclass
        self.offset = 0
        self.bad = 0
        self.first: list[str] = []

    def messages(self) -> Iterator[bytes]:
        """The queries in wire form, one after the other.

        Raises:
            OSError: the file can't be read.
        """
        number = line_number = 0
        while line := self._file.readline(LINE_MOST):
            line_number += 1
            self.offset += len(line)
            whole = line.endswith(b"\n") or len(line) < LINE_MOST
            if not whole:
                self._skip_line()
            fields = line.split()
            if not fields or line.lstrip()[:1] in (b";", b"#"):
                continue
            try:
                if not whole or len(fields) != 2:
                    raise DescriptionError("write a name and a type")
                name, kind = fields[0].decode(), fields[1].decode()
                message = self._form.message(name_wire(name), type_number(kind), self._qclass, number & 0xFFFF)
            except (DescriptionError, UnicodeDecodeError) as error:
                self.bad += 1
                if self.bad <= 3:
                    self.first.append(f"line {line_number}: {error}")
                continue
            number += 1
            yield message

    def _skip_line(self) -> None:
        while rest := self._file.readline(LINE_MOST):
            self.offset += len(rest)
            if rest.endswith(b"\n"):
                return
