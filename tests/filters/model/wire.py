"""The wire check of docs/wire-check.md, byte by byte: header, question, records, types and classes."""

from __future__ import annotations

import contextlib
from typing import Literal, NoReturn, overload

from filters.settings.checks import Checks, reason
from tests.filters.model.message import (
    ANY,
    ANY_CLASS,
    AXFR,
    CH,
    IN,
    IXFR,
    NOTIFY,
    OPT,
    QUERY,
    SIG,
    SOA,
    TKEY,
    TSIG,
    UPDATE,
    Edns,
    Fault,
    Header,
    Question,
    Read,
    is_stream,
)

MOST_OVER_UDP, MOST_OVER_STREAM, MOST_UPDATE = 1500, 4096, 65_535
IXFR_AUTHORITY = 64


class Broken(Exception):  # noqa: N818  # a finding, and no error
    """A row is only observed, and what stands behind it can't be read."""


class Reader:
    """Reads one message. `read` has what was read so far, also after a fault; None if there is no header."""

    def __init__(self, message: bytes, transport: str, checks: Checks) -> None:
        self.message = message
        self.transport = transport
        self.checks = checks
        self.at = 12
        self.countable = True
        """Records stand behind the first question, which is the only one."""
        self.read: Read | None = None

    def check(self) -> Read:
        """All checks in their order.

        Raises:
            Fault: the message may not pass.
        """
        read = self.read_header()
        try:
            self.check_header(read)
            if not self.countable:
                return self.read_first_question(read)
            self.read_question(read)
        except Broken:
            return read
        self.check_authority(read)
        try:
            self.read_records(read)
        except Broken:
            read.is_whole = False
        if read.edns is not None and read.edns.version > 0:
            self.row("edns_version")
        if read.question is not None:
            self.check_type(read.header.opcode, read.question)
        elif read.cookie() is None:
            self.row("question_count")
        return read

    @overload
    def row(self, key: str, *, ends: Literal[True]) -> NoReturn: ...
    @overload
    def row(self, key: str) -> None: ...
    def row(self, key: str, *, ends: bool = False) -> None:
        """The message breaks the row `key`; `ends`: what follows can't be read."""
        choice = getattr(self.checks, key)
        if choice not in {"pass", "observe"}:
            raise Fault(reason(key), choice)
        if choice == "observe" and self.read is not None:
            self.read.observed.append(reason(key))
        if ends:
            raise Broken

    def read_header(self) -> Read:
        """Six words, and the rows that leave no choice."""
        message = self.message
        if len(message) < 12:
            raise Fault("too-short", "drop")
        words = [int.from_bytes(message[at : at + 2]) for at in range(0, 12, 2)]
        header = Header(words[0], words[1], (words[2], words[3], words[4], words[5]))
        self.read = Read(header)
        if header.flags & 0x8000:
            raise Fault("is-response", "drop")
        if not is_stream(self.transport):
            most = MOST_OVER_UDP
        else:
            most = MOST_UPDATE if header.opcode == UPDATE else MOST_OVER_STREAM
        if len(message) > most:
            raise Fault("too-large", "drop")
        return self.read

    def check_header(self, read: Read) -> None:
        """Flags, opcode and counts."""
        header, opcode = read.header, read.header.opcode
        if opcode not in {QUERY, NOTIFY, UPDATE}:
            self.row("opcode")
            self.countable = False
            return
        if header.flags & 0x0200:
            self.row("tc_bit")
        if header.rcode != 0:
            self.row("rcode_set")
        questions, answers, _, additional = header.counts
        if questions != 1 and not may_ask_for_a_cookie(header):
            self.row("question_count")
            self.countable = False
        if opcode == UPDATE:
            return
        if answers > (1 if opcode == NOTIFY else 0):
            self.row("answer_count")
        if additional > 2:
            self.row("additional_count")

    def check_authority(self, read: Read) -> None:
        """Only behind the question, which says whether it is IXFR (RFC 1995 section 3)."""
        header, question = read.header, read.question
        is_ixfr = header.opcode == QUERY and question is not None and question.qtype == IXFR
        if header.opcode != UPDATE and header.counts[2] > (IXFR_AUTHORITY if is_ixfr else 0):
            self.row("authority_count")

    def read_first_question(self, read: Read) -> Read:
        """That there are several is only observed: the first is the question, if it can be read, and unjudged."""
        observed = list(read.observed)
        with contextlib.suppress(Fault, Broken):
            self.read_question(read)
        read.observed = observed
        return read

    def read_question(self, read: Read) -> None:
        """QNAME, QTYPE, QCLASS (RFC 1035 section 4.1.2)."""
        if read.header.counts[0] == 0:
            return
        message, at = self.message, 12
        labels: list[bytes] = []
        while True:
            if at >= len(message):
                self.row("name_cut", ends=True)
            length = message[at]
            if length >= 192:
                self.row("name_compressed", ends=True)
            if length >= 64:
                self.row("name_label_type", ends=True)
            if at + 1 + length > len(message):
                self.row("name_cut", ends=True)
            if at + 1 + length - 12 > 255:
                self.row("name_too_long", ends=True)
            at += 1 + length
            if length == 0:
                break
            labels.append(message[at - length : at].lower())
        if at + 4 > len(message):
            self.row("question_cut", ends=True)
        qtype, qclass = int.from_bytes(message[at : at + 2]), int.from_bytes(message[at + 2 : at + 4])
        self.at = at + 4
        read.question = Question(tuple(labels), qtype, qclass, message[12 : self.at])

    def read_records(self, read: Read) -> None:
        """The three sections, and that nothing stands behind them."""
        _, answers, authority, additional = read.header.counts
        total = answers + authority + additional
        for number in range(total):
            self.read_record(read, in_additional=number >= answers + authority, is_last=number == total - 1)
        if self.at < len(self.message):
            read.trailing = True
            self.row("trailing_bytes")

    def read_record(self, read: Read, *, in_additional: bool, is_last: bool) -> None:
        """One record (RFC 1035 section 4.1.3)."""
        message = self.message
        start = self.at
        at = self.skip_name(start)
        if at is None:
            self.row("record_name", ends=True)
        fixed = message[at : at + 10]
        length = int.from_bytes(fixed[8:10])
        if len(fixed) < 10 or at + 10 + length > len(message):
            self.row("record_cut", ends=True)
        kind, klass, data = int.from_bytes(fixed[:2]), int.from_bytes(fixed[2:4]), message[at + 10 : at + 10 + length]
        self.at = at + 10 + length
        if kind == OPT:
            self.read_opt(read, message[start] == 0, fixed, data, in_additional=in_additional)
        if kind == TSIG or (kind == SIG and data[:2] == b"\0\0"):
            if not (in_additional and is_last):
                self.row("signature_misplaced", ends=True)
            if kind == TSIG and klass != ANY_CLASS:
                self.row("tsig_class", ends=True)
            read.signed = True

    def skip_name(self, start: int) -> int | None:
        """Where an owner name ends; None if it is broken."""
        message, at, before, end, size = self.message, start, start, None, 0
        while True:
            if at >= len(message):
                return None
            length = message[at]
            if length >= 192:
                if at + 1 >= len(message):
                    return None
                to = (length & 63) << 8 | message[at + 1]
                end = end if end is not None else at + 2
                if to >= before or to < 12:
                    return None
                at = before = to
                continue
            size += 1 + length
            if length >= 64 or at + 1 + length > len(message) or size > 255:
                return None
            at += 1 + length
            if length == 0:
                return at if end is None else end

    def read_opt(self, read: Read, is_root: bool, fixed: bytes, data: bytes, *, in_additional: bool) -> None:
        """RFC 6891 section 6.1."""
        if not in_additional:
            self.row("opt_misplaced", ends=True)
        if read.edns is not None:
            self.row("opt_duplicate", ends=True)
        if not is_root:
            self.row("opt_owner", ends=True)
        size = max(512, int.from_bytes(fixed[2:4]))
        read.edns = Edns(size, version=fixed[5], dnssec_ok=bool(fixed[6] & 0x80))
        if read.edns.version > 0:
            return
        read.edns.options, is_whole = read_options(data)
        cookie = read.cookie()
        if cookie is not None and not is_cookie(cookie):
            self.row("edns_cookie", ends=True)
        if not is_whole:
            self.row("edns_options", ends=True)

    def check_type(self, opcode: int, question: Question) -> None:
        """What may be asked for, and in which class."""
        qtype, qclass = question.qtype, question.qclass
        udp = not is_stream(self.transport)
        if qtype == 0:
            self.row("qtype_zero")
        elif opcode == UPDATE:
            if qtype != SOA:
                self.row("update_zone_type")
        elif qtype in {OPT, TSIG} or (opcode == NOTIFY and (128 <= qtype <= 255)):
            self.row("qtype_meta")
        elif qtype == TKEY:
            self.row("tkey")
        elif qtype == AXFR and udp:
            self.row("axfr_over_udp")
        elif qtype == ANY and udp:
            self.row("any_over_udp")
        if qclass == CH:
            self.row("chaos")
            if opcode != QUERY:
                raise Fault("chaos-refused", "refuse")
        elif qclass != IN:
            self.row("other_class")


def may_ask_for_a_cookie(header: Header) -> bool:
    """No question, and one record, which is to be OPT with a COOKIE (RFC 7873 section 5.4)."""
    return header.opcode == QUERY and header.counts == (0, 0, 0, 1)


def read_options(data: bytes) -> tuple[list[tuple[int, bytes]], bool]:
    """Codes and values as far as they go, and whether the lengths add up."""
    options: list[tuple[int, bytes]] = []
    while data:
        length = int.from_bytes(data[2:4])
        if len(data) < 4 + length:
            return options, False
        options.append((int.from_bytes(data[:2]), data[4 : 4 + length]))
        data = data[4 + length :]
    return options, True


def is_cookie(value: bytes) -> bool:
    """Whether a COOKIE is of a length that there is (RFC 7873 section 4)."""
    return len(value) == 8 or 16 <= len(value) <= 40
