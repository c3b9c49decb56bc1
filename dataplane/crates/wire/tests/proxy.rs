//! The headers of proxies: what is written is read, whatever is cut gives the same, and no bytes panic.

use std::net::SocketAddr;

use proptest::prelude::*;
use wire::Transport;
use wire::proxy::{
    Fault, HEADROOM, Header, LOCAL_LENGTH, Protocol, SPP_LENGTH, V1_MAX, V2_MAX, missing_or_cut, parse_spp, parse_v1,
    parse_v2, v2_length, write_local_v2, write_spp, write_v1, write_v2,
};

const PROTOCOLS: [Protocol; 3] = [Protocol::V1, Protocol::V2, Protocol::Spp];
const SIGNATURE: &[u8; 12] = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a";

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn v2(command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
    let length = u16::try_from(behind.len()).expect("short").to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, behind].concat()
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<([u8; 4], u16)>().prop_map(SocketAddr::from);
    let v6 = any::<([u8; 16], u16)>().prop_map(SocketAddr::from);
    prop_oneof![v4, v6].prop_map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn tlvs() -> impl Strategy<Value = Vec<u8>> {
    let one = (4u8.., prop::collection::vec(any::<u8>(), 0..40));
    prop::collection::vec(one, 0..6).prop_map(|tlvs| {
        let tlv = |(kind, value): (u8, Vec<u8>)| [&[kind, 0, value.len() as u8][..], &value].concat();
        tlvs.into_iter().flat_map(tlv).collect()
    })
}

/// Bytes that look like headers: whole, cut, with a byte changed, and arbitrary.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let whole = (addresses(), addresses(), tlvs(), any::<bool>(), 0..4).prop_map(|(a, b, tlvs, sum, kind)| {
        let mut out = [0; V2_MAX];
        let length = match kind {
            0 => write_v1(&mut out, a, b),
            1 => write_spp(&mut out, a, b),
            2 => write_local_v2(&mut out),
            _ => write_v2(&mut out, Transport::Udp, a, b, &tlvs, sum),
        };
        out[..length].to_vec()
    });
    let followed = (whole, prop::collection::vec(any::<u8>(), 0..30)).prop_map(|(a, b)| [a, b].concat()).boxed();
    let changed = (followed.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    let text = "PROXY (TCP4|TCP6|UNKNOWN|UDP4) [0-9.:a-f +]{0,90}\r\n".prop_map(String::into_bytes);
    let signed = prop::collection::vec(any::<u8>(), 0..80).prop_map(|rest| [&SIGNATURE[..], &rest].concat());
    prop_oneof![followed, changed, text, signed, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_pieces_give_the_same(bytes in headers()) {
        for protocol in PROTOCOLS {
            let mut settled = None;
            for end in 0..=bytes.len() {
                let result = protocol.parse(&bytes[..end]).transpose();
                match (settled, result) {
                    (Some(before), now) => prop_assert_eq!(Some(before), now, "{:?} after {} bytes", protocol, end),
                    (None, now) => settled = now,
                }
            }
            if let Some(Ok(header)) = settled {
                prop_assert!(header.length <= bytes.len().min(V2_MAX));
                prop_assert_eq!(header.source.is_some(), header.destination.is_some());
                prop_assert!(!(header.local && header.source.is_some()));
            }
        }
    }

    #[test]
    fn what_v2_writes_is_read(a in addresses(), b in addresses(), tlvs in tlvs(), sum: bool, stream: bool) {
        let mut out = [0; V2_MAX];
        let transport = if stream { Transport::Tcp } else { Transport::Udp };
        let length = write_v2(&mut out, transport, a, b, &tlvs, sum);
        prop_assert_eq!(length, v2_length(a, b, tlvs.len(), sum));
        let family = if a.is_ipv4() && b.is_ipv4() { 0x10 } else { 0x20 };
        prop_assert_eq!(out[13], family | if stream { 1 } else { 2 });
        let header = parse_v2(&out).expect("good").expect("whole");
        prop_assert_eq!((header.local, header.source, header.destination), (false, Some(a), Some(b)));
        prop_assert_eq!(header.length, length);
        prop_assert_eq!(&header.tlvs[..tlvs.len()], &tlvs[..]);
        prop_assert_eq!(header.tlvs.len(), tlvs.len() + if sum { 7 } else { 0 });
        prop_assert_eq!(write_v2(&mut out[..length - 1], transport, a, b, &tlvs, sum), 0, "no room");
    }

    #[test]
    fn no_changed_bit_passes_the_checksum(a in addresses(), b in addresses(), tlvs in tlvs(), bit: prop::sample::Index) {
        let mut out = [0; V2_MAX];
        let length = write_v2(&mut out, Transport::Udp, a, b, &tlvs, true);
        // The addresses: what comes before and behind them is checked for itself as well.
        let bit = bit.index((if a.is_ipv4() && b.is_ipv4() { 12 } else { 36 }) * 8);
        out[16 + bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(parse_v2(&out[..length]), Err(Fault::Checksum));
    }

    #[test]
    fn what_v1_and_spp_write_is_read(a in addresses(), b in addresses()) {
        let (mut line, mut spp) = ([0; V1_MAX], [0; SPP_LENGTH]);
        let length = write_v1(&mut line, a, b);
        prop_assert_eq!(write_spp(&mut spp, a, b), SPP_LENGTH);
        for (header, wanted) in [(parse_v1(&line), length), (parse_spp(&spp), SPP_LENGTH)] {
            let header = header.expect("good").expect("whole");
            prop_assert_eq!((header.source, header.destination, header.length), (Some(a), Some(b), wanted));
        }
        prop_assert_eq!(write_v1(&mut line[..length - 1], a, b), 0, "no room");
        prop_assert_eq!(write_spp(&mut spp[1..], a, b), 0, "no room");
    }
}

/// The example of the specification's layout, written by hand.
#[test]
fn a_v2_header_of_ipv4_is_read_byte_by_byte() {
    let block = [192, 0, 2, 1, 203, 0, 113, 5, 0x9c, 0x40, 0, 53];
    let bytes = v2(0x21, 0x12, &[&block[..], &[0xe0, 0, 1, 9]].concat());
    let wanted = Header {
        local: false,
        source: Some(socket("192.0.2.1:40000")),
        destination: Some(socket("203.0.113.5:53")),
        tlvs: &[0xe0, 0, 1, 9],
        length: 32,
    };
    assert_eq!(parse_v2(&bytes), Ok(Some(wanted)));
    assert_eq!(parse_v2(&v2(0x21, 0x11, &block)).map(|h| h.map(|h| h.source)), Ok(Some(wanted.source)), "STREAM");
}

#[test]
fn ipv4_within_ipv6_is_ipv4() {
    let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 1]].concat();
    let block = [&mapped[..], &[0x20; 16], &[0, 80, 0, 53]].concat();
    let bytes = v2(0x21, 0x22, &block);
    let header = parse_v2(&bytes).expect("good").expect("whole");
    assert_eq!(header.source, Some(socket("192.0.2.1:80")));
    assert_eq!(header.destination, Some(socket("[2020:2020:2020:2020:2020:2020:2020:2020]:53")));
}

#[test]
fn local_and_unknown_families_leave_the_real_endpoints() {
    for (command, family, behind) in
        [(0x20, 0x00, &[][..]), (0x20, 0x12, &[1; 40]), (0x20, 0xff, &[]), (0x21, 0x00, &[7; 9])]
    {
        let bytes = v2(command, family, behind);
        let header = parse_v2(&bytes).expect("good").expect("whole");
        assert_eq!((header.local, header.source, header.length), (command == 0x20, None, 16 + behind.len()));
    }
    let mut out = [0xaa; LOCAL_LENGTH];
    assert_eq!(write_local_v2(&mut out), LOCAL_LENGTH);
    assert_eq!(out[..], v2(0x20, 0, &[]));
}

#[test]
fn every_fault_of_v2_has_its_name() {
    let sum = [&[0; 12][..], &[3, 0, 4, 1, 2, 3, 4]].concat();
    let two_sums = [&[0; 12][..], &[3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0]].concat();
    for (bytes, fault) in [
        (b"\x12\x34\x01\x00".to_vec(), Fault::Missing),
        (v2(0x11, 0x12, &[0; 12]), Fault::Version),
        (v2(0x31, 0x12, &[0; 12]), Fault::Version),
        (v2(0x22, 0x12, &[0; 12]), Fault::Command),
        (v2(0x21, 0x31, &[0; 216]), Fault::Family),
        (v2(0x21, 0x13, &[0; 12]), Fault::Family),
        (v2(0x21, 0x10, &[0; 12]), Fault::Family),
        (v2(0x21, 0x12, &[0; 11]), Fault::Length),
        (v2(0x21, 0x22, &[0; 35]), Fault::Length),
        (v2(0x20, 0x00, &[0; 497]), Fault::Length),
        (v2(0x21, 0x12, &[0; 13]), Fault::Tlvs),
        (v2(0x21, 0x12, &[&[0; 12][..], &[4, 0, 2, 0]].concat()), Fault::Tlvs),
        (v2(0x21, 0x12, &[&[0; 12][..], &[3, 0, 1, 0]].concat()), Fault::Tlvs),
        (v2(0x21, 0x12, &two_sums), Fault::Tlvs),
        (v2(0x21, 0x12, &sum), Fault::Checksum),
    ] {
        assert_eq!(parse_v2(&bytes), Err(fault), "{bytes:x?}");
    }
    assert!(parse_v2(&v2(0x21, 0x12, &[&[0; 12][..], &[4, 0, 0]].concat())).is_ok(), "NOOP");
    assert!(parse_v2(&v2(0x20, 0x00, &[0; 496])).is_ok(), "512 bytes");
}

#[test]
fn v1_is_read_as_strictly_as_it_is_specified() {
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_MAX - 16));
    for (line, wanted) in [
        ("PROXY TCP4 192.0.2.1 203.0.113.5 40000 53\r\n", Ok(Some(Some(socket("192.0.2.1:40000"))))),
        ("PROXY TCP6 2001:db8::1 ::1 0 53\r\nrest", Ok(Some(Some(socket("[2001:db8::1]:0"))))),
        ("PROXY UNKNOWN\r\n", Ok(Some(None))),
        (long.as_str(), Ok(Some(None))),
        ("PROXY UNKNOWN ", Ok(None)),
        ("PROXY", Ok(None)),
        ("", Ok(None)),
        ("GET / HTTP/1.1\r\n", Err(Fault::Missing)),
        ("PROXY UDP4 192.0.2.1 203.0.113.5 40000 53\r\n", Err(Fault::Family)),
        ("PROXY TCP4 2001:db8::1 ::1 0 53\r\n", Err(Fault::Address)),
        ("PROXY TCP4 192.0.2.1 203.0.113.5 40000\r\n", Err(Fault::Address)),
        ("PROXY TCP4 192.0.2.1 203.0.113.5 40000 53 9\r\n", Err(Fault::Address)),
        ("PROXY TCP4 192.0.2.1  203.0.113.5 40000 53\r\n", Err(Fault::Address)),
        ("PROXY TCP4 192.0.2.1 203.0.113.5 +4 53\r\n", Err(Fault::Address)),
        ("PROXY TCP4 192.0.2.1 203.0.113.5 053 53\r\n", Err(Fault::Address)),
        ("PROXY TCP4 192.0.2.1 203.0.113.5 65536 53\r\n", Err(Fault::Address)),
        ("PROXY TCP4 192.0.2.01 203.0.113.5 1 53\r\n", Err(Fault::Address)),
    ] {
        assert_eq!(parse_v1(line.as_bytes()).map(|header| header.map(|header| header.source)), wanted, "{line:?}");
    }
    assert_eq!(parse_v1(&[&b"PROXY UNKNOWN "[..], &[b'f'; V1_MAX]].concat()), Err(Fault::Length));
}

#[test]
fn a_cut_datagram_is_missing_its_header_or_has_a_bad_one() {
    let query = b"\x0d\x0a\x0d";
    assert_eq!(missing_or_cut(Protocol::V2, query), Fault::Missing);
    assert_eq!(missing_or_cut(Protocol::V2, &v2(0x21, 0x12, &[])), Fault::Length);
    assert_eq!(missing_or_cut(Protocol::Spp, b"\x56\xec"), Fault::Length);
    assert_eq!(missing_or_cut(Protocol::Spp, b"\x56"), Fault::Missing);
}

#[test]
fn the_headroom_holds_every_header_of_a_datagram() {
    let v6 = socket("[::1]:53");
    assert!(v2_length(v6, v6, 0, true) <= HEADROOM && SPP_LENGTH <= HEADROOM && LOCAL_LENGTH <= HEADROOM);
}
