"""Settings of the dynamic blocks: `[filters.blocks]`, and `[[filters.dynamic_blocks]]`, the rules of the detectors."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from filters.settings.base import Settings
from filters.values import Network

Step = Literal["warn", "truncate", "drop"]


class BlockSettings(Settings, frozen=True, kw_only=True):
    """`[filters.blocks]`: what holds for all dynamic blocks.

    Backends, primaries, listed proxies and the gateway's own addresses are always exempt. What is exempt lies in no
    block, not even in a wider one, and the detectors don't look at it.
    """

    exempt: Annotated[tuple[Network, ...], Meta(description="prefixes that are never blocked")] = ()
    exempt_names: Annotated[tuple[str, ...], Meta(description="names that are never blocked, with all below them")] = ()
    most: Annotated[
        int,
        Meta(ge=1, le=100_000, description="blocks at one time; beyond them the weakest of the detectors' give way"),
    ] = 10_000
    samples: Annotated[
        int,
        Meta(
            ge=0,
            le=20_000,
            description="queries, and as many answers, that all workers together sample a second over UDP, and over "
            "TCP; 0: none, and then neither the detectors nor `zonegate top` see anything",
        ),
    ] = 2000


class DynamicBlock(Settings, frozen=True, kw_only=True):
    """`[[filters.dynamic_blocks]]`: a rule by which a detector blocks prefixes or names for a while.

    What was measured over `window` must be above `rate`, and above `ratio` if there is one. A finding that persists
    goes up the `ladder`; one that falls below `release` times the thresholds ends `duration` later. Two rules that
    only warn, on malformed messages and on random subdomains, hold unless the file has rules of its own.
    """

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=63,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
            description="its name in blocks, events and metrics",
        ),
    ]
    what: Annotated[
        Literal["queries", "response-bytes", "malformed", "rcode", "qtype", "random-subdomains"],
        Meta(
            description="what is measured: queries, bytes of answers, malformed messages, answers with the RCODE `of`, "
            "queries of the type `of`, or different names that don't exist"
        ),
    ]
    of: Annotated[
        str | None, Meta(min_length=1, max_length=16, description='the RCODE or type, such as "NXDOMAIN" or "ANY"')
    ] = None
    by: Annotated[
        Literal["prefix", "suffix"], Meta(description="for each client prefix, or for each part of the name space")
    ] = "prefix"
    prefix_v4: Annotated[int, Meta(ge=8, le=32, description="bits of an IPv4 prefix")] = 32
    prefix_v6: Annotated[int, Meta(ge=16, le=128, description="bits of an IPv6 prefix")] = 56
    suffix_labels: Annotated[
        int,
        Meta(
            ge=0,
            le=127,
            description="labels of a suffix; 0: the served zone that the name lies in, and its parent if none is named",
        ),
    ] = 0
    rate: Annotated[float, Meta(gt=0, le=1e12, description="so many a second, over the window")]
    ratio: Annotated[
        float | None,
        Meta(
            gt=0,
            le=1,
            description="also this part of all queries (malformed, qtype) or answers (rcode, random-subdomains)",
        ),
    ] = None
    window: Annotated[int, Meta(ge=1, le=60, description="seconds that are looked back")] = 10
    samples: Annotated[
        int,
        Meta(ge=1, le=10_000, description="samples of it in the window that are enough to judge; 20 err by a quarter"),
    ] = 20
    ladder: Annotated[
        tuple[Step, ...] | None,
        Meta(
            min_length=1,
            description='what is done, step by step; unless set "warn", "truncate", "drop" for a prefix, and "warn", '
            '"truncate" for a suffix',
        ),
    ] = None
    escalate_after: Annotated[
        float, Meta(gt=0, le=86_400, description="seconds that a finding persists before the next step")
    ] = 30.0
    duration: Annotated[
        float, Meta(gt=0, le=86_400, description="seconds that a block stays when the finding is over")
    ] = 60.0
    longest: Annotated[
        float,
        Meta(gt=0, le=2_592_000, description="seconds after which a block is lifted even so, to measure without it"),
    ] = 3600.0
    release: Annotated[float, Meta(gt=0, le=1, description="part of the thresholds below which a finding is over")] = (
        0.5
    )
    observe: Annotated[bool, Meta(description="only warn, whatever the ladder says")] = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """The ladder as it holds."""
        if self.observe:
            return ("warn",)
        if self.ladder is not None:
            return self.ladder
        return ("warn", "truncate", "drop") if self.by == "prefix" else ("warn", "truncate")


DEFAULT_RULES = (
    DynamicBlock(name="malformed", what="malformed", rate=50.0, ratio=0.5, observe=True),
    DynamicBlock(name="random-subdomains", what="random-subdomains", by="suffix", rate=50.0, ratio=0.5, observe=True),
)
"""They only warn: what is an attack here may be the daily traffic elsewhere."""
