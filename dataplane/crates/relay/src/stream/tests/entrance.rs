//! Clients who come by way of a proxy.

use engine::{Condition, Rule, RuleAction, Tlv, TlvValue};
use proptest::prelude::*;
use sets::PrefixSet;
use wire::proxy::{V1_MAX, write_local_v2, write_v1, write_v2};

use super::super::Proxies;
use super::*;

/// The host that is a proxy.
const PROXY: u8 = 200;

pub fn proxies(protocol: Protocol, required: bool, host: u8) -> Proxies {
    let from = PrefixSet::new([(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), 32, 0)]).unwrap();
    Proxies { protocol, from, required, timeout: 2 * SECOND }
}

fn bench(protocol: Protocol, required: bool) -> Bench {
    let mut bench = Bench::new(1);
    bench.relay.set_proxies(vec![Some(proxies(protocol, required, PROXY))]);
    bench
}

fn source(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 5353))
}

pub fn header(protocol: Protocol, host: u8, tlvs: &[u8]) -> Vec<u8> {
    let destination = SocketAddr::from(([203, 0, 113, 5], 53));
    let mut bytes = vec![0; 600];
    let length = match protocol {
        Protocol::V1 => write_v1(&mut bytes, source(host), destination),
        _ => write_v2(&mut bytes, Transport::Tcp, source(host), destination, tlvs, true),
    };
    bytes.truncate(length);
    bytes
}

fn local() -> Vec<u8> {
    let mut bytes = vec![0; 16];
    write_local_v2(&mut bytes);
    bytes
}

/// Bring bytes in pieces of these sizes, which repeat.
fn bring(bench: &mut Bench, client: Token, bytes: &[u8], cuts: &[usize]) {
    let mut rest = bytes;
    for cut in cuts.iter().cycle().take(bytes.len()) {
        let (piece, later) = rest.split_at((*cut).min(rest.len()));
        bench.relay.client_data(client, piece, bench.now);
        rest = later;
    }
    bench.flush();
}

fn address_of(bench: &Bench, client: Token) -> SocketAddr {
    bench.relay.clients.get(client).unwrap().ends().0
}

#[test]
fn the_header_says_who_the_client_is_however_it_is_cut() {
    for protocol in [Protocol::V1, Protocol::V2] {
        let tlvs: &[u8] = if protocol == Protocol::V2 { &[0xe0, 0, 2, 7, 8] } else { &[] };
        let head = header(protocol, 9, tlvs);
        let stream = [head.clone(), framed(&query(7, "a", 1)), framed(&query(8, "b", 1))].concat();
        let mut bench = bench(protocol, true);
        for cut in 0..=stream.len() {
            let client = bench.client_at(PROXY, 0).unwrap();
            let (first, second) = stream.split_at(cut);
            bench.relay.client_data(client, first, bench.now);
            bench.relay.client_data(client, second, bench.now);
            bench.flush();
            bench.open_all();
            let asked = bench.asked();
            assert_eq!(asked.len(), 2, "cut at {cut}");
            assert_eq!(address_of(&bench, client), source(9));
            let known = bench.relay.clients.get(client).unwrap();
            assert_eq!((known.peer.local, known.tlvs.get(..tlvs.len())), ("203.0.113.5".parse().unwrap(), Some(tlvs)));
            for (link, sent) in asked {
                bench.answer(link, &answer(&sent));
            }
            assert_eq!(bench.got(client).len(), 2);
            bench.relay.client_lost(client, bench.now);
        }
        assert_eq!(bench.verdict(Act::Forward, Reason::Ok), 2 * (stream.len() as u64 + 1));
    }
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_client() {
    for (protocol, head) in [(Protocol::V2, local()), (Protocol::V1, b"PROXY UNKNOWN\r\n".to_vec())] {
        let mut bench = bench(protocol, true);
        let client = bench.client_at(PROXY, 0).unwrap();
        bring(&mut bench, client, &[head, framed(&query(7, "a", 1))].concat(), &[5]);
        bench.open_all();
        assert_eq!(bench.asked().len(), 1);
        assert_eq!(address_of(&bench, client).ip(), IpAddr::V4(Ipv4Addr::new(192, 0, 2, PROXY)));
    }
}

#[test]
fn who_is_no_proxy_is_turned_away_at_once_where_a_header_is_required() {
    let mut strict = bench(Protocol::V2, true);
    assert_eq!(strict.client_at(1, 0), Err(Ending::ProxySource));
    assert_eq!((strict.ended(Ending::ProxySource), strict.io(Io::ConnectionsRefused)), (1, 1));
    assert!(strict.client_at(1, 1).is_ok(), "the other listener expects nothing");
    let mut lenient = bench(Protocol::V2, false);
    for host in [1, PROXY] {
        let client = lenient.client_at(host, 0).unwrap();
        bring(&mut lenient, client, &framed(&query(7, "a", 1)), &[1]);
        assert_eq!(address_of(&lenient, client).ip(), IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)));
    }
    assert_eq!(lenient.verdict(Act::Forward, Reason::Ok), 2);
}

#[test]
fn what_is_no_header_closes_and_is_counted_as_one_message() {
    let mut cut_line = b"PROXY TCP4 ".to_vec();
    cut_line.resize(V1_MAX + 5, b'1');
    let mut long = header(Protocol::V2, 9, &[]);
    long[14] = 2;
    let mut bad_sum = header(Protocol::V2, 9, &[]);
    *bad_sum.last_mut().unwrap() ^= 1;
    for (protocol, bytes, ending, reason) in [
        (Protocol::V2, framed(&query(7, "a", 1)), Ending::ProxyMissing, Reason::ProxyMissing),
        (Protocol::V1, header(Protocol::V2, 9, &[]), Ending::ProxyMissing, Reason::ProxyMissing),
        (Protocol::V1, cut_line, Ending::ProxyMalformed, Reason::ProxyMalformed),
        (Protocol::V1, b"PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n".to_vec(), Ending::ProxyMalformed, Reason::ProxyMalformed),
        (Protocol::V2, long, Ending::ProxyMalformed, Reason::ProxyMalformed),
        (Protocol::V2, bad_sum, Ending::ProxyMalformed, Reason::ProxyMalformed),
    ] {
        for cuts in [1, 7, 1000] {
            let mut bench = bench(protocol, true);
            let client = bench.client_at(PROXY, 0).unwrap();
            bring(&mut bench, client, &bytes, &[cuts]);
            assert_eq!(bench.ordered(Kind::Close), [client]);
            assert_eq!((bench.ended(ending), bench.verdict(Act::Drop, reason)), (1, 1));
            assert!(bench.totals().balanced());
        }
    }
}

#[test]
fn a_header_has_to_be_whole_in_time_and_not_required_only_once_it_has_begun() {
    for (required, sent, closes) in [(true, 0, true), (true, 20, true), (false, 20, true), (false, 0, false)] {
        let mut bench = bench(Protocol::V2, required);
        let client = bench.client_at(PROXY, 0).unwrap();
        bring(&mut bench, client, &header(Protocol::V2, 9, &[])[..sent], &[3]);
        bench.wait(2 * SECOND - 1);
        assert!(bench.ordered(Kind::Close).is_empty());
        bench.wait(1);
        assert_eq!((bench.ordered(Kind::Close).len(), bench.ended(Ending::SlowRead)), (closes.into(), closes.into()));
    }
}

#[test]
fn connections_count_for_the_client_and_not_for_its_proxy() {
    let bounds = Bounds { connections_per_client: 1, ..BOUNDS };
    let mut bench = Bench::with(1, bounds);
    bench.relay.set_proxies(vec![Some(proxies(Protocol::V2, true, PROXY))]);
    let all: Vec<Token> = (0..4).map(|_| bench.client_at(PROXY, 0).unwrap()).collect();
    for (client, head) in all.iter().zip([header(Protocol::V2, 1, &[]), header(Protocol::V2, 2, &[]), local()]) {
        bring(&mut bench, *client, &head, &[9]);
    }
    assert!(bench.ordered(Kind::Close).is_empty());
    bring(&mut bench, all[3], &[header(Protocol::V2, 2, &[]), framed(&query(7, "a", 1))].concat(), &[1000]);
    assert_eq!(bench.ordered(Kind::Close), [all[3]]);
    assert_eq!((bench.ended(Ending::ConnectionsPerClient), bench.verdict(Act::Forward, Reason::Ok)), (1, 0));
    for client in [all[1], all[3]] {
        bench.relay.client_lost(client, bench.now);
    }
    let again = bench.client_at(PROXY, 0).unwrap();
    bring(&mut bench, again, &header(Protocol::V2, 2, &[]), &[1000]);
    assert_eq!(address_of(&bench, again), source(2));
    for client in [all[0], all[2], again] {
        bench.relay.client_lost(client, bench.now);
    }
    assert_eq!(bench.relay.tally.crowd().total(), 0);
}

#[test]
fn the_client_of_a_header_is_told_to_the_backend() {
    let mut bench = Bench::proxied(1, BOUNDS);
    bench.relay.set_proxies(vec![Some(proxies(Protocol::V1, true, PROXY))]);
    let client = bench.client_at(PROXY, 0).unwrap();
    bring(&mut bench, client, &[header(Protocol::V1, 9, &[]), framed(&query(7, "a", 1))].concat(), &[1000]);
    bench.open_all();
    let (_, from, to) = bench.headers[0];
    assert_eq!((from, to), (source(9), SocketAddr::from(([203, 0, 113, 5], 53))));
}

#[test]
fn rules_see_the_tlvs_of_each_message_and_those_alone() {
    let rule = Rule {
        slot: 0,
        when: Condition::Tlv(vec![Tlv { kind: 0xe0, value: TlvValue::Equal(vec![7, 8]) }]),
        action: RuleAction::Drop,
    };
    let spec = PolicySpec { zones: vec![b"\x04test\x00".to_vec()], rules: vec![rule], ..PolicySpec::default() };
    let mut bench = bench(Protocol::V2, true);
    let policy = Arc::new(Policy::new(spec).unwrap());
    bench.relay.configure(policy, BOUNDS, vec![backend(0)], vec![ALL], bench.now);
    // With the first that is dropped the stream is over.
    for (tlvs, dropped) in [(&[0xe0, 0, 2, 7, 8][..], 1), (&[0xe0, 0, 2, 7, 9], 0), (&[0xe1, 0, 2, 7, 8], 0), (&[], 0)]
    {
        let before = bench.verdict(Act::Drop, Reason::Rule);
        let client = bench.client_at(PROXY, 0).unwrap();
        let stream = [header(Protocol::V2, 9, tlvs), framed(&query(7, "a", 1)), framed(&query(8, "b", 1))].concat();
        bring(&mut bench, client, &stream, &[11]);
        assert_eq!(bench.verdict(Act::Drop, Reason::Rule) - before, dropped, "{tlvs:?}");
    }
    assert_eq!(bench.verdict(Act::Forward, Reason::Ok), 6);
}

proptest! {
    /// Any bytes of a proxy, in any pieces: no panic, the same end, and the books balance.
    #[test]
    fn any_cutting_of_any_bytes_gives_the_same(
        begin in prop_oneof![
            Just(header(Protocol::V2, 9, &[4, 0, 1, 0])), Just(header(Protocol::V1, 9, &[])), Just(local()), Just(vec![]),
        ],
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        tail in prop::collection::vec(any::<u8>(), 0..60),
        cuts in prop::collection::vec(1..40usize, 1..6),
        v1 in any::<bool>(),
        required in any::<bool>(),
    ) {
        let mut bytes = [begin, framed(&query(7, "a", 1)), tail].concat();
        if let Some((index, value)) = change {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let run = |cuts: &[usize]| {
            let mut bench = bench(if v1 { Protocol::V1 } else { Protocol::V2 }, required);
            let client = bench.client_at(PROXY, 0).unwrap();
            bring(&mut bench, client, &bytes, cuts);
            let totals = bench.totals();
            assert!(totals.balanced());
            (address_of(&bench, client), totals, bench.relay.status().endings, bench.got(client))
        };
        prop_assert_eq!(run(&cuts), run(&[usize::MAX]));
    }
}
