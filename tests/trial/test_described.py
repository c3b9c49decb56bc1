"""Described messages are those that dnspython makes, and lines that are none are counted."""

from __future__ import annotations

import io

import dns.edns
import dns.flags
import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.trial.described import (
    LINE_MOST,
    DescriptionError,
    Form,
    QueryFile,
    class_number,
    form,
    name_wire,
    type_number,
)

NAMES = st.lists(st.text("abcXYZ019-_*", min_size=1, max_size=63), min_size=1, max_size=3).map(".".join)


@given(NAMES, st.booleans())
def test_a_name_is_that_of_dnspython(text: str, dot: bool) -> None:
    assert name_wire(text + "." * dot) == dns.name.from_text(text).to_wire()


@pytest.mark.parametrize("text", [".", "a\\.b.example", "\\000\\255.example", "bücher.example"])
def test_names_with_more_in_them(text: str) -> None:
    assert name_wire(text) == dns.name.from_text(text).to_wire()


@pytest.mark.parametrize("text", ["", "a..b", "a" * 64, ".".join(["a" * 60] * 5), "\\999.x"])
def test_names_that_are_none(text: str) -> None:
    if text == "":
        assert name_wire(text) == b"\0"
        return
    with pytest.raises(DescriptionError, match="is no domain name"):
        name_wire(text)


def test_a_whole_query_reads_as_it_was_described() -> None:
    how = form("rd,CD", "QUERY", None, True, ["NSID", "OPTION65001:0a0b", "ECS:00011800c00002"])
    told = dns.message.from_wire(how.message(name_wire("www.example.com"), 28, 1, 7))
    assert (told.id, str(told.question[0])) == (7, "www.example.com. IN AAAA")
    assert told.flags == dns.flags.RD | dns.flags.CD
    assert (told.edns, told.payload, told.ednsflags) == (0, 1232, dns.flags.DO)
    assert [option.otype for option in told.options] == [3, 65001, 8]
    assert told.options[1].to_wire() == b"\x0a\x0b"


@pytest.mark.parametrize(
    ("flags", "opcode", "options", "text"),
    [
        ("xx", "QUERY", [], "--flags: 'xx' is none of aa"),
        ("", "QUERRY", [], "--opcode"),
        ("", "QUERY", ["NSIDD"], "--option: 'NSIDD'"),
        ("", "QUERY", ["NSID:0"], "hexadecimal"),
    ],
)
def test_what_makes_no_query(flags: str, opcode: str, options: list[str], text: str) -> None:
    with pytest.raises(DescriptionError, match=text):
        form(flags, opcode, None, False, options)
    with pytest.raises(DescriptionError, match='did you mean "AAAA"'):
        type_number("AAAAA")
    with pytest.raises(DescriptionError, match="class"):
        class_number("INN")


def test_lines_of_a_file() -> None:
    long = b"a" * (2 * LINE_MOST) + b" A\n"
    lines = (
        b"; comment\n\n# more\nexample.com SOA\n" + long + b"www.example.com\r\nx TYPE65535\r\n\xff A\nb TYPO\nlast A"
    )
    file = QueryFile(io.BytesIO(lines), Form())
    told = [str(dns.message.from_wire(wire).question[0]) for wire in file.messages()]
    assert told == ["example.com. IN SOA", "x. IN TYPE65535", "last. IN A"]
    assert file.bad == 4
    assert [text.partition(":")[0] for text in file.first] == ["line 5", "line 6", "line 8"]
    assert file.offset == len(lines)


@given(st.binary(max_size=200))
def test_any_lines(content: bytes) -> None:
    file = QueryFile(io.BytesIO(content), Form(size=1232))
    count = sum(1 for _ in file.messages())
    assert count + file.bad <= content.count(b"\n") + 1
