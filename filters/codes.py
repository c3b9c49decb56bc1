"""Codes of DNS as operators write them: by name, or by number. Each prints back to what it was read from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import ClassVar, Self

import dns.edns
import dns.exception
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from filters.errors import FilterError
from filters.names import zone_wire


def _numbered(text: str, prefix: str, most: int) -> int | None:
    """The number behind `prefix`, or alone."""
    digits = text.upper().removeprefix(prefix)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 and int(digits) <= most else None


@dataclass(frozen=True, slots=True)
class Code:
    """A code that has a name. `NAMES` are those that are known, `PREFIX` makes a name of any number up to `MOST`."""

    number: int
    text: str

    NAMES: ClassVar[dict[str, int]] = {}
    PREFIX: ClassVar[str] = ""
    MOST: ClassVar[int] = 65_535
    WHAT: ClassVar[str] = "code"
    takes_numbers: ClassVar[bool] = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name or a number.

        Raises:
            ValueError: neither; with what may have been meant.
        """
        name = text.upper()
        number = cls.NAMES.get(name)
        if number is None:
            number = _numbered(text, cls.PREFIX, cls.MOST)
        if number is None:
            close = difflib.get_close_matches(name[:40], list(cls.NAMES), n=1)
            meant = f'; did you mean "{close[0]}"?' if close else ""
            raise ValueError(
                f'that is no {cls.WHAT}; write a name or a number up to {cls.MOST}, "{cls.PREFIX}1"{meant}'
            )
        return cls(number, text)

    def __str__(self) -> str:
        return self.text


class QueryType(Code):
    """A type that is asked for: `AAAA`, `TYPE65` (RFC 3597)."""

    NAMES: ClassVar[dict[str, int]] = {kind.name.replace("_", "-"): int(kind) for kind in dns.rdatatype.RdataType}
    PREFIX = "TYPE"
    WHAT = "type of records"


class QueryClass(Code):
    """A class: `IN`, `CH`, `CLASS3`."""

    NAMES: ClassVar[dict[str, int]] = {kind.name: int(kind) for kind in dns.rdataclass.RdataClass}
    PREFIX = "CLASS"
    WHAT = "class"


class Opcode(Code):
    """What a message asks to be done: `QUERY`, `NOTIFY`, `UPDATE`."""

    NAMES: ClassVar[dict[str, int]] = {code.name: int(code) for code in dns.opcode.Opcode}
    PREFIX = "OPCODE"
    MOST = 15
    WHAT = "opcode"


class Rcode(Code):
    """A response code: `NXDOMAIN`, `REFUSED`."""

    NAMES: ClassVar[dict[str, int]] = {code.name: int(code) for code in dns.rcode.Rcode}
    PREFIX = "RCODE"
    MOST = 4095
    WHAT = "response code"


class OptionCode(Code):
    """An EDNS option: `ECS`, `COOKIE`, `OPTION65001`."""

    NAMES: ClassVar[dict[str, int]] = {code.name: int(code) for code in dns.edns.OptionType}
    PREFIX = "OPTION"
    WHAT = "EDNS option"


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from one to another, written `12`, `"10-20"`, `"10-"` or `"-20"`."""

    low: int
    high: int
    takes_numbers: ClassVar[bool] = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form.

        Raises:
            ValueError: with what would be right.
        """
        low, dash, high = (part.strip() for part in text.partition("-"))
        ends = [low, high] if dash else [low, low]
        if not (any(ends) and all(end.isascii() and (end.isdigit() or not end) and len(end) < 6 for end in ends)):
            raise ValueError('write a number, or a range such as "10-20", "10-" or "-20"')
        first, last = int(ends[0] or 0), int(ends[1] or 65_535)
        if not first <= last <= 65_535:
            raise ValueError("a range goes up, to 65535 at most")
        return cls(first, last)

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


@dataclass(frozen=True, slots=True)
class DomainName:
    """A domain name; its last dot may be left out."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form.

        Raises:
            ValueError: with what is wrong.
        """
        try:
            zone_wire(text)
        except FilterError as error:
            raise ValueError(str(error)) from None
        return cls(text)

    @property
    def wire(self) -> bytes:
        """In wire form and lower case."""
        return zone_wire(self.text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A time in UTC, written `08:30`; `24:00` is the end of the day."""

    minutes: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form.

        Raises:
            ValueError: with what would be right.
        """
        hours, colon, minutes = text.partition(":")
        parts = (hours, minutes)
        if not colon or not all(part.isascii() and part.isdigit() and len(part) == 2 for part in parts):
            raise ValueError('write a time of the day such as "08:30"')
        total = int(hours) * 60 + int(minutes)
        if int(minutes) > 59 or total > 24 * 60:
            raise ValueError('a time of the day is "00:00" to "24:00"')
        return cls(total)

    def __str__(self) -> str:
        return f"{self.minutes // 60:02}:{self.minutes % 60:02}"
