"""Settings of lists, `[[filters.lists]]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from filters.settings.base import Settings

Name = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class FilterList(Settings, frozen=True, kw_only=True):
    """`[[filters.lists]]`: clients and names, and what becomes of their queries; before rules and rate limits.

    The lists are asked in their order, and the first that knows the client or the name decides. A list comes from
    one of `file`, `url` and `primary`. A new version is taken into use whole; when it can't be, the last good one
    stays, over a restart too. See docs/lists.md.
    """

    name: Annotated[Name, Meta(description="its name in logs and metrics, and for rules")]
    file: Annotated[str | None, Meta(min_length=1, description="a file, relative to this one; watched for change")] = (
        None
    )
    url: Annotated[
        str | None, Meta(min_length=1, max_length=2048, description="where it is fetched from, https:// only")
    ] = None
    primary: Annotated[Name | None, Meta(description="the primary that an RPZ is transferred from")] = None
    zone: Annotated[
        str | None, Meta(description="the name of an RPZ; for a file only if that does not say it itself")
    ] = None
    tunnels: Annotated[tuple[Name, ...], Meta(description="for `url`: the ways to it, in order of preference")] = ()
    address: Annotated[
        str | None, Meta(description="for `url`: the IP address of its host, which is what the tunnel opens")
    ] = None
    ca: Annotated[
        str | None, Meta(min_length=1, description="for `url`: a file of CA certificates instead of the system's")
    ] = None
    refresh: Annotated[
        float, Meta(ge=10, le=604800, description="for `url` and `primary`: seconds from one look for news to the next")
    ] = 3600.0
    max_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 32, description="for `url` and `primary`: a longer source is refused")
    ] = 1 << 28
    max_entries: Annotated[
        int, Meta(ge=1, le=100_000_000, description="a list with more is refused; one takes about 50 bytes")
    ] = 5_000_000
    format: Annotated[Literal["plain", "hosts", "csv", "rpz"], Meta(description="how it is written")] = "plain"
    column: Annotated[int | None, Meta(ge=1, le=1000, description="for `csv`: the column that is read, from 1")] = None
    kind: Annotated[
        Literal["names", "prefixes"] | None,
        Meta(description="what entries of plain and csv are; not given: whatever each one is"),
    ] = None
    subdomains: Annotated[bool, Meta(description="a name of plain, hosts or csv covers all names below it")] = False
    garbage: Annotated[
        Literal["skip", "refuse"],
        Meta(description="a line that is no entry is skipped and counted, or refuses the list"),
    ] = "skip"
    action: Annotated[
        Literal["drop", "refuse", "nxdomain", "nodata", "truncate", "allow", "none"] | None,
        Meta(
            description="what becomes of a query; allow: no later list is asked; none: the list is for rules only; "
            "to be left out only for rpz, where the zone says it"
        ),
    ] = None

    @property
    def is_remote(self) -> bool:
        """Whether the transfer process fetches it."""
        return self.url is not None or self.primary is not None
