"""A query of a node, as it goes through the gateway."""

from __future__ import annotations

from dataclasses import dataclass, field

from dns.rdatatype import RdataType

from proxy.protocol.transfer_queries import Question
from proxy.values import IPAddress


@dataclass(frozen=True, slots=True)
class Query:
    """`message` without a length in front; never changed on its way."""

    message: bytes
    question: Question
    node: IPAddress
    id: int = field(init=False)
    transfers: bool = field(init=False)  # AXFR or IXFR; else an SOA check

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.question.id)
        object.__setattr__(self, "transfers", self.question.type != RdataType.SOA)

    @property
    def zone(self) -> bytes:
        """The name asked for, in wire form, small letters."""
        return self.question.name
