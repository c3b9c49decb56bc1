"""Settings of where zones come from: `[[primaries]]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.settings.failover import Failover
from proxy.settings.primary_tls import PrimaryTls
from proxy.values import Endpoint

PLAIN_PORT = 53  # of DNS without TLS (RFC 1035 §4.2)


class Limits(Settings, frozen=True, kw_only=True):
    """`primaries.limits`: what an answer may cost at most. One that goes beyond is rejected, and nodes keep their zone.

    The defaults stop what can't be a zone. 5,461 records of 12 bytes fill the largest DNS message; BIND has the same
    two hours and 10 KiB in five minutes.
    """

    bytes: Annotated[int, Meta(ge=512, description="of all messages of a transfer")] = 4 << 30
    records: Annotated[int, Meta(ge=1, description="of a transfer")] = 100_000_000
    messages: Annotated[int, Meta(ge=1, description="of a transfer")] = 100_000_000
    rrset: Annotated[int, Meta(ge=1, description="records of one name and type")] = 5461
    seconds: Annotated[Seconds, Meta(description="from the query to the end of its answer")] = 7200.0
    idle: Annotated[Seconds, Meta(description="seconds in which nothing comes")] = 60.0
    rate_bytes: Annotated[int, Meta(ge=0, description="bytes that must come within `rate_seconds`; 0: any rate")] = (
        10_240
    )
    rate_seconds: Annotated[Seconds, Meta(description="the time in which `rate_bytes` must come")] = 300.0
    held: Annotated[
        int, Meta(ge=0, description="bytes of an IXFR with several sequences that wait for its end; more goes on")
    ] = 16 << 20
    allow_older: Annotated[
        bool, Meta(description="whether the answer to an IXFR may lead to an older serial than the node's")
    ] = False
    allow_out_of_zone: Annotated[
        bool, Meta(description="whether a transfer may have records outside the zone, as some old servers send them")
    ] = False


class Primary(Settings, frozen=True, kw_only=True):
    """`[[primaries]]`: where zones come from."""

    name: Annotated[Name, Meta(description="its name in logs, metrics and `forwarders.primary`")]
    address: Annotated[Endpoint, Meta(description="where it answers DNS, as the exit reaches it")]
    tunnels: Annotated[tuple[Name, ...], Meta(min_length=1, description="the ways to it, in order of preference")]
    choice: Annotated[
        Literal["ordered", "scored"],
        Meta(description="which tunnel is taken: the first that works, or the one with the shortest delay"),
    ] = "ordered"
    transfers: Annotated[
        int, Meta(ge=1, le=10_000, description="transfers from it that run at the same time; others wait")
    ] = 8
    soa_rate: Annotated[float, Meta(gt=0, le=1e6, description="SOA checks a second; more wait")] = 200.0
    soa_burst: Annotated[int, Meta(ge=1, le=1_000_000, description="SOA checks at once before the rate holds")] = 400
    keep_open: Annotated[
        float, Meta(ge=0, le=86400, description="seconds that a TCP connection to it waits for the next query; 0: none")
    ] = 5.0
    pipeline: Annotated[
        int,
        Meta(ge=1, le=1024, description="SOA checks that may wait together on one TCP connection; 1: no pipelining"),
    ] = 16
    limits: Annotated[Limits, Meta(description="of every answer")] = Limits()
    tsig_key: Annotated[
        str | None,
        Meta(description="the name of a [[tsig_keys]]; queries of nodes to this primary must be signed by it"),
    ] = None
    failover: Failover = Failover()
    tls: PrimaryTls | None = None

    @property
    def asked_at(self) -> Endpoint:
        """Where nodes would ask it without a gateway: its address, and port 53 of it where we speak TLS to it."""
        return asked_at(self.address, tls=self.tls is not None)


def asked_at(address: Endpoint, *, tls: bool) -> Endpoint:
    """See `Primary.asked_at`."""
    return Endpoint(address.address, PLAIN_PORT) if tls else address
