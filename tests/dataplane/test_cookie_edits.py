"""dnspython as oracle of the cookie edits: what we change, it reads as the same message with another option."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st

from dataplane import put_cookie, strip_cookies

COOKIE = (b"12345678", b"\1\2\3\4", b"87654321")
VALUE = b"12345678" + b"\1\0\0\0" + b"\1\2\3\4" + b"87654321"
OPTION = (10, VALUE)

lengths = st.sampled_from([8, 16, 24, 40])
cookies = lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length)).map(lambda value: (10, value))
others = st.tuples(st.integers(100, 65535), st.binary(max_size=40))
hosts = st.sampled_from(["www.example.com.", "a.b.example.com.", "example.com.", "mail.example.org."])
records = st.sampled_from(
    ["A 192.0.2.1", "AAAA 2001:db8::1", "MX 5 mail.example.com.", "NS ns.example.com.", 'TXT "text" "more"']
)


def generic(options: list[tuple[int, bytes]]) -> list[dns.edns.Option]:
    return [dns.edns.GenericOption(dns.edns.OptionType.make(code), value) for code, value in options]


def options_of(message: dns.message.Message) -> list[tuple[int, bytes]]:
    return [(int(option.otype), option.to_wire() or b"") for option in message.options]


@st.composite
def answers(draw: st.DrawFn) -> dns.message.Message:
    """Answers of a server: any records in any section, OPT with any options."""
    query = dns.message.make_query("www.example.com", draw(st.sampled_from(["A", "MX", "TYPE65280"])))
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.AA
    for section in (answer.answer, answer.authority, answer.additional):
        for host, record in draw(st.lists(st.tuples(hosts, records), max_size=4, unique=True)):
            kind, _, text = record.partition(" ")
            section.append(dns.rrset.from_text(host, 300, "IN", kind, text))
    options = draw(st.lists(st.one_of(cookies, others), max_size=4))
    answer.use_edns(0, payload=1232, options=generic(options))
    answer.set_rcode(draw(st.sampled_from([dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.BADVERS])))
    return answer


@given(answers())
def test_an_answer_keeps_all_but_its_cookies(answer: dns.message.Message) -> None:
    before = [option for option in options_of(answer) if option[0] != 10]
    edited = put_cookie(answer.to_wire(), COOKIE, 65_535)
    assert edited is not None
    read = dns.message.from_wire(edited)
    assert options_of(read) == [*before, OPTION]
    assert (read.question, read.answer, read.authority) == (answer.question, answer.answer, answer.authority)
    assert read.additional == answer.additional
    assert (read.id, read.flags, read.rcode(), read.payload) == (answer.id, answer.flags, answer.rcode(), 1232)


@given(answers(), st.integers(0, 2))
def test_what_does_not_fit_is_truncated(answer: dns.message.Message, short: int) -> None:
    whole = put_cookie(answer.to_wire(), COOKIE, 65_535)
    assert whole is not None
    edited = put_cookie(answer.to_wire(), COOKIE, len(whole) - 1 - short)
    bare = 12 + len(answer.question[0].name.to_digestable()) + 4 + 11 + 28
    if len(whole) - 1 - short < bare:
        assert edited is None
        return
    assert edited is not None
    read = dns.message.from_wire(edited)
    assert (len(edited), read.question, options_of(read)) == (bare, answer.question, [OPTION])
    assert read.flags == answer.flags | dns.flags.TC
    assert (read.rcode(), read.answer, read.authority, read.additional) == (answer.rcode(), [], [], [])


@given(st.lists(st.one_of(cookies, others), max_size=5), st.integers(512, 65535), st.booleans())
def test_a_query_keeps_all_but_its_cookies(options: list[tuple[int, bytes]], size: int, want_dnssec: bool) -> None:
    query = dns.message.make_query(
        "www.Example.com", "A", use_edns=0, payload=size, want_dnssec=want_dnssec, options=generic(options)
    )
    read = dns.message.from_wire(strip_cookies(query.to_wire()))
    has_cookie = any(code == 10 for code, _ in options)
    assert options_of(read) == [option for option in options if option[0] != 10]
    assert (read.id, read.flags, read.question, read.ednsflags) == (
        query.id,
        query.flags,
        query.question,
        query.ednsflags,
    )
    assert read.payload == (size - 28 if has_cookie and size >= 540 else size)


@given(st.binary(max_size=300), st.integers(0, 70_000))
def test_any_bytes_are_left_alone_or_edited(message: bytes, room: int) -> None:
    edited = put_cookie(message, COOKIE, room)
    assert edited is None or len(edited) <= min(room, len(message) + 28)
    assert len(strip_cookies(message)) <= len(message)
