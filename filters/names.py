"""Names of zones as operators write them (RFC 1035 section 5.1)."""

from __future__ import annotations

import dns.exception
import dns.name

from filters.errors import FilterError

RULE = "a name is labels of 1 to 63 octets between dots, at most 255 on the wire"


def zone_wire(text: str) -> bytes:
    """The name of a zone in wire form (RFC 1035 section 3.1), in lower case. The last dot may be left out.

    Raises:
        FilterError: not a domain name, or one that is surely not meant; with what would be right.
    """
    if text in {"", "@"}:
        raise FilterError('the root zone is written "."')
    if text.startswith("*."):
        raise FilterError(f"a zone covers all names below it; write {text[2:]!r}")
    if not text.isascii():
        raise FilterError("write an internationalised name in its A-label form (xn--…)")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise FilterError("it has a space or control character; one that is really meant is written \\032")
    try:
        return dns.name.from_text(text).to_digestable()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise FilterError(f"{str(error).removesuffix('.')}; {RULE}") from None
