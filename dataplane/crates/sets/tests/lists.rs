//! Lists: what the formats mean, that garbage is named by its line, and that no bytes make a reader panic.

use std::io::Cursor;
use std::net::IpAddr;

use proptest::prelude::*;
use sets::text::{Format, Kind, ReadError, Source, client_prefix, read};
use sets::{Effect, List, ListBuilder, ListError, Report, Why};

const MOST: usize = 1_000_000;

fn source(format: Format) -> Source {
    Source { format, kind: Kind::Either, subdomains: false, strict: false }
}

fn build(source: &Source, text: &[u8]) -> Result<(List<Vec<u8>>, Report), ReadError> {
    let mut builder = ListBuilder::new(MOST);
    read(&mut &text[..], source, &mut builder)?;
    let mut file = Cursor::new(Vec::new());
    let report = builder.write(&mut file, 7)?;
    Ok((List::open(file.into_inner()).expect("what was written can be read"), report))
}

fn good(source: &Source, text: &str) -> (List<Vec<u8>>, Report) {
    build(source, text.as_bytes()).expect("nothing stops it")
}

fn wire(name: &str) -> (Vec<u8>, u8) {
    let labels: Vec<_> = name.split('.').filter(|label| !label.is_empty()).collect();
    let mut wire: Vec<u8> = Vec::new();
    for label in &labels {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    (wire, labels.len() as u8)
}

fn asked(list: &List<Vec<u8>>, name: &str) -> Option<Effect> {
    let (name, labels) = wire(name);
    list.name(&name, labels)
}

fn from(list: &List<Vec<u8>>, address: &str) -> Option<Effect> {
    list.client(address.parse::<IpAddr>().expect("an address"))
}

const LISTED: Option<Effect> = Some(Effect::Listed);

#[test]
fn plain_lists_hold_names_addresses_and_prefixes() {
    let text = "\u{feff}# a comment\r\nbad.example\r\n\n  Worse.Example.  ; why\n*.below.example\n.all.example\n192.0.2.7\n\
        198.51.100.0/24\n2001:db8::/32\n::1";
    let (list, report) = good(&source(Format::Plain), text);
    assert_eq!((report.names, report.prefixes, report.garbage), (4, 4, 0));
    for (name, expected) in [
        ("bad.example", LISTED),
        ("x.bad.example", None),
        ("WORSE.example", LISTED),
        ("below.example", None),
        ("x.below.example", LISTED),
        ("all.example", LISTED),
        ("y.x.all.example", LISTED),
        ("example", None),
    ] {
        assert_eq!(asked(&list, name), expected, "{name}");
    }
    for (address, expected) in [
        ("192.0.2.7", LISTED),
        ("192.0.2.8", None),
        ("198.51.100.255", LISTED),
        ("2001:db8:ffff::1", LISTED),
        ("::1", LISTED),
        ("::2", None),
    ] {
        assert_eq!(from(&list, address), expected, "{address}");
    }
    assert_eq!((list.names(), list.prefixes(), list.garbage(), list.stamp()), (4, 4, 0, 7));
}

#[test]
fn subdomains_are_covered_where_asked() {
    let (list, _) = good(&Source { subdomains: true, ..source(Format::Plain) }, "bad.example\n*.worse.example\n");
    for name in ["bad.example", "x.bad.example", "worse.example", "x.worse.example"] {
        assert_eq!(asked(&list, name), LISTED, "{name}");
    }
}

#[test]
fn garbage_is_counted_with_its_line_and_why() {
    let long = format!("{}\n", "a".repeat(70_000));
    let cases: [(&str, &[u8], Why); 12] = [
        ("plain", b"<html>\n", Why::NoName),
        ("plain", b"a b\n", Why::MoreThanOne),
        ("plain", b"1.2.3\n", Why::Ambiguous),
        ("plain", b"192.0.2.0/33\n", Why::NoPrefix),
        ("plain", b"a\0b.example\n", Why::NoName),
        ("plain", b"\xff\xfe.example\n", Why::NotText),
        ("plain", b"a..example\n", Why::NoName),
        ("plain", long.as_bytes(), Why::TooLong),
        ("hosts", b"bad.example\n", Why::NoAddress),
        ("hosts", b"0.0.0.0\n", Why::NoName),
        ("csv", b"one\n", Why::NoColumn),
        ("csv", b"1,\"bad.example\n", Why::Quotes),
    ];
    for (format, line, why) in cases {
        let (format, good, ours): (_, &[u8], _) = match format {
            "hosts" => (Format::Hosts, b"0.0.0.0 good.example\n", 3),
            "csv" => (Format::Csv(1), b"1,good.example\n", 3),
            _ => (Format::Plain, b"good.example\n", 3),
        };
        let text = [good, b"\n", line, good].concat();
        let (list, report) = build(&source(format.clone()), &text).expect("garbage is skipped");
        assert_eq!(report.first, [(ours, why)], "{line:?}");
        assert_eq!((report.garbage, list.garbage(), report.names), (1, 1, 1));
        let strict = Source { strict: true, ..source(format) };
        assert!(matches!(build(&strict, &text), Err(ReadError::Garbage(3, found)) if found == why), "{line:?}");
    }
}

#[test]
fn the_kind_says_what_may_stand_in_a_list() {
    let names = Source { kind: Kind::Names, ..source(Format::Plain) };
    let prefixes = Source { kind: Kind::Prefixes, ..source(Format::Plain) };
    assert_eq!(good(&names, "a.example\n192.0.2.1\n").1.first, [(2, Why::PrefixHere)]);
    assert_eq!(good(&prefixes, "192.0.2.1\na.example\n").1.first, [(2, Why::NameHere)]);
    assert_eq!(asked(&good(&names, "1.2.3\n").0, "1.2.3"), LISTED, "a name that is all digits can be meant");
}

#[test]
fn hosts_files_list_their_names_without_those_of_the_machine() {
    let text =
        "127.0.0.1 localhost\nfe80::1%lo0 localhost\n0.0.0.0 ads.example tracker.example # two\n:: six.example\n";
    let (list, report) = good(&source(Format::Hosts), text);
    assert_eq!((report.names, report.prefixes, report.garbage), (3, 0, 0));
    assert_eq!(asked(&list, "tracker.example"), LISTED);
    assert_eq!(asked(&list, "localhost"), None);
}

#[test]
fn one_column_of_csv_is_read() {
    let text = "# made today\n\"id\",\"domain\",\"why\"\n1,bad.example,\"said \"\"so\"\"\"\n2, \"worse.example\" ,x\n3,192.0.2.1\n";
    let (list, report) = good(&source(Format::Csv(1)), text);
    assert_eq!((report.names, report.prefixes, report.garbage), (2, 1, 0));
    assert_eq!(asked(&list, "worse.example"), LISTED);
    let twice = format!("id,domain name\n{text}2,not a name\n");
    assert_eq!(good(&source(Format::Csv(1)), &twice).1.first, [(7, Why::NoName)], "only the first line is a heading");
}

const ZONE: &str = r#"$TTL 1h
@ IN SOA ns.example. hostmaster.example. ( 2024010101 ; serial
      3600 600
      86400 60 )
      NS ns.example.
bad.example             CNAME .
*.bad.example           300 IN CNAME .
empty.example   IN 300  CNAME *.
ok.bad.example          CNAME rpz-passthru.
old.bad.example         CNAME old.bad.example.
drop.example            CNAME RPZ-DROP.
tcp.example             CNAME rpz-tcp-only.
sp\097ce.example        CNAME .
24.0.2.0.192.rpz-client-ip CNAME rpz-drop.
32.1.2.0.192.rpz-client-ip CNAME rpz-passthru.
48.zz.1.db8.2001.rpz-client-ip CNAME rpz-tcp-only.
walled.example          A 192.0.2.1
                        TXT "a \"quoted\" ( text"
moved.example           CNAME garden.example.
32.1.2.0.192.rpz-ip     CNAME .
ns.bad.example.rpz-nsdname CNAME .
32.1.2.0.192.rpz-nsip   CNAME .
outside.test.           CNAME .
$INCLUDE other.zone
broken.example          CNAME rpz-unknown.
25.1.2.0.192.rpz-client-ip CNAME .
"#;

fn check_zone(list: &List<Vec<u8>>) {
    for (name, expected) in [
        ("bad.example", Some(Effect::Nxdomain)),
        ("x.y.bad.example", Some(Effect::Nxdomain)),
        ("empty.example", Some(Effect::Nodata)),
        ("x.empty.example", None),
        ("ok.bad.example", Some(Effect::Pass)),
        ("drop.example", Some(Effect::Drop)),
        ("tcp.example", Some(Effect::Truncate)),
        ("walled.example", None),
        ("moved.example", None),
        ("broken.example", None),
    ] {
        assert_eq!(asked(list, name), expected, "{name}");
    }
    for (address, expected) in [
        ("192.0.2.200", Some(Effect::Drop)),
        ("192.0.2.1", Some(Effect::Pass)),
        ("192.0.3.1", None),
        ("2001:db8:1::9", Some(Effect::Truncate)),
        ("2001:db8:2::9", None),
    ] {
        assert_eq!(from(list, address), expected, "{address}");
    }
}

#[test]
fn a_response_policy_zone_is_read_from_its_master_file() {
    let zone = Some(wire("rpz.example").0);
    let (list, report) = good(&source(Format::Rpz(zone)), ZONE);
    check_zone(&list);
    // The trigger is relative to the zone, the target is not: of old, a CNAME to the trigger itself let it pass.
    assert_eq!(asked(&list, "old.bad.example"), Some(Effect::Pass));
    assert_eq!(asked(&list, "space.example"), Some(Effect::Nxdomain));
    assert_eq!((report.local_data, report.other_triggers), (3, 3));
    assert_eq!(
        report.first,
        [(23, Why::OutsideZone), (24, Why::Directive), (25, Why::Target), (26, Why::Client)],
        "{report:?}"
    );
    assert_eq!(list.not_applicable(), 6);
}

#[test]
fn a_master_file_needs_an_origin_from_somewhere() {
    let record = "bad.example CNAME .\n";
    assert_eq!(good(&source(Format::Rpz(None)), record).1.first, [(1, Why::NoOrigin)]);
    let own = format!("$ORIGIN rpz.example.\n@ SOA a. b. 1 2 3 4 5\n{record}");
    assert_eq!(good(&source(Format::Rpz(None)), &own).1.names, 1);
    let open = "@ SOA a. b. ( 1 2\n";
    assert_eq!(good(&source(Format::Rpz(Some(vec![0]))), open).1.first, [(1, Why::Parentheses)]);
}

#[test]
fn clients_of_rpz_are_written_backwards() {
    for (text, expected) in [
        ("32.1.2.0.192.rpz-client-ip", Some("192.0.2.1/32")),
        ("0.0.0.0.0.rpz-client-ip", Some("0.0.0.0/0")),
        ("128.57.0.0.0.0.0.db8.2001.rpz-client-ip", Some("2001:db8::57/128")),
        ("128.57.zz.db8.2001.rpz-client-ip", Some("2001:db8::57/128")),
        ("32.zz.db8.2001.rpz-client-ip", Some("2001:db8::/32")),
        ("128.1.zz.rpz-client-ip", Some("::1/128")),
        ("0.zz.rpz-client-ip", Some("::/0")),
        ("24.1.2.0.192.rpz-client-ip", None),
        ("33.1.2.0.192.rpz-client-ip", None),
        ("32.1.2.0.256.rpz-client-ip", None),
        ("32.1.2.0.rpz-client-ip", None),
        ("129.1.zz.rpz-client-ip", None),
        ("128.zz.1.zz.rpz-client-ip", None),
        ("128.1.2.3.4.5.6.7.8.9.rpz-client-ip", None),
        ("rpz-client-ip", None),
        ("+1.1.2.0.192.rpz-client-ip", None),
    ] {
        let found = client_prefix(&wire(text).0).map(|(address, bits)| format!("{address}/{bits}"));
        assert_eq!(found.as_deref(), expected, "{text}");
    }
}

/// A record in wire form, with its owner as given.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 60]);
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}

/// A message of a transfer behind its length. Its records may point to byte 12, the first owner.
fn message(records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![0, 1, 0x84, 0, 0, 0, 0, records.len() as u8, 0, 0, 0, 0];
    message.extend(records.concat());
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

fn transfer() -> Vec<u8> {
    let (apex, _) = wire("rpz.example");
    let soa = |owner: &[u8]| record(owner, 6, &[&[0, 0][..], &[0; 20]].concat());
    let under = |name: &str| [&wire(name).0[..name.len() + 1], b"\xc0\x0c"].concat();
    [
        message(&[soa(&apex), record(b"\xc0\x0c", 2, &[0]), record(&under("bad.example"), 5, &[0])]),
        message(
            &[
                soa(&apex)[..0].to_vec(),
                record(&wire("*.bad.example.rpz.example").0, 5, b"\x08rpz-drop\0"),
                record(&wire("walled.example.rpz.example").0, 1, &[192, 0, 2, 1]),
            ][1..],
        ),
        message(&[soa(&apex)]),
    ]
    .concat()
}

#[test]
fn a_zone_transfer_is_read() {
    let (list, report) = build(&source(Format::Transfer), &transfer()).expect("a whole transfer");
    assert_eq!(asked(&list, "bad.example"), Some(Effect::Nxdomain));
    assert_eq!(asked(&list, "x.bad.example"), Some(Effect::Drop));
    assert_eq!((report.names, report.local_data, report.garbage), (1, 1, 0));
}

#[test]
fn a_transfer_that_is_cut_anywhere_is_no_list() {
    let whole = transfer();
    for length in 0..whole.len() {
        let result = build(&source(Format::Transfer), &whole[..length]);
        assert!(matches!(result, Err(ReadError::Transfer(..))), "{length}");
    }
    let again = [&whole[..], &message(&[record(b"\0", 1, &[0; 4])])].concat();
    assert!(matches!(build(&source(Format::Transfer), &again), Err(ReadError::Transfer(4, _))));
}

#[test]
fn a_list_may_hold_so_many_entries_and_no_more() {
    let mut builder = ListBuilder::new(2);
    let result = read(&mut &b"a.example\nb.example\nc.example\n"[..], &source(Format::Plain), &mut builder);
    assert!(matches!(result, Err(ReadError::Full)));
}

fn small_list() -> Vec<u8> {
    let mut builder = ListBuilder::new(MOST);
    read(&mut &b"a.example\n192.0.2.0/24\n2001:db8::/32\n"[..], &source(Format::Plain), &mut builder).expect("good");
    let mut file = Cursor::new(Vec::new());
    builder.write(&mut file, 0).expect("memory takes it");
    file.into_inner()
}

#[test]
fn a_file_that_was_cut_grown_or_changed_is_no_list() {
    let file = small_list();
    for length in 0..file.len() {
        assert!(List::open(&file[..length]).is_err(), "{length}");
    }
    assert_eq!(List::open([&file[..], &[0]].concat()).err(), Some(ListError::Length));
    for at in (0..file.len()).filter(|at| !(12..16).contains(at)) {
        let mut changed = file.clone();
        changed[at] ^= 0x10;
        assert!(List::open(changed).is_err(), "byte {at}");
    }
}

fn some_source() -> impl Strategy<Value = Source> {
    let format = prop_oneof![
        Just(Format::Plain),
        Just(Format::Hosts),
        (0..3_usize).prop_map(Format::Csv),
        Just(Format::Rpz(None)),
        Just(Format::Rpz(Some(b"\x03rpz\0".to_vec()))),
        Just(Format::Transfer),
    ];
    let kind = prop_oneof![Just(Kind::Either), Just(Kind::Names), Just(Kind::Prefixes)];
    (format, kind, any::<bool>(), any::<bool>()).prop_map(|(format, kind, subdomains, strict)| Source {
        format,
        kind,
        subdomains,
        strict,
    })
}

/// Pieces that sources are made of, and bytes.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let words = ["a.example", "192.0.2.1", "::/0", "\n", "\r\n", " ", ",", "\"", "(", ")", ";", "@", "CNAME", "."];
    let more = ["*.", "SOA", "IN", "rpz-drop.", "8.1.rpz-client-ip", "$ORIGIN", "\\", "\t", "#", "60", "\0"];
    let word = proptest::sample::select([&words[..], &more[..]].concat()).prop_map(|word| word.as_bytes().to_vec());
    let piece = prop_oneof![4 => word, 1 => proptest::collection::vec(any::<u8>(), 0..9)];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A reader that gives a few bytes at a time.
struct Chunks<'t>(&'t [u8], usize);

impl std::io::Read for Chunks<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(into.len()).min(self.0.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_any_chunking_gives_the_same(source in some_source(), text in text(), chunk in 1..7_usize) {
        let mut whole = ListBuilder::new(MOST);
        let first = read(&mut &text[..], &source, &mut whole).map_err(|error| error.to_string());
        let mut pieces = ListBuilder::new(MOST);
        let mut input = std::io::BufReader::with_capacity(chunk, Chunks(&text, chunk));
        let second = read(&mut input, &source, &mut pieces).map_err(|error| error.to_string());
        prop_assert_eq!(&first, &second);
        let reports = [whole, pieces].map(|builder| builder.write(&mut Cursor::new(Vec::new()), 0).expect("memory"));
        prop_assert_eq!(&reports[0], &reports[1]);
        if source.strict && first.is_ok() {
            prop_assert_eq!(reports[0].garbage, 0);
        }
    }

    #[test]
    fn no_forged_file_reads_outside(at in 0..128_usize, value: u8, more in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut file = small_list();
        file[at] = value;
        file.extend(more);
        if let Ok(list) = List::open(file) {
            prop_assert!(asked(&list, "a.example").is_none_or(|effect| effect == Effect::Listed));
            prop_assert!(from(&list, "192.0.2.1").is_none_or(|effect| effect == Effect::Listed));
        }
    }
}
