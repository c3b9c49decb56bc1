"""Batches of samples as the data plane writes them (relay/src/samples/record.rs), for tests of what reads them."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

import dns.name
from msgspec import Struct

ACTS = ("forward", "reply", "drop", "shed")


class Query(Struct, frozen=True, kw_only=True):
    client: str = "192.0.2.1"
    name: str | None = "www.example.com."
    qtype: int = 1
    act: str = "forward"
    reason: int = 0
    size: int = 40


class Answer(Struct, frozen=True, kw_only=True):
    client: str = "192.0.2.1"
    name: str | None = "www.example.com."
    qtype: int = 1
    rcode: int = 0
    size: int = 100
    slot: int = 0
    microseconds: int = 1000


def batch(
    queries: Sequence[Query] = (), answers: Sequence[Answer] = (), *, times: int = 1, answer_times: int | None = None
) -> bytes:
    """A batch in which each sample stands for `times` messages."""
    seen = len(queries) * times, len(answers) * (times if answer_times is None else answer_times)
    head = struct.pack("<BQIQI", 1, seen[0], len(queries), seen[1], len(answers))
    return head + b"".join([_record(query) for query in queries] + [_record(answer) for answer in answers])


def _record(sample: Query | Answer) -> bytes:
    address = ipaddress.ip_address(sample.client)
    name = b"" if sample.name is None else dns.name.from_text(sample.name).to_digestable()
    answer = isinstance(sample, Answer)
    flags = int(answer) | (2 if address.version == 6 else 0) | (16 if name else 0)
    if isinstance(sample, Answer):
        body = struct.pack("<BBI", sample.rcode, sample.slot, sample.microseconds)
    else:
        body = struct.pack("<BB", ACTS.index(sample.act), sample.reason)
    return (
        bytes([flags])
        + address.packed
        + struct.pack("<HH", sample.size, sample.qtype)
        + body
        + bytes([len(name)])
        + name
    )
