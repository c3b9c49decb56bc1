"""Settings of the filters, `[filters]`. The classes are the schema: `gateway.config` reads the TOML by their fields."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from filters.settings.base import Settings
from filters.settings.blocks import DEFAULT_RULES, BlockSettings, DynamicBlock
from filters.settings.checks import Checks, ErrorBudget
from filters.settings.cookies import Cookies
from filters.settings.limits import RateLimit
from filters.settings.lists import FilterList
from filters.settings.responses import ResponseLimits
from filters.settings.rules import ExtendedError, Rule, When

__all__ = [
    "BlockSettings",
    "Checks",
    "Cookies",
    "DynamicBlock",
    "ErrorBudget",
    "ExtendedError",
    "FilterList",
    "FilterSettings",
    "RateLimit",
    "ResponseLimits",
    "Rule",
    "When",
]


class FilterSettings(Settings, frozen=True, kw_only=True):
    """`[filters]`: what is let in."""

    zones: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description='served zones; other names are REFUSED within the error budget; "*" passes all'),
    ] = ("*",)
    lists: tuple[FilterList, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    response_limits: ResponseLimits | None = None
    table_size: Annotated[
        int, Meta(ge=1024, le=1 << 26, description="buckets kept in shared memory, 18 bytes each; taken at start")
    ] = 1 << 18
    checks: Checks = Checks()
    error_budget: ErrorBudget = ErrorBudget()
    cookies: Cookies = Cookies()
    rules: tuple[Rule, ...] = ()
    memory: Annotated[
        int, Meta(ge=1 << 16, le=1 << 40, description="bytes that the compiled zones and rules may take in each worker")
    ] = 256 << 20
    blocks: BlockSettings = BlockSettings()
    dynamic_blocks: tuple[DynamicBlock, ...] = DEFAULT_RULES
