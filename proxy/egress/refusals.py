"""What a forwarder does not pass on: counted by reason, and told with what to do about it.

Nodes and their operators see REFUSED, SERVFAIL or a reset, none of which says who said it and why. Sources of
datagrams can be forged, so events are thinned out: one of each forwarder, primary and reason every ten seconds.
"""

from __future__ import annotations

from dns.rdatatype import RdataType

from proxy.egress.counters import ForwarderCounters
from proxy.egress.exchanges.judge import zone_text
from proxy.egress.exchanges.remedies import REFUSALS
from proxy.egress.sparse import SparseEmitter
from proxy.protocol.transfer_queries import Question
from proxy.values import IPAddress


class Refusals:
    """Of one forwarder."""

    def __init__(self, listen: str, primary: str, sparse: SparseEmitter) -> None:
        self._fields = {"forwarder": listen, "primary": primary}
        self._kind = f"{listen} {primary}"
        self._sparse = sparse

    def count(
        self, counters: ForwarderCounters, reason: str, node: IPAddress | None, question: Question | None = None
    ) -> None:
        """A query, or a connection (no question), is not passed on for this reason.

        What has events of its own, such as tunnels that fail, is counted only.
        """
        counters.refused[reason] += 1
        self.tell(reason, node, question)

    def of_door(self) -> Refusals:
        """For what comes to the same address, a door's, and is for none of its primaries."""
        return Refusals(self._fields["forwarder"], "-", self._sparse)

    def tell(self, reason: str, node: IPAddress | None, question: Question | None = None) -> None:
        """As `count`, of what is counted elsewhere."""
        if reason in REFUSALS:
            fields = {**self._fields, "node": str(node), **_asked(question)}
            self._sparse(
                "transfer.refused", f"{self._kind} {reason}", {**fields, "reason": reason, "remedy": REFUSALS[reason]}
            )


def _asked(question: Question | None) -> dict[str, object]:
    if question is None:
        return {}
    return {"zone": zone_text(question.name), "type": RdataType.to_text(RdataType.make(question.type))}
