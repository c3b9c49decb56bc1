"""From the settings of the filters to the immutable policy that the data plane applies."""

from __future__ import annotations

import dns.exception
import dns.name

from dataplane import Policy
from filters.errors import FilterError
from filters.settings import FilterSettings

# As a zone of `filters.zones`: names of no listed zone pass as well.
ANY_ZONE = "*"


def compile_policy(settings: FilterSettings) -> Policy:
    """The policy that these settings describe.

    Raises:
        FilterError: a zone is not a domain name, or a number is out of range; the text names the value.
    """
    checks, budget = settings.checks, settings.error_budget
    try:
        return Policy(
            zones=[zone_wire(zone) for zone in settings.zones if zone != ANY_ZONE],
            pass_all=ANY_ZONE in settings.zones,
            rate_limits=[
                (limit.key, limit.rate, limit.burst or 2 * limit.rate, limit.prefix_v4, limit.prefix_v6, limit.action)
                for limit in settings.rate_limits
            ],
            checks=(checks.tc_bit, checks.trailing_bytes, checks.any_over_udp, checks.chaos),
            error_budget=(budget.rate, budget.prefix_rate),
        )
    except ValueError as error:
        raise FilterError(f"filters: {error}") from None


def zone_wire(zone: str) -> bytes:
    """The absolute name of `zone` in wire form. Letters beyond ASCII are taken as IDNA (RFC 3490).

    Raises:
        FilterError: not a domain name.
    """
    try:
        return dns.name.from_text(zone).to_wire()
    except dns.exception.DNSException as error:
        raise FilterError(f'{zone!r} is not a domain name: {error}; write one such as "example.com"') from None
