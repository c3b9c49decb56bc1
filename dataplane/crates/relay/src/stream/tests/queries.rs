//! What a client sees.

use super::super::flushing::WRITE_AT_ONCE;
use super::super::orders::Order;
use super::*;

#[test]
fn a_query_goes_out_under_another_id_and_its_answer_comes_back_under_its_own() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    assert!(!bench.send(client, &query(7, "a", 1)));
    assert!(bench.asked().is_empty(), "nothing is written before the connection stands");
    bench.open_all();
    let (link, sent) = bench.asked_once();
    assert_eq!(sent[2..], query(7, "a", 1)[2..]);
    bench.answer(link, &answer(&sent));
    assert_eq!(bench.got(client), [answer(&query(7, "a", 1))]);
    assert_eq!(bench.verdict(Act::Forward, Reason::Ok), 1);
    assert_eq!((bench.io(Io::AnswersReceived), bench.io(Io::AnswersSent)), (1, 1));
    assert_eq!(bench.relay.status().in_flight, 0);
}

#[test]
fn ids_differ_even_when_those_of_the_clients_are_the_same() {
    let mut bench = Bench::with(1, Bounds { in_flight: 2000, backend_connections: 1, ..BOUNDS });
    let client = bench.client();
    for _ in 0..2000 {
        bench.send(client, &query(7, "a", 1));
    }
    bench.open_all();
    let mut ids: Vec<u16> = bench.asked().iter().map(|(_, sent)| id(sent)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2000);
}

#[test]
fn answers_may_come_in_any_order_and_go_to_their_own_clients() {
    let mut bench = Bench::new(1);
    let (first, second) = (bench.client(), bench.client());
    bench.send(first, &query(1, "a", 1));
    bench.send(second, &query(1, "b", 1));
    bench.send(first, &query(2, "c", 1));
    bench.open_all();
    let mut asked = bench.asked();
    asked.reverse();
    for (link, sent) in asked {
        bench.answer(link, &answer(&sent));
    }
    assert_eq!(bench.got(first), [answer(&query(2, "c", 1)), answer(&query(1, "a", 1))]);
    assert_eq!(bench.got(second), [answer(&query(1, "b", 1))]);
}

#[test]
fn one_flush_writes_once_to_each_connection() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let stream = [framed(&query(1, "a", 1)), framed(&query(2, "b", 1)), framed(&query(3, "c", 1))].concat();
    bench.relay.client_data(client, &stream, bench.now);
    bench.flush();
    bench.open_all();
    let asked = bench.asked();
    assert_eq!(asked.len(), 3);
    let link = asked[0].0;
    let answers: Vec<u8> = asked.iter().flat_map(|(_, sent)| framed(&answer(sent))).collect();
    bench.relay.link_data(link, &answers, bench.now);
    let mut writes = 0;
    bench.relay.flush(bench.now, |_, _, _| writes += 1);
    assert_eq!(writes, 1);
}

#[test]
fn what_the_engine_refuses_is_answered_here_at_once() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let mut foreign = query(9, "a", 1);
    foreign[15..19].copy_from_slice(b"else");
    bench.send(client, &foreign);
    let replies = bench.got(client);
    assert_eq!((id(&replies[0]), rcode_of(&replies[0])), (9, rcode::REFUSED));
    assert_eq!(replies[0][12..], foreign[12..]);
    assert_eq!(bench.verdict(Act::Reply, Reason::NotServed), 1);
    assert!(bench.open_links.is_empty());
}

#[test]
fn transfers_and_updates_are_refused_where_the_listener_does_not_grant_them() {
    let mut bench = Bench::new(1);
    let client = bench.client_at(1, 1).unwrap();
    for message in [query(1, "", qtype::AXFR), query(2, "", qtype::IXFR), update(3)] {
        bench.send(client, &message);
        assert_eq!(rcode_of(&bench.got(client)[0]), rcode::REFUSED);
    }
    assert_eq!(bench.verdict(Act::Reply, Reason::TransferRefused), 2);
    assert_eq!(bench.verdict(Act::Reply, Reason::UpdateRefused), 1);
}

#[test]
fn without_a_healthy_backend_the_answer_is_servfail() {
    let mut bench = Bench::new(1);
    bench.relay.set_health(0, false, bench.now);
    let client = bench.client();
    bench.send(client, &query(5, "a", 1));
    assert_servfail(&bench.got(client)[0], &query(5, "a", 1));
    assert_eq!(bench.verdict(Act::Reply, Reason::BackendsDown), 1);
    bench.relay.set_health(0, true, bench.now);
    bench.send(client, &query(6, "a", 1));
    assert_eq!(bench.open_links.len(), 1);
}

#[test]
fn lost_framing_closes_and_is_counted_as_one_message() {
    let mut bench = Bench::new(1);
    for (bytes, ending, reason) in [
        (vec![0, 0], Ending::TooShort, Reason::TooShort),
        (vec![0, 11], Ending::TooShort, Reason::TooShort),
        (vec![0xff, 0xff, 0, 0, 0], Ending::TooLarge, Reason::TooLarge),
    ] {
        let client = bench.client();
        assert!(bench.relay.client_data(client, &bytes, bench.now).pause);
        bench.flush();
        assert_eq!(bench.ordered(Kind::Close), [client]);
        assert!(bench.ended(ending) > 0 && bench.verdict(Act::Drop, reason) > 0);
        bench.relay.client_lost(client, bench.now);
    }
    assert!(bench.totals().balanced());
}

#[test]
fn a_drop_ends_the_connection_when_what_was_asked_before_is_answered() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let mut response = query(6, "b", 1);
    response[2] |= 0x80;
    bench.send(client, &query(5, "a", 1));
    bench.send(client, &response);
    bench.send(client, &query(7, "c", 1));
    bench.open_all();
    assert!(bench.ordered(Kind::Close).is_empty(), "it is owed an answer");
    let (link, sent) = bench.asked_once();
    bench.answer(link, &answer(&sent));
    assert_eq!(bench.got(client).len(), 1);
    bench.flush();
    assert_eq!((bench.ordered(Kind::Close), bench.ended(Ending::Dropped)), (vec![client], 1));
    assert_eq!(bench.verdict(Act::Drop, Reason::IsResponse), 1);
    assert!(bench.totals().balanced());
}

#[test]
fn an_update_may_be_long_only_where_it_is_granted() {
    let mut bench = Bench::new(1);
    let mut head = vec![0x20, 0, 0, 1, opcode::UPDATE << 3];
    let granted = bench.client();
    bench.relay.client_data(granted, &head, bench.now);
    let refused = bench.client_at(1, 1).unwrap();
    bench.relay.client_data(refused, &head, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::Close), [refused]);
    head[4] = 0;
    let query = bench.client();
    bench.relay.client_data(query, &head, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::Close), [query]);
}

#[test]
fn over_its_share_of_queries_a_client_is_read_later_and_loses_nothing() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let stream: Vec<u8> = (0..7).flat_map(|id| framed(&query(id, "a", 1))).collect();
    assert!(bench.relay.client_data(client, &stream, bench.now).pause, "reading must stop");
    bench.flush();
    bench.open_all();
    let asked = bench.asked();
    assert_eq!(asked.len(), BOUNDS.in_flight);
    for (link, sent) in &asked[..2] {
        bench.answer(*link, &answer(sent));
    }
    let more = bench.asked();
    assert_eq!(more.len(), 2, "half is free, so more goes out");
    assert!(bench.ordered(Kind::Resume).is_empty());
    for (link, sent) in asked[2..].iter().chain(&more) {
        bench.answer(*link, &answer(sent));
    }
    assert_eq!(bench.ordered(Kind::Resume), [client]);
    assert_eq!(bench.asked().len(), 1);
    assert_eq!(bench.got(client).len(), 6);
}

#[test]
fn a_half_closed_client_gets_what_it_is_owed() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let stream: Vec<u8> = (0..6).flat_map(|id| framed(&query(id, "a", 1))).collect();
    bench.relay.client_data(client, &[&stream[..], &[0, 20, 1]].concat(), bench.now);
    bench.relay.client_ended(client, bench.now);
    bench.flush();
    bench.open_all();
    let mut got = 0;
    while got < 6 {
        assert!(bench.ordered(Kind::Close).is_empty());
        for (link, sent) in bench.asked() {
            bench.answer(link, &answer(&sent));
        }
        got += bench.got(client).len();
    }
    assert_eq!(bench.ordered(Kind::Close), [client]);
    assert_eq!(bench.ended(Ending::ByClient), 1);
}

#[test]
fn a_client_that_half_closes_with_nothing_owed_is_closed() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.relay.client_ended(client, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::Close), [client]);
}

#[test]
fn connections_are_bounded_in_all_and_for_each_address() {
    let mut bench = Bench::new(1);
    let four: Vec<Token> = (0..4).map(|_| bench.client_at(1, 0).unwrap()).collect();
    assert_eq!(bench.client_at(1, 0), Err(Ending::ConnectionsPerClient));
    for _ in 0..4 {
        bench.client_at(2, 0).unwrap();
    }
    assert_eq!(bench.client_at(3, 0), Err(Ending::Connections));
    bench.relay.client_lost(four[0], bench.now);
    bench.client_at(1, 0).unwrap();
    assert_eq!((bench.io(Io::ConnectionsAccepted), bench.io(Io::ConnectionsRefused)), (9, 2));
}

#[test]
fn an_idle_client_is_closed_and_one_that_waits_for_an_answer_is_not() {
    let mut bench = Bench::new(1);
    let (idle, waiting) = (bench.client(), bench.client());
    bench.wait(BOUNDS.idle - SECOND);
    bench.send(waiting, &query(1, "a", 1));
    bench.wait(SECOND);
    assert_eq!(bench.ordered(Kind::Close), [idle]);
    assert_eq!((bench.ended(Ending::Idle), bench.io(Io::IdleTimeouts)), (1, 1));
}

#[test]
fn bytes_that_trickle_do_not_extend_the_time_of_a_message() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let bytes = framed(&query(1, "a", 1));
    for byte in &bytes[..4] {
        bench.relay.client_data(client, &[*byte], bench.now);
        assert!(bench.ordered(Kind::Close).is_empty());
        bench.wait(BOUNDS.read / 4);
    }
    assert_eq!(bench.ordered(Kind::Close), [client]);
    assert_eq!((bench.ended(Ending::SlowRead), bench.io(Io::ReadTimeouts)), (1, 1));
}

#[test]
fn each_message_has_its_own_time() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    let bytes = framed(&query(1, "a", 1));
    bench.relay.client_data(client, &bytes[..4], bench.now);
    for _ in 0..3 {
        bench.wait(BOUNDS.read / 2);
        bench.relay.client_data(client, &bytes[4..], bench.now);
        bench.relay.client_data(client, &bytes[..4], bench.now);
    }
    bench.flush();
    assert!(bench.ordered(Kind::Close).is_empty());
}

#[test]
fn a_client_that_takes_no_answers_is_not_read_and_then_aborted() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, &query(1, "a", 1));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    assert!(bench.relay.client_blocked(client, 100, bench.now).pause);
    bench.answer(link, &answer(&sent));
    assert!(bench.got(client).is_empty(), "nothing is written to a full socket");
    bench.send(client, &query(2, "a", 1));
    assert!(bench.asked().is_empty(), "nothing more is taken from it");
    bench.wait(BOUNDS.write - 1);
    bench.relay.client_progressed(client, 50, bench.now);
    bench.wait(BOUNDS.write - 1);
    assert!(bench.ordered(Kind::Abort).is_empty());
    bench.wait(1);
    assert_eq!(bench.ordered(Kind::Abort), [client]);
    assert_eq!((bench.ended(Ending::SlowWrite), bench.io(Io::WriteTimeouts)), (1, 1));
    assert_eq!(bench.verdict(Act::Shed, Reason::TooManyInFlight), 1, "the message that waited is counted");
    bench.relay.client_lost(client, bench.now);
    assert_eq!(bench.relay.status().buffered, 0);
    assert!(bench.totals().balanced());
}

#[test]
fn a_client_that_takes_answers_again_goes_on() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, &query(1, "a", 1));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    bench.relay.client_blocked(client, 100, bench.now);
    bench.send(client, &query(2, "a", 1));
    bench.answer(link, &answer(&sent));
    bench.relay.client_blocked(client, 0, bench.now);
    bench.flush();
    assert_eq!(bench.got(client), [answer(&query(1, "a", 1))]);
    assert_eq!(bench.asked().len(), 1);
    assert_eq!(bench.ordered(Kind::Resume), [client]);
}

#[test]
fn answers_for_a_client_that_takes_none_are_bounded() {
    let mut bench = Bench::with(1, Bounds { in_flight: 200, ..BOUNDS });
    let client = bench.client();
    for id in 0..200 {
        bench.send(client, &query(id, "a", 1));
    }
    bench.open_all();
    bench.relay.client_blocked(client, 100, bench.now);
    let asked = bench.asked();
    for (link, sent) in &asked[..100] {
        bench.answer(*link, &[answer(sent), vec![0; 65_000]].concat());
    }
    assert!(bench.ordered(Kind::Abort).is_empty());
    for (link, sent) in &asked[100..] {
        bench.answer(*link, &[answer(sent), vec![0; 65_000]].concat());
    }
    assert_eq!(bench.ordered(Kind::Abort), [client]);
    assert_eq!(bench.ended(Ending::Memory), 1);
    assert!(bench.relay.status().buffered < (8 << 20) + 70_000);
}

#[test]
fn while_much_waits_to_be_written_nothing_more_is_asked() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, &query(1, "a", 1));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    bench.relay.link_data(link, &framed(&[answer(&sent), vec![0; 65_511]].concat()), bench.now);
    assert!(bench.relay.client_data(client, &framed(&query(2, "a", 1)), bench.now).pause);
    assert_eq!(bench.totals().received(Transport::Tcp), 1);
    bench.flush();
    assert_eq!(bench.ordered(Kind::Resume), [client]);
    assert_eq!(bench.asked().len(), 1);
}

#[test]
fn many_clients_that_take_none_are_bounded_together() {
    let mut bench = Bench::new(1);
    let (first, second) = (bench.client(), bench.client());
    bench.relay.client_blocked(first, 60 << 20, bench.now);
    bench.relay.client_blocked(second, 3 << 20, bench.now);
    bench.flush();
    assert!(bench.ordered(Kind::Abort).is_empty());
    bench.relay.client_progressed(first, 62 << 20, bench.now);
    bench.relay.client_blocked(second, 3 << 20, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::Abort), [second]);
}

#[test]
fn a_long_backlog_of_answers_leaves_in_parts_and_the_close_comes_last() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    for id in 0..4 {
        bench.send(client, &query(id, "a", 1));
    }
    bench.relay.client_ended(client, bench.now);
    bench.open_all();
    let asked = bench.asked();
    let link = asked[0].0;
    let answers: Vec<u8> =
        asked.iter().flat_map(|(_, sent)| framed(&[answer(sent), vec![0; 50_000]].concat())).collect();
    bench.relay.link_data(link, &answers, bench.now);
    let mut written = Vec::new();
    loop {
        let mut part = 0;
        let orders = bench.relay.flush(bench.now, |_, _, bytes| part = bytes.len());
        written.push(part);
        if orders.iter().any(|order| order.kind == Kind::Close) {
            break;
        }
        assert_eq!(orders, [Order { kind: Kind::Again, token: 0, slot: 0 }]);
    }
    assert!(written.iter().all(|part| (1..=WRITE_AT_ONCE).contains(part)));
    assert_eq!(written.iter().sum::<usize>(), answers.len());
}

#[test]
fn a_close_that_does_not_end_is_cut_short() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.relay.client_data(client, &[0, 0], bench.now);
    bench.wait(BOUNDS.write);
    assert_eq!(bench.ordered(Kind::Abort), [client]);
}

#[test]
fn draining_answers_what_is_in_flight_and_takes_nobody_new() {
    let mut bench = Bench::new(1);
    let (idle, busy) = (bench.client(), bench.client());
    bench.send(busy, &query(1, "a", 1));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    bench.relay.drain(bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::Close), [idle]);
    assert_eq!(bench.client_at(1, 0), Err(Ending::Drained));
    bench.answer(link, &answer(&sent));
    assert_eq!(bench.got(busy).len(), 1);
    assert_eq!(bench.ordered(Kind::Close), [busy]);
}

#[test]
fn draining_does_not_wait_for_the_rest_of_a_message_that_never_comes() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.relay.client_data(client, &[0, 30, 1], bench.now);
    bench.relay.drain(bench.now);
    bench.flush();
    assert!(bench.ordered(Kind::Close).is_empty(), "it may still come");
    bench.relay.client_ended(client, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::Close), [client]);
}
