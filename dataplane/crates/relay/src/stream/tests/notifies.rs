//! NOTIFY that is handed over instead of forwarded.

use engine::NotifySpec;

use super::*;

fn bench() -> Bench {
    let mut bench = Bench::new(1);
    let notifies = vec![NotifySpec {
        zone: b"\x04test\x00".to_vec(),
        from: vec![(IpAddr::from([192, 0, 2, 1]), 32)],
        keys: vec![],
    }];
    let spec = PolicySpec { zones: vec![b"\x04test\x00".to_vec()], notifies, ..PolicySpec::default() };
    let policy = Arc::new(Policy::new(spec).unwrap());
    bench.relay.configure(policy, BOUNDS, vec![backend(0)], vec![ALL, Grants::default()], SECOND);
    bench
}

fn notify(id: u16) -> Vec<u8> {
    let mut message = query(id, "", qtype::SOA);
    message[2] = opcode::NOTIFY << 3;
    message
}

#[test]
fn it_is_handed_over_and_its_answer_comes_on_its_connection() {
    let mut bench = bench();
    let client = bench.client();
    bench.send(client, &notify(7));
    bench.send(client, &notify(8));
    assert_eq!(bench.ordered(Kind::Notified).len(), 1, "one order for what waits");
    assert!(bench.asked().is_empty() && bench.open_links.is_empty(), "no backend gets it");
    let taken = bench.relay.take_notifies();
    let texts: Vec<&[u8]> = taken.iter().map(|each| &*each.message).collect();
    assert_eq!(texts, [notify(7), notify(8)]);
    assert_eq!(taken[0].client, SocketAddr::from(([192, 0, 2, 1], 40_000)));
    assert_eq!(taken[0].asked, SocketAddr::from(([192, 0, 2, 53], 53)));
    bench.relay.answer_notify(taken[1].id, Some(&answer(&notify(8))), bench.now);
    bench.relay.answer_notify(taken[0].id, Some(&answer(&notify(7))), bench.now);
    bench.relay.answer_notify(taken[0].id, Some(&answer(&notify(7))), bench.now);
    bench.flush();
    assert_eq!(bench.got(client), [answer(&notify(8)), answer(&notify(7))]);
    assert_eq!(bench.verdict(Act::Reply, Reason::Notify), 2);
}

#[test]
fn a_client_that_has_asked_all_waits_for_the_answer() {
    let mut bench = bench();
    let client = bench.client();
    bench.send(client, &notify(7));
    bench.relay.client_ended(client, bench.now);
    bench.flush();
    assert!(bench.ordered(Kind::Close).is_empty(), "it is owed an answer");
    let taken = bench.relay.take_notifies();
    bench.relay.answer_notify(taken[0].id, Some(&answer(&notify(7))), bench.now);
    bench.flush();
    assert_eq!(bench.got(client), [answer(&notify(7))]);
    assert_eq!(bench.ordered(Kind::Close), [client]);
}

#[test]
fn without_an_answer_the_connection_ends() {
    let mut bench = bench();
    let client = bench.client();
    bench.send(client, &notify(7));
    let taken = bench.relay.take_notifies();
    bench.relay.answer_notify(taken[0].id, None, bench.now);
    bench.flush();
    assert_eq!(bench.ended(Ending::Dropped), 1);
}

#[test]
fn a_client_that_is_gone_is_not_missed() {
    let mut bench = bench();
    let client = bench.client();
    bench.send(client, &notify(7));
    bench.relay.client_lost(client, bench.now);
    let taken = bench.relay.take_notifies();
    bench.relay.answer_notify(taken[0].id, Some(&answer(&notify(7))), bench.now);
    assert_eq!(bench.relay.status().clients, 0);
}
