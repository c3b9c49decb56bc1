//! What backends do wrong, and what becomes of the queries.

use engine::{BlockAction, BlockSpec, Blocks};

use super::*;
use crate::samples::{Batch, Header};

/// A bench with one client whose query is on a link.
fn asked() -> (Bench, Token, Token, Vec<u8>) {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, &query(7, "a", 1));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    (bench, client, link, sent)
}

#[test]
fn answers_that_do_not_match_are_dropped_and_the_right_one_still_counts() {
    let (mut bench, client, link, sent) = asked();
    let mut wrong_id = answer(&sent);
    wrong_id[1] ^= 1;
    bench.answer(link, &wrong_id);
    let mut wrong_name = answer(&sent);
    wrong_name[13] = b'b';
    bench.answer(link, &wrong_name);
    bench.answer(link, &sent);
    let mut without_question = answer(&sent)[..12].to_vec();
    without_question[5] = 0;
    bench.answer(link, &without_question);
    assert!(bench.got(client).is_empty());
    assert_eq!(bench.dropped(Reason::AnswerUnknownId), 1);
    assert_eq!(bench.dropped(Reason::AnswerWrongQuestion), 2);
    assert_eq!(bench.dropped(Reason::AnswerNotResponse), 1);
    let mut other_case = answer(&sent);
    other_case[12..].make_ascii_uppercase();
    bench.answer(link, &other_case);
    assert_eq!(bench.got(client).len(), 1, "letters count without case");
}

#[test]
fn an_error_may_come_without_its_question() {
    let (mut bench, client, link, sent) = asked();
    let mut error = answer(&sent)[..12].to_vec();
    (error[3], error[5]) = (1, 0);
    bench.answer(link, &error);
    assert_eq!(rcode_of(&bench.got(client)[0]), rcode::FORMERR);
}

#[test]
fn garbage_closes_the_link_and_the_query_is_sent_again() {
    let (mut bench, client, link, sent) = asked();
    bench.relay.link_data(link, &[0, 3, 1, 2, 3], bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::CloseLink), [link]);
    assert_eq!(bench.dropped(Reason::AnswerShort), 1);
    bench.open_all();
    let (again, resent) = bench.asked_once();
    assert_ne!(again, link);
    assert_eq!(resent[2..], sent[2..]);
    bench.answer(again, &answer(&resent));
    assert_eq!(bench.got(client), [answer(&query(7, "a", 1))]);
    assert_eq!(bench.verdict(Act::Forward, Reason::Ok), 1, "a query is counted once however often it is sent");
}

#[test]
fn the_failures_of_a_backend_are_not_put_on_the_next_one_in_its_slot() {
    let (mut bench, client, first, _) = asked();
    bench.lose(first);
    bench.open_all();
    let (second, _) = bench.asked_once();
    bench.lose(second);
    bench.send(client, &query(8, "a", 1));
    assert_eq!(bench.verdict(Act::Reply, Reason::BackendsDown), 1, "a pause, because of two failures in a row");
    let moved = |host| Backend { address: SocketAddr::from(([127, 0, 0, host], 53)), ..backend(0) };
    let configure = |bench: &mut Bench, host| {
        bench.relay.configure(policy(), BOUNDS, vec![moved(host)], vec![], bench.now);
        bench.flush();
    };
    configure(&mut bench, 2);
    bench.send(client, &query(9, "a", 1));
    bench.open_all();
    let (old, _) = bench.asked_once();
    configure(&mut bench, 3);
    bench.orders.clear();
    bench.lose(old);
    assert!(bench.orders.iter().all(|order| order.0 != Kind::Failed), "the one before failed, not this one");
    bench.open_all();
    assert_eq!(bench.asked_once().1[2..], query(9, "a", 1)[2..]);
}

#[test]
fn a_backend_that_never_answers_before_it_closes_is_given_up() {
    let (mut bench, client, first, _) = asked();
    bench.lose(first);
    assert_eq!(bench.orders.iter().filter(|order| order.0 == Kind::Failed).count(), 1);
    bench.open_all();
    let (second, _) = bench.asked_once();
    bench.lose(second);
    // The second failure in a row makes a pause, and there is no other backend.
    assert_servfail(&bench.got(client)[0], &query(7, "a", 1));
    assert_eq!((bench.relay.status().given_up, bench.relay.status().resent), (1, 1));
    bench.send(client, &query(8, "a", 1));
    assert_eq!(bench.verdict(Act::Reply, Reason::BackendsDown), 1);
    bench.now += SECOND;
    bench.send(client, &query(9, "a", 1));
    assert_eq!(bench.open_links.len(), 1, "after the pause it is tried again");
}

#[test]
fn a_query_moves_to_another_backend() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, &query(7, "a", 1));
    let (link, slot) = bench.open_links.remove(0);
    bench.relay.link_failed(link, bench.now);
    bench.flush();
    bench.open_all();
    assert_eq!(bench.open_links.iter().map(|(_, slot)| *slot).collect::<Vec<_>>(), [1 - slot]);
    let (link, sent) = bench.asked_once();
    bench.answer(link, &answer(&sent));
    assert_eq!(bench.got(client).len(), 1);
    assert_eq!((bench.io(Io::BackendConnects), bench.io(Io::BackendConnectErrors)), (2, 1));
}

#[test]
fn a_backend_that_closes_after_each_answer_serves_all() {
    let mut bench = Bench::with(1, Bounds { in_flight: 20, ..BOUNDS });
    let client = bench.client();
    for id in 0..20 {
        bench.send(client, &query(id, "a", 1));
    }
    let mut got = 0;
    while got < 20 {
        bench.open_all();
        let asked = bench.asked();
        let (link, sent) = &asked[0];
        bench.answer(*link, &answer(sent));
        for (link, _) in bench.open_links.clone() {
            bench.lose(link);
        }
        got += bench.got(client).len();
    }
    assert_eq!(bench.relay.status().in_flight, 0);
}

#[test]
fn an_update_is_not_sent_twice() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, &update(3));
    bench.open_all();
    let (link, _) = bench.asked_once();
    bench.lose(link);
    assert_servfail(&bench.got(client)[0], &update(3));
}

#[test]
fn a_query_without_an_answer_ends_in_servfail_and_its_late_answer_is_dropped() {
    let (mut bench, client, link, sent) = asked();
    bench.now += SECOND;
    bench.send(client, &query(8, "b", 1));
    let (_, other) = bench.asked_once();
    bench.wait(TIMEOUT - SECOND - 1);
    bench.answer(link, &answer(&other));
    bench.got(client);
    assert!(bench.got(client).is_empty());
    bench.wait(1);
    assert_servfail(&bench.got(client)[0], &query(7, "a", 1));
    assert_eq!(bench.io(Io::Expired), 1);
    assert!(!bench.orders.contains(&(Kind::Failed, 0, 0)), "it has answered something since");
    assert!(bench.open_links.contains(&(link, 0)), "the link has shown life since, it stays");
    bench.answer(link, &answer(&sent));
    assert!(bench.got(client).is_empty());
    assert_eq!(bench.dropped(Reason::AnswerUnknownId), 1);
}

#[test]
fn a_link_on_which_nothing_comes_is_closed_and_the_others_on_it_move() {
    let (mut bench, client, link, _) = asked();
    bench.now += TIMEOUT / 2;
    bench.send(client, &query(8, "b", 1));
    bench.asked();
    bench.wait(TIMEOUT / 2);
    assert_servfail(&bench.got(client)[0], &query(7, "a", 1));
    assert!(bench.orders.contains(&(Kind::Failed, 0, 0)));
    assert_eq!(bench.ordered(Kind::CloseLink), [link]);
    bench.open_all();
    let (again, sent) = bench.asked_once();
    bench.answer(again, &answer(&sent));
    assert_eq!(bench.got(client), [answer(&query(8, "b", 1))]);
}

#[test]
fn a_connection_that_never_stands_is_given_up() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, &query(7, "a", 1));
    let link = bench.open_links[0].0;
    bench.wait(TIMEOUT);
    assert_servfail(&bench.got(client)[0], &query(7, "a", 1));
    assert_eq!(bench.ordered(Kind::CloseLink), [link]);
}

#[test]
fn an_idle_link_is_closed() {
    let (mut bench, _, link, sent) = asked();
    bench.answer(link, &answer(&sent));
    bench.wait(BOUNDS.idle);
    assert_eq!(bench.ordered(Kind::CloseLink), [link]);
    assert_eq!(bench.relay.status().links, 0);
}

#[test]
fn one_link_carries_the_first_queries_and_no_more_than_allowed_the_rest() {
    let mut bench = Bench::with(1, Bounds { in_flight: 200, ..BOUNDS });
    let client = bench.client();
    for id in 0..64 {
        bench.send(client, &query(id, "a", 1));
    }
    assert_eq!(bench.open_links.len(), 1);
    for id in 0..136 {
        bench.send(client, &query(id, "a", 1));
    }
    bench.open_all();
    assert_eq!(bench.open_links.len(), BOUNDS.backend_connections);
    let asked = bench.asked();
    let of_first = asked.iter().filter(|(link, _)| *link == bench.open_links[0].0).count();
    assert_eq!((asked.len(), of_first), (200, 100));
}

#[test]
fn while_no_link_takes_queries_clients_are_not_read() {
    let mut bench = Bench::with(1, Bounds { backend_connections: 1, ..BOUNDS });
    let clients = [bench.client(), bench.client()];
    bench.send(clients[0], &query(1, "a", 1));
    bench.open_all();
    let (link, _) = bench.asked_once();
    bench.relay.link_blocked(link, true, bench.now);
    for client in clients {
        assert!(bench.send(client, &query(2, "a", 1)), "reading must stop");
    }
    assert!(bench.asked().is_empty());
    assert_eq!(bench.totals().received(Transport::Tcp), 1, "what waits is decided on later");
    bench.relay.link_blocked(link, false, bench.now);
    bench.flush();
    assert_eq!(bench.asked().len(), 2);
    assert_eq!(bench.ordered(Kind::Resume), clients);
}

#[test]
fn what_gathers_for_a_connection_that_does_not_stand_yet_is_bounded() {
    let mut bench = Bench::with(1, Bounds { in_flight: 10_000, backend_connections: 1, ..BOUNDS });
    let client = bench.client();
    let mut padded = [query(1, "a", 1), vec![0, 0, 41, 4, 0, 0, 0, 0, 0, 0x0b, 0xbc, 0, 12, 0x0b, 0xb8]].concat();
    padded[11] = 1;
    padded.resize(padded.len() + 3000, 0);
    let stream: Vec<u8> = framed(&padded).repeat(400);
    assert!(bench.relay.client_data(client, &stream, bench.now).pause);
    assert_eq!(bench.totals().received(Transport::Tcp), (512 << 10) / (padded.len() as u64 + 2) + 1);
    bench.flush();
    bench.open_all();
    assert_eq!(bench.asked().len(), 400, "the rest follows as soon as the first part is written");
    assert_eq!(bench.ordered(Kind::Resume), [client]);
}

#[test]
fn a_blocked_link_is_passed_over() {
    let mut bench = Bench::new(2);
    let client = bench.client();
    bench.send(client, &query(1, "a", 1));
    bench.open_all();
    let (blocked, _) = bench.asked_once();
    for (link, _) in bench.open_links.clone() {
        bench.relay.link_blocked(link, true, bench.now);
    }
    assert!(!bench.send(client, &query(2, "a", 1)));
    bench.open_all();
    assert_ne!(bench.asked_once().0, blocked);
}

#[test]
fn answers_to_a_client_that_is_gone_are_counted() {
    let (mut bench, client, link, sent) = asked();
    bench.relay.client_lost(client, bench.now);
    bench.answer(link, &answer(&sent));
    assert_eq!(bench.dropped(Reason::AnswerClientGone), 1);
    assert_eq!((bench.relay.status().in_flight, bench.relay.status().clients), (0, 0));
    assert_eq!(bench.ended(Ending::ByClient), 1);
}

#[test]
fn a_reload_keeps_clients_and_lets_a_removed_backend_finish() {
    let (mut bench, client, link, sent) = asked();
    bench.relay.configure(policy(), BOUNDS, vec![backend(1)], vec![Grants::default()], bench.now);
    bench.send(client, &query(8, "b", 1));
    bench.send(client, &query(9, "", qtype::AXFR));
    assert_eq!(rcode_of(&bench.got(client)[0]), rcode::REFUSED, "the listener's new grants count at once");
    bench.open_all();
    let (new, other) = bench.asked_once();
    assert!(bench.open_links.contains(&(new, 1)) && bench.open_links.contains(&(link, 0)));
    bench.answer(link, &answer(&sent));
    assert_eq!(bench.ordered(Kind::CloseLink), [link], "with its last answer it closes");
    bench.answer(new, &answer(&other));
    assert_eq!(bench.got(client), [answer(&query(7, "a", 1)), answer(&query(8, "b", 1))]);
}

#[test]
fn many_late_answers_replace_the_link() {
    let mut bench = Bench::with(1, Bounds { in_flight: 1000, backend_connections: 1, ..BOUNDS });
    let client = bench.client();
    for id in 0..300 {
        bench.send(client, &query(id, "a", 1));
    }
    bench.open_all();
    let link = bench.open_links[0].0;
    bench.now += TIMEOUT - 1;
    bench.send(client, &query(999, "b", 1));
    let (_, alive) = bench.asked().pop().unwrap();
    bench.answer(link, &answer(&alive));
    bench.wait(1);
    assert_eq!(bench.ordered(Kind::CloseLink), [link]);
    bench.send(client, &query(1, "a", 1));
    assert_ne!(bench.open_links[0].0, link);
}

#[test]
fn a_blocked_prefix_has_no_connections_and_the_samples_say_what_passed() {
    let blocks = |action| {
        let prefixes = vec![(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 32, action, 5)];
        Some(Arc::new(Blocks::new(BlockSpec { prefixes, names: vec![] }).unwrap()))
    };
    let mut bench = Bench::new(1);
    bench.relay.samples().set_most(8);
    let (good, bad) = (bench.client_at(2, 0).unwrap(), bench.client());
    bench.relay.set_blocks(blocks(BlockAction::Truncate), bench.now);
    bench.flush();
    assert!(bench.ordered(Kind::Close).is_empty(), "truncation means nothing over TCP");
    bench.relay.set_blocks(blocks(BlockAction::Drop), bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::Close), [bad]);
    assert_eq!(bench.client_at(1, 0), Err(Ending::Blocked));
    assert_eq!(bench.ended(Ending::Blocked), 2);
    bench.send(good, &query(7, "a", 1));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    bench.answer(link, &answer(&sent));
    let mut bytes = Vec::new();
    bench.relay.samples().take(&mut bytes);
    let batch = Batch::read(&bytes).unwrap();
    assert_eq!(batch.header, Header { queries: (1, 1), answers: (1, 1) });
    assert!(batch.into_iter().all(|sample| sample.client == IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2))));
    bench.relay.set_blocks(None, bench.now);
    assert!(bench.client_at(1, 0).is_ok());
}
