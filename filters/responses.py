"""The response limits as the data plane takes them."""

from __future__ import annotations

from filters.limits import prefix_rows
from filters.settings.responses import ResponseLimits

CLASSES = ("positive", "nodata", "nxdomain", "referral", "wildcard", "any", "dnskey", "error")


def response_row(limits: ResponseLimits | None) -> dict[str, object] | None:
    """The row of the data plane; None without limits."""
    if limits is None:
        return None
    rates = {name: getattr(limits, name) for name in CLASSES}
    return {
        "rates": {name: limits.rate if rate is None else rate for name, rate in rates.items()},
        "all": limits.all,
        "window": limits.window,
        "unit": limits.unit,
        "algorithm": limits.algorithm,
        "prefixes": (limits.prefix_v4, limits.prefix_v6),
        "slip": limits.slip,
        "observe": limits.observe,
        "exempt": prefix_rows(limits.exempt),
    }
