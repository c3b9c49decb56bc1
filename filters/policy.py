"""From the settings of the filters to the immutable policy that the data plane applies."""

from __future__ import annotations

import dns.exception
import dns.name

from dataplane import Policy
from filters.errors import FilterError
from filters.settings import FilterSettings, RateLimit

# As a zone of `filters.zones`: names of no listed zone pass as well.
ANY_ZONE = "*"
# The largest rate and burst that the data plane takes.
MOST = 100_000_000


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
                (limit.key, limit.rate, _burst(limit), limit.prefix_v4, limit.prefix_v6, limit.action)
                for limit in settings.rate_limits
            ],
            checks=(checks.tc_bit, checks.trailing_bytes, checks.any_over_udp, checks.chaos),
            error_budget=(budget.rate, budget.prefix_rate),
        )
    except ValueError as error:
        raise FilterError(f"filters: {error}") from None


def zone_wire(zone: str) -> bytes:
    """The name of `zone` in wire form (RFC 1035 section 3.1), in lower case. Letters beyond ASCII are taken as IDNA.

    Raises:
        FilterError: not a domain name, or one that is surely not meant.
    """
    if zone in {"", "@"}:
        raise _refusal(zone, 'the root zone is written "."')
    if zone.startswith("*."):
        raise _refusal(zone, f"a zone covers all names below it; write {zone[2:]!r}")
    if any(character.isspace() or not character.isprintable() for character in zone):
        raise _refusal(zone, "it has a space or control character; one that is really meant is written \\032")
    try:
        return dns.name.from_text(zone).to_digestable()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise _refusal(zone, str(error)) from None


def _refusal(zone: str, why: str) -> FilterError:
    return FilterError(f'filters.zones: {zone!r} is not a domain name: {why}; write one such as "example.com"')


def _burst(limit: RateLimit) -> int:
    return limit.burst if limit.burst is not None else min(2 * limit.rate, MOST)
