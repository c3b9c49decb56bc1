//! The table of `docs/wire-check.md`, row by row: what is sent, over what, and what is said to it.
//!
//! `ok` passes, `drop` stays silent, the others are the RCODE of the reply; `tc` is an empty truncated reply.

mod common;

use common::{Message, name, opcode, option};
use wire::{Checks, Reaction, Reason, Transport, check_query};

const UDP: Transport = Transport::Udp;
const TCP: Transport = Transport::Tcp;

fn choosing(reason: Reason, word: &str) -> Checks {
    let mut checks = Checks::default();
    checks.choose(reason, word).expect("the row has this choice");
    checks
}

fn outcome(message: &[u8], transport: Transport, checks: &Checks) -> (&'static str, Reason) {
    match check_query(message, transport, checks) {
        Ok(_) => ("ok", Reason::Ok),
        Err(fault) => {
            let reaction = match fault.reaction {
                Reaction::Drop => "drop",
                Reaction::Reply { rcode: 0, truncated: true } => "tc",
                Reaction::Reply { rcode: 1, .. } => "formerr",
                Reaction::Reply { rcode: 4, .. } => "notimp",
                Reaction::Reply { rcode: 5, .. } => "refused",
                Reaction::Reply { rcode: 16, .. } => "badvers",
                Reaction::Reply { .. } => "unexpected",
            };
            (reaction, fault.reason)
        }
    }
}

type Row = (&'static str, Message, Transport, &'static str, Reason);

#[track_caller]
fn check(rows: Vec<Row>) {
    for (what, message, transport, reaction, reason) in rows {
        let found = outcome(&message.bytes(), transport, &Checks::default());
        assert_eq!(found, (reaction, reason), "{what}");
    }
}

#[test]
fn rows_1_to_3_and_21_size_and_direction() {
    let long = |length| Message::query(1).opt(&option(65001, &vec![0; length]));
    let update =
        |length| Message::with_flags(opcode(5)).question("example.com", 6, 1).opt(&option(65001, &vec![0; length]));
    check(vec![
        ("no bytes after the counts are fine for a header", Message::default(), UDP, "formerr", Reason::QuestionCount),
        ("a response", Message::query(1).flags(0x8100), UDP, "drop", Reason::IsResponse),
        ("a response with an error", Message::query(1).flags(0x8101), UDP, "drop", Reason::IsResponse),
        ("1500 bytes over UDP", long(1500 - 48), UDP, "ok", Reason::Ok),
        ("1501 bytes over UDP", long(1501 - 48), UDP, "drop", Reason::TooLarge),
        ("4096 bytes over TCP", long(4096 - 48), TCP, "ok", Reason::Ok),
        ("4097 bytes over TCP", long(4097 - 48), TCP, "drop", Reason::TooLarge),
        ("an UPDATE of 64,000 bytes over TCP", update(64_000), TCP, "ok", Reason::Ok),
        ("an UPDATE of 1501 bytes over UDP", update(1501 - 44), UDP, "drop", Reason::TooLarge),
    ]);
    for length in 0..12 {
        let found = outcome(&Message::query(1).bytes()[..length], UDP, &Checks::default());
        assert_eq!(found, ("drop", Reason::TooShort), "{length} bytes");
    }
}

#[test]
fn rows_4_to_7_flags_and_opcode() {
    let query = |flags| Message::query(1).flags(flags);
    check(vec![
        ("TC is ignored by default", query(0x0300), UDP, "ok", Reason::Ok),
        ("AA, RA, Z, AD and CD are ignored", query(0x05f0), UDP, "ok", Reason::Ok),
        ("IQUERY", query(opcode(1)), UDP, "notimp", Reason::Opcode),
        ("STATUS", query(opcode(2)), UDP, "notimp", Reason::Opcode),
        ("opcode 3", query(opcode(3)), UDP, "notimp", Reason::Opcode),
        ("DSO over TCP", query(opcode(6)).counts([0; 4]), TCP, "notimp", Reason::Opcode),
        ("opcode 15", query(opcode(15)), UDP, "notimp", Reason::Opcode),
        ("the opcode counts before the counts", query(opcode(2)).counts([9; 4]), UDP, "notimp", Reason::Opcode),
        ("RCODE 1 in a query", query(0x0101), UDP, "formerr", Reason::RcodeSet),
        ("RCODE 15 in a NOTIFY", query(opcode(4) | 15), UDP, "formerr", Reason::RcodeSet),
    ]);
    let drops = choosing(Reason::TcBit, "drop");
    assert_eq!(outcome(&query(0x0300).bytes(), UDP, &drops), ("drop", Reason::TcBit));
    let complains = choosing(Reason::TcBit, "formerr");
    assert_eq!(outcome(&query(0x0300).bytes(), UDP, &complains), ("formerr", Reason::TcBit));
}

#[test]
fn row_8_question_count() {
    let cookie = option(10, &[1; 8]);
    check(vec![
        ("one question", Message::query(1), UDP, "ok", Reason::Ok),
        ("two questions", Message::query(1).question("a", 1, 1), UDP, "formerr", Reason::QuestionCount),
        ("65535 questions", Message::query(1).counts([65535, 0, 0, 0]), UDP, "formerr", Reason::QuestionCount),
        ("none", Message::with_flags(0), UDP, "formerr", Reason::QuestionCount),
        ("a cookie-only query", Message::with_flags(0).opt(&cookie), UDP, "ok", Reason::Ok),
        ("OPT without a cookie", Message::with_flags(0).opt(&[]), UDP, "formerr", Reason::QuestionCount),
        ("cookie only, with TSIG", Message::with_flags(0).opt(&cookie).tsig(), UDP, "formerr", Reason::QuestionCount),
        (
            "a NOTIFY without a question",
            Message::with_flags(opcode(4)).opt(&cookie),
            UDP,
            "formerr",
            Reason::QuestionCount,
        ),
        (
            "an UPDATE without a zone",
            Message::with_flags(opcode(5)).opt(&cookie),
            UDP,
            "formerr",
            Reason::QuestionCount,
        ),
    ]);
}

#[test]
fn rows_9_to_11_record_counts() {
    let notify = || Message::with_flags(opcode(4) | 0x0400).question("example.com", 6, 1);
    let ixfr = || Message::with_flags(0).question("example.com", 251, 1);
    let many_soa = |count: usize| (0..count).fold(ixfr(), |message, _| message.soa(2));
    let extra = |count: usize| (0..count).fold(Message::query(1), |m, _| m.record(3, &[0], (1, 1), 0, &[0; 4]));
    check(vec![
        ("an answer in a query", Message::query(1).soa(1), UDP, "formerr", Reason::AnswerCount),
        ("NOTIFY, with AA as RFC 1996 says", notify(), UDP, "ok", Reason::Ok),
        ("NOTIFY with the new SOA", notify().soa(1), UDP, "ok", Reason::Ok),
        ("NOTIFY with two", notify().soa(1).soa(1), UDP, "formerr", Reason::AnswerCount),
        ("NOTIFY with authority", notify().soa(2), UDP, "formerr", Reason::AuthorityCount),
        ("authority in a query", Message::query(1).soa(2), UDP, "formerr", Reason::AuthorityCount),
        ("authority in an AXFR", Message::query(252).soa(2), TCP, "formerr", Reason::AuthorityCount),
        ("IXFR with the client's SOA", many_soa(1), UDP, "ok", Reason::Ok),
        ("IXFR without one", ixfr(), UDP, "ok", Reason::Ok),
        ("IXFR with 64", many_soa(64), TCP, "ok", Reason::Ok),
        ("IXFR with 65", many_soa(65), TCP, "formerr", Reason::AuthorityCount),
        ("NOTIFY of type IXFR with authority", many_soa(1).flags(opcode(4)), UDP, "formerr", Reason::AuthorityCount),
        ("two additional records", extra(2), UDP, "ok", Reason::Ok),
        ("three additional records", extra(3), UDP, "formerr", Reason::AdditionalCount),
        ("OPT and TSIG", Message::query(1).opt(&[]).tsig(), UDP, "ok", Reason::Ok),
    ]);
}

#[test]
fn row_11_opt_and_signatures() {
    let sig0 = |message: Message| message.record(3, &[0], (24, 255), 0, &[0; 30]);
    let a = |message: Message| message.record(3, &[0], (1, 1), 0, &[0; 4]);
    let query = || Message::query(1);
    check(vec![
        ("two OPT", query().opt(&[]).opt(&[]), UDP, "formerr", Reason::OptDuplicate),
        ("OPT with an owner", query().record(3, &name("a"), (41, 512), 0, &[]), UDP, "formerr", Reason::OptOwner),
        (
            "OPT with a pointer to a root",
            query().record(3, &[0xc0, 28], (41, 512), 0, &[]),
            UDP,
            "formerr",
            Reason::OptOwner,
        ),
        (
            "OPT as an answer",
            Message::with_flags(opcode(4)).question("a", 6, 1).record(1, &[0], (41, 512), 0, &[]),
            UDP,
            "formerr",
            Reason::OptMisplaced,
        ),
        ("TSIG alone", query().tsig(), UDP, "ok", Reason::Ok),
        ("TSIG before OPT", query().tsig().opt(&[]), UDP, "formerr", Reason::SignatureMisplaced),
        ("two TSIG", query().tsig().tsig(), UDP, "formerr", Reason::SignatureMisplaced),
        ("TSIG of class IN", query().record(3, &name("key"), (250, 1), 0, &[0; 40]), UDP, "formerr", Reason::TsigClass),
        (
            "TSIG in authority",
            Message::with_flags(opcode(5)).question("a", 6, 1).record(2, &name("key"), (250, 255), 0, &[]),
            UDP,
            "formerr",
            Reason::SignatureMisplaced,
        ),
        ("SIG(0)", sig0(query().opt(&[])), UDP, "ok", Reason::Ok),
        ("SIG(0) before another", a(sig0(query())), UDP, "formerr", Reason::SignatureMisplaced),
        (
            "SIG over a type is no signature of the message",
            a(query().record(3, &[0], (24, 1), 0, &[0, 1, 5, 3])),
            UDP,
            "ok",
            Reason::Ok,
        ),
    ]);
}

#[test]
fn rows_12_and_13_name() {
    let query = |name: &[u8]| Message::with_flags(0).raw_question(name, 1, 1);
    let cut = |body: &[u8]| Message::with_flags(0).raw(body).counts([1, 0, 0, 0]);
    let longest = [&b"\x01a".repeat(127)[..], &[0]].concat();
    let too_long = [&b"\x01a".repeat(126)[..], b"\x02aa", &[0]].concat();
    let label_63 = [&[63][..], &[b'x'; 63], &[0]].concat();
    check(vec![
        ("the root", query(&[0]), UDP, "ok", Reason::Ok),
        ("a label of 63", query(&label_63), UDP, "ok", Reason::Ok),
        ("127 labels, 255 bytes", query(&longest), UDP, "ok", Reason::Ok),
        ("256 bytes", query(&too_long), UDP, "formerr", Reason::NameTooLong),
        ("any octet", query(b"\x05\x00\xff. \\\x00"), UDP, "ok", Reason::Ok),
        ("label type 01", query(b"\x41a\x00"), UDP, "formerr", Reason::NameLabelType),
        ("label type 10", query(b"\x81a\x00"), UDP, "formerr", Reason::NameLabelType),
        ("a pointer to the header", query(&[0xc0, 0]), UDP, "formerr", Reason::NameCompressed),
        ("a pointer to itself", query(&[0xc0, 12]), UDP, "formerr", Reason::NameCompressed),
        ("a pointer behind a label", query(b"\x01a\xc0\x0c"), UDP, "formerr", Reason::NameCompressed),
        ("no name at all", cut(b""), UDP, "formerr", Reason::NameCut),
        ("no root", cut(b"\x01a"), UDP, "formerr", Reason::NameCut),
        ("a label past the end", cut(b"\x3fa"), UDP, "formerr", Reason::NameCut),
        ("half a type", cut(b"\x01a\x00\x00"), UDP, "formerr", Reason::QuestionCut),
        ("half a class", cut(b"\x01a\x00\x00\x01\x00"), UDP, "formerr", Reason::QuestionCut),
    ]);
}

#[test]
fn rows_14_and_15_types_and_classes() {
    let notify = |qtype| Message::with_flags(opcode(4)).question("a", qtype, 1);
    let class = |qclass| Message::with_flags(0).question("version.bind", 16, qclass);
    check(vec![
        ("type 0", Message::query(0), UDP, "formerr", Reason::QtypeZero),
        ("OPT", Message::query(41), UDP, "formerr", Reason::QtypeMeta),
        ("TSIG", Message::query(250), UDP, "formerr", Reason::QtypeMeta),
        ("TKEY", Message::query(249), TCP, "refused", Reason::TkeyRefused),
        ("AXFR over UDP", Message::query(252), UDP, "formerr", Reason::AxfrOverUdp),
        ("AXFR over TCP", Message::query(252), TCP, "ok", Reason::Ok),
        ("AXFR over TLS", Message::query(252), Transport::Tls, "ok", Reason::Ok),
        ("IXFR over UDP", Message::query(251), UDP, "ok", Reason::Ok),
        ("ANY over UDP", Message::query(255), UDP, "tc", Reason::AnyOverUdp),
        ("ANY over TCP", Message::query(255), TCP, "ok", Reason::Ok),
        ("MAILA and MAILB are the backend's to answer", Message::query(254), UDP, "ok", Reason::Ok),
        ("a private type", Message::query(65280), UDP, "ok", Reason::Ok),
        ("NOTIFY of CDS (RFC 9859)", notify(59), UDP, "ok", Reason::Ok),
        ("NOTIFY of AXFR", notify(252), UDP, "formerr", Reason::QtypeMeta),
        ("NOTIFY of ANY", notify(255), UDP, "formerr", Reason::QtypeMeta),
        (
            "an UPDATE whose zone is not SOA",
            Message::with_flags(opcode(5)).question("a", 1, 1),
            UDP,
            "formerr",
            Reason::UpdateZoneType,
        ),
        ("class CH", class(3), UDP, "refused", Reason::ChaosRefused),
        ("class HS", class(4), UDP, "refused", Reason::ClassRefused),
        ("class 0", class(0), UDP, "refused", Reason::ClassRefused),
        ("class NONE", class(254), UDP, "refused", Reason::ClassRefused),
        ("class ANY", class(255), UDP, "refused", Reason::ClassRefused),
    ]);
    let chaos = choosing(Reason::ChaosRefused, "pass");
    assert_eq!(outcome(&class(3).bytes(), UDP, &chaos), ("ok", Reason::Ok));
    let notify_chaos = class(3).flags(opcode(4));
    assert_eq!(outcome(&notify_chaos.bytes(), UDP, &chaos), ("refused", Reason::ChaosRefused));
    let silent = choosing(Reason::ChaosRefused, "drop");
    assert_eq!(outcome(&notify_chaos.bytes(), UDP, &silent), ("drop", Reason::ChaosRefused), "the choice is for all");
    let refuse_any = choosing(Reason::AnyOverUdp, "refuse");
    assert_eq!(outcome(&Message::query(255).bytes(), UDP, &refuse_any), ("refused", Reason::AnyOverUdp));
    let pass_any = choosing(Reason::AnyOverUdp, "pass");
    assert_eq!(outcome(&Message::query(255).bytes(), UDP, &pass_any), ("ok", Reason::Ok));
}

#[test]
fn row_16_edns() {
    let cookie = |length| Message::query(1).opt(&option(10, &vec![1; length]));
    let version = |version: u32, options: &[u8]| Message::query(1).record(3, &[0], (41, 1232), version << 16, options);
    let mut rows: Vec<Row> = vec![
        ("version 1", version(1, &[]), UDP, "badvers", Reason::EdnsVersion),
        ("version 255 with options that are not ours to read", version(255, &[1]), UDP, "badvers", Reason::EdnsVersion),
        (
            "version 1 and a refused class: the version first",
            Message::with_flags(0).question("a", 1, 4).record(3, &[0], (41, 1232), 1 << 16, &[]),
            UDP,
            "badvers",
            Reason::EdnsVersion,
        ),
        ("one byte of options", Message::query(1).opt(&[0]), UDP, "formerr", Reason::EdnsOptions),
        ("an option longer than OPT", Message::query(1).opt(&[0, 3, 0, 1]), UDP, "formerr", Reason::EdnsOptions),
        ("an option of 65535", Message::query(1).opt(&[0, 3, 255, 255]), UDP, "formerr", Reason::EdnsOptions),
        ("a byte behind the last option", Message::query(1).opt(&[0, 3, 0, 0, 7]), UDP, "formerr", Reason::EdnsOptions),
        ("NSID, empty", Message::query(1).opt(&option(3, &[])), UDP, "ok", Reason::Ok),
        ("TCP keepalive over UDP is ignored", Message::query(1).opt(&option(11, &[])), UDP, "ok", Reason::Ok),
        (
            "unknown options",
            Message::query(1).opt(&[option(65001, &[1]), option(65001, &[2; 99])].concat()),
            UDP,
            "ok",
            Reason::Ok,
        ),
        (
            "the second cookie is ignored",
            Message::query(1).opt(&[option(10, &[1; 8]), option(10, &[])].concat()),
            UDP,
            "ok",
            Reason::Ok,
        ),
        (
            "OPT past the end",
            Message::query(1).raw(b"\0\0\x29\x04\xd0\0\0\0\0\0\x01").counts([1, 0, 0, 1]),
            UDP,
            "formerr",
            Reason::RecordCut,
        ),
    ];
    for length in 0..=64 {
        let good = matches!(length, 8 | 16..=40);
        let (reaction, reason) = if good { ("ok", Reason::Ok) } else { ("formerr", Reason::EdnsCookie) };
        rows.push(("a cookie", cookie(length), UDP, reaction, reason));
    }
    check(rows);
}

#[test]
fn row_17_trailing_bytes_and_record_bounds() {
    let query = || Message::query(1);
    let cut = |body: &[u8]| query().raw(body).counts([1, 0, 0, 1]);
    check(vec![
        ("a byte behind the question", query().raw(&[0]), UDP, "formerr", Reason::TrailingBytes),
        ("a byte behind OPT", query().opt(&[]).raw(&[0]), UDP, "formerr", Reason::TrailingBytes),
        ("a second message behind the first", query().raw(&query().bytes()), TCP, "formerr", Reason::TrailingBytes),
        ("a record that is not there", query().counts([1, 0, 0, 1]), UDP, "formerr", Reason::RecordName),
        ("a record of a name alone", cut(&[0]), UDP, "formerr", Reason::RecordCut),
        ("a record without RDLEN", cut(&[0, 0, 1, 0, 1, 0, 0, 0, 0]), UDP, "formerr", Reason::RecordCut),
        ("RDATA past the end", cut(&[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 9, 1]), UDP, "formerr", Reason::RecordCut),
        ("an owner of label type 01", cut(b"\x41a\0"), UDP, "formerr", Reason::RecordName),
    ]);
    let message = query().raw(&[0]).bytes();
    for (choice, expected) in [
        ("pass", ("ok", Reason::Ok)),
        ("formerr", ("formerr", Reason::TrailingBytes)),
        ("drop", ("drop", Reason::TrailingBytes)),
    ] {
        let checks = choosing(Reason::TrailingBytes, choice);
        assert_eq!(outcome(&message, UDP, &checks), expected);
    }
}

#[test]
fn update_sections_are_walked_as_they_are() {
    // RFC 2136 section 2.4 and 2.5: classes ANY and NONE, empty RDATA, any number of records.
    let update = || Message::with_flags(opcode(5)).question("example.com", 6, 1);
    let delete_all = |message: Message| message.record(2, &name("old.example.com"), (255, 255), 0, &[]);
    let delete_one = |message: Message| message.record(2, &[0xc0, 12], (1, 254), 0, &[192, 0, 2, 1]);
    let absent = |message: Message| message.record(1, &[0xc0, 12], (1, 254), 0, &[]);
    let many = (0..1000).fold(update(), |message, _| delete_one(message));
    check(vec![
        ("prerequisite and changes", delete_one(delete_all(absent(update()))), UDP, "ok", Reason::Ok),
        ("signed", delete_one(update()).tsig(), UDP, "ok", Reason::Ok),
        (
            "with glue",
            delete_one(update())
                .record(3, &[0], (1, 1), 0, &[0; 4])
                .record(3, &[0], (1, 1), 0, &[0; 4])
                .record(3, &[0], (1, 1), 0, &[0; 4])
                .tsig(),
            UDP,
            "ok",
            Reason::Ok,
        ),
        ("a thousand changes", many.clone(), TCP, "ok", Reason::Ok),
        ("one fewer than the count says", many.counts([1, 0, 1001, 0]), TCP, "formerr", Reason::RecordName),
        ("of class CH", Message::with_flags(opcode(5)).question("a", 6, 3), UDP, "refused", Reason::ChaosRefused),
    ]);
}

#[test]
fn pointers_lead_strictly_backwards() {
    // The question is at 12 to 33, the record at 33.
    let pointing = |target: u16| Message::query(1).record(3, &(0xc000 | target).to_be_bytes(), (1, 1), 0, &[]);
    check(vec![
        ("to the question", pointing(12), UDP, "ok", Reason::Ok),
        ("to a label of it", pointing(16), UDP, "ok", Reason::Ok),
        ("into the header", pointing(11), UDP, "formerr", Reason::RecordName),
        ("to the start", pointing(0), UDP, "formerr", Reason::RecordName),
        ("to itself", pointing(33), UDP, "formerr", Reason::RecordName),
        ("forwards", pointing(34), UDP, "formerr", Reason::RecordName),
        ("past the end", pointing(0x3fff), UDP, "formerr", Reason::RecordName),
        (
            "to its own first label",
            Message::query(1).record(3, b"\x01a\xc0\x21", (1, 1), 0, &[]),
            UDP,
            "formerr",
            Reason::RecordName,
        ),
        ("half a pointer", Message::query(1).raw(&[0xc0]).counts([1, 0, 0, 1]), UDP, "formerr", Reason::RecordName),
    ]);
}

#[test]
fn what_is_read_is_what_was_sent() {
    let message =
        Message::with_flags(0x0110).question("WwW.example", 28, 1).record(3, &[0], (41, 100), 0x8000, &[]).tsig();
    let bytes = message.bytes();
    let query = check_query(&bytes, UDP, &Checks::default()).expect("passes");
    let question = query.question.expect("has a question");
    assert_eq!((query.id, query.flags, query.opcode, query.signed), (0x1234, 0x0110, 0, true));
    assert_eq!((question.name, question.labels), (&b"\x03WwW\x07example\x00"[..], 2));
    assert_eq!((question.qtype, question.qclass, question.wire_len()), (28, 1, 17));
    let edns = query.edns.expect("has EDNS");
    assert_eq!((edns.udp_size, edns.version, edns.dnssec_ok), (512, 0, true), "less than 512 counts as 512");
}

#[test]
fn a_fault_tells_what_may_be_echoed() {
    let fault = |message: &Message| check_query(&message.bytes(), UDP, &Checks::default()).expect_err("is faulty");
    let early = fault(&Message::query(1).counts([2, 0, 0, 0]));
    assert_eq!((early.question_len, early.edns), (0, None));
    let in_records = fault(&Message::query(1).opt(&[]).opt(&[]));
    assert_eq!(in_records.question_len, 21);
    assert_eq!(in_records.edns.map(|edns| edns.udp_size), Some(1232));
    let meaning = fault(&Message::query(0).opt(&[]));
    assert_eq!((meaning.question_len, meaning.edns.is_some()), (21, true));
}

#[test]
fn every_reason_stands_in_the_documentation() {
    let page = include_str!("../../../../docs/wire-check.md");
    for reason in Reason::ALL {
        assert!(page.contains(&format!("`{}`", reason.label())), "{}", reason.label());
    }
}
