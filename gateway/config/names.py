"""Domain names as operators write them (RFC 1035 section 5.1): checked here, so that an error comes with its line.

Labels of 1 to 63 octets between dots, at most 255 octets on the wire with the length octets and the root; `\\DDD` and
`\\X` stand for one octet. The last dot may be left out.
"""

from __future__ import annotations

import re

_OCTET = re.compile(r"\\([0-9]{3})|\\([^0-9])|([^\\.])")


def check_name(text: str) -> None:
    """Whether the text is a domain name.

    Raises:
        ValueError: with what is wrong.
    """
    if not text.isascii():
        raise ValueError("write an internationalised name in its A-label form (xn--…)")
    if text == ".":
        return
    if not text:
        raise ValueError('write a domain name; the root is "."')
    total = 1
    position = 0
    while position < len(text):
        length, position = _label(text, position)
        total += 1 + length
    if total > 255:
        raise ValueError(f"a domain name has at most 255 octets on the wire; this one has {total}")


def _label(text: str, position: int) -> tuple[int, int]:
    """Octets of the label at `position`, and where the next one begins."""
    length = 0
    while position < len(text) and text[position] != ".":
        octet = _OCTET.match(text, position)
        if octet is None or int(octet[1] or 0) > 255:
            raise ValueError("a backslash is followed by three digits up to 255, or by one other character")
        length += 1
        position = octet.end()
    if not 1 <= length <= 63:
        raise ValueError("each label of a domain name has 1 to 63 octets")
    return length, position + 1
