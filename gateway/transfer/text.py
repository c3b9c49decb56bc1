"""Messages of a transfer as text: a zone file (RFC 1035 §5), or for an incremental one a difference of lines.

AXFR  SOA, records …, SOA                                the last is left out
IXFR  SOA, { SOA of before, removed …, SOA of behind, added … } …, SOA
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import dns.message
import dns.rdatatype
import dns.rrset

KINDS = ("axfr", "axfr-style")
"""What is a whole zone, of the kinds of verdicts."""


def messages(wire: BinaryIO) -> Iterator[dns.message.Message]:
    """Those in a file of messages, each behind its length."""
    while prefix := wire.read(2):
        # The guard has verified what could be verified of signatures.
        yield dns.message.from_wire(
            wire.read(int.from_bytes(prefix)), keyring=False, one_rr_per_rrset=True, ignore_trailing=True
        )


def zone_lines(wire: BinaryIO) -> Iterator[str]:
    """The lines of a zone file, the SOA first."""
    for number, record in enumerate(_records(wire)):
        if number and record.rdtype == dns.rdatatype.SOA:
            return
        yield record.to_text()


def difference_lines(wire: BinaryIO) -> Iterator[str]:
    """The lines of a difference: `-` what was removed, `+` what was added, in the order in which it was sent."""
    records = _records(wire)
    next(records, None)  # says what will be reached
    sign, line = "+", ""
    for record in records:
        if line:
            yield line
        if record.rdtype == dns.rdatatype.SOA:
            sign = "+" if sign == "-" else "-"
        line = f"{sign} {record.to_text()}"  # that of the last record, the closing SOA, is left out


def _records(wire: BinaryIO) -> Iterator[dns.rrset.RRset]:
    for message in messages(wire):
        yield from message.answer
