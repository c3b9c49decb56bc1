//! Links of one client each, to backends that want a PROXY header.

use std::collections::HashSet;

use super::*;

const ONE: Bounds = Bounds { proxied_connections: 1, ..BOUNDS };

/// The source that the header of a link names.
fn named(bench: &Bench, link: Token) -> String {
    let (_, source, destination) = bench.headers.iter().find(|(token, ..)| *token == link).unwrap();
    assert_eq!(destination.to_string(), "192.0.2.53:53");
    source.to_string()
}

/// Answer all that the backends were asked; how many that was.
fn answer_all(bench: &mut Bench) -> usize {
    bench.open_all();
    let asked = bench.asked();
    for (link, sent) in &asked {
        bench.answer(*link, &answer(sent));
    }
    asked.len()
}

fn send_each(bench: &mut Bench, clients: &[Token], message: &[u8]) {
    for &client in clients {
        bench.send(client, message);
    }
}

fn ids(messages: &[Vec<u8>]) -> Vec<u16> {
    messages.iter().map(|message| id(message)).collect()
}

#[test]
fn each_client_has_a_link_of_its_own_that_names_it_once() {
    for slot in 0..2 {
        let mut bench = Bench::proxied(2, BOUNDS);
        bench.relay.set_health(1 - slot, false, bench.now);
        let clients = [1, 2].map(|host| bench.client_at(host, 0).unwrap());
        send_each(&mut bench, &clients, &query(7, "a", 1));
        send_each(&mut bench, &clients, &query(8, "b", 1));
        bench.open_all();
        let asked = bench.asked();
        assert_eq!((asked.len(), bench.open_links.len(), bench.headers.len()), (4, 2, 2));
        for (link, sent) in &asked {
            bench.answer(*link, &answer(sent));
        }
        let names: HashSet<String> = asked.iter().map(|(link, _)| named(&bench, *link)).collect();
        assert_eq!(names, HashSet::from(["192.0.2.1:40000", "192.0.2.2:40000"].map(String::from)));
        assert_eq!(clients.map(|client| bench.got(client).len()), [2, 2]);
    }
}

#[test]
fn the_link_goes_with_its_client_or_after_a_short_time_without_queries() {
    let mut bench = Bench::proxied(1, BOUNDS);
    let (first, second) = (bench.client_at(1, 0).unwrap(), bench.client_at(2, 0).unwrap());
    send_each(&mut bench, &[first, second], &query(7, "a", 1));
    let links: Vec<Token> = bench.open_links.iter().map(|(token, _)| *token).collect();
    bench.relay.client_lost(first, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::CloseLink), links[..1]);
    assert_eq!(bench.relay.status().in_flight, 1);
    assert_eq!(answer_all(&mut bench), 1);
    bench.wait(2 * SECOND - 1);
    assert!(bench.ordered(Kind::CloseLink).is_empty());
    bench.wait(1);
    assert_eq!(bench.ordered(Kind::CloseLink), links[1..]);
    bench.send(second, &query(8, "b", 1));
    assert_eq!((answer_all(&mut bench), bench.headers.len()), (1, 2));
}

#[test]
fn unanswered_queries_of_a_lost_link_go_on_another_with_its_header() {
    let mut bench = Bench::proxied(1, BOUNDS);
    let client = bench.client();
    for id in [7, 8] {
        bench.send(client, &query(id, "a", 1));
    }
    bench.open_all();
    let asked = bench.asked();
    bench.answer(asked[0].0, &answer(&asked[0].1));
    bench.lose(asked[0].0);
    bench.open_all();
    let (again, sent) = bench.asked_once();
    assert_ne!(again, asked[0].0);
    assert_eq!((sent[2..].to_vec(), named(&bench, again)), (asked[1].1[2..].to_vec(), "192.0.2.1:40000".into()));
    bench.answer(again, &answer(&sent));
    assert_eq!(ids(&bench.got(client)), [7, 8]);
    assert_eq!(bench.relay.status().resent, 1);
}

#[test]
fn a_transfer_has_a_link_of_its_own_with_the_header() {
    let mut bench = Bench::proxied(1, BOUNDS);
    let client = bench.client();
    bench.send(client, &query(7, "", qtype::AXFR));
    bench.send(client, &query(8, "a", 1));
    bench.open_all();
    assert_eq!((bench.headers.len(), bench.relay.status().transfers), (2, 1));
    let asked = bench.asked();
    assert_ne!(asked[0].0, asked[1].0);
    for (link, sent) in asked {
        assert_eq!(named(&bench, link), "192.0.2.1:40000");
        bench.answer(link, &answer(&sent));
    }
    assert_eq!(bench.got(client).len(), 2);
    bench.relay.client_lost(client, bench.now);
    bench.flush();
    assert_eq!((bench.ordered(Kind::CloseLink).len(), bench.relay.status().transfers), (2, 0));
}

#[test]
fn at_the_bound_the_link_that_is_idle_for_longest_makes_room() {
    let mut bench = Bench::proxied(1, Bounds { proxied_connections: 2, ..BOUNDS });
    let clients = [1, 2, 3].map(|host| bench.client_at(host, 0).unwrap());
    for client in [clients[1], clients[0]] {
        bench.send(client, &query(7, "a", 1));
        answer_all(&mut bench);
        bench.wait(SECOND / 2);
    }
    let oldest = bench.open_links[0].0;
    bench.send(clients[2], &query(7, "a", 1));
    assert_eq!(bench.ordered(Kind::CloseLink), [oldest]);
    assert_eq!(answer_all(&mut bench), 1);
    assert_eq!(bench.open_links.len(), 2);
}

#[test]
fn who_asks_without_end_does_not_keep_the_others_out() {
    let mut bench = Bench::proxied(1, ONE);
    let clients = [1, 2, 3].map(|host| bench.client_at(host, 0).unwrap());
    let mut served = [0; 3];
    for round in 0..20 {
        for client in clients {
            bench.send(client, &query(round, "a", 1));
        }
        assert!(bench.open_links.len() <= 1);
        answer_all(&mut bench);
        for (client, count) in clients.iter().zip(&mut served) {
            *count += bench.got(*client).len();
        }
    }
    for _ in 0..60 {
        answer_all(&mut bench);
    }
    for (client, count) in clients.iter().zip(&mut served) {
        *count += bench.got(*client).len();
    }
    assert_eq!(served, [20; 3]);
    assert_eq!(bench.verdict(Act::Forward, Reason::Ok), 60);
    assert_eq!((bench.relay.status().in_flight, bench.relay.waiting), (0, 0));
}

#[test]
fn a_query_that_gets_no_turn_in_time_ends_in_servfail() {
    let mut bench = Bench::proxied(1, ONE);
    let (first, second) = (bench.client_at(1, 0).unwrap(), bench.client_at(2, 0).unwrap());
    bench.send(first, &query(7, "a", 1));
    bench.open_all();
    bench.send(second, &query(8, "b", 1));
    bench.wait(TIMEOUT);
    assert_servfail(&bench.got(first)[0], &query(7, "a", 1));
    assert_servfail(&bench.got(second)[0], &query(8, "b", 1));
    assert_eq!(bench.relay.backends()[0].outstanding, 0);
    bench.send(second, &query(9, "b", 1));
    assert_eq!(bench.asked().len(), 1, "the first query, of the client that is served no more");
    assert_eq!(answer_all(&mut bench), 1);
    assert_eq!(ids(&bench.got(second)), [9]);
}

#[test]
fn who_waits_goes_elsewhere_when_the_backend_fails() {
    let mut bench = Bench::proxied(1, ONE);
    let (first, second) = (bench.client_at(1, 0).unwrap(), bench.client_at(2, 0).unwrap());
    bench.send(first, &query(7, "a", 1));
    bench.send(second, &query(8, "b", 1));
    assert_eq!((bench.relay.waiting, bench.io(Io::BackendConnectionWaits)), (1, 1));
    bench.relay.configure(policy(), ONE, vec![proxied(0), backend(1)], vec![ALL], bench.now);
    bench.relay.set_health(0, false, bench.now);
    bench.flush();
    assert_eq!(bench.relay.waiting, 0);
    assert_eq!(answer_all(&mut bench), 2);
    assert_eq!(ids(&bench.got(second)), [8]);
}

#[test]
fn a_client_that_leaves_the_queue_leaves_nothing_behind() {
    let mut bench = Bench::proxied(1, ONE);
    let clients = [1, 2, 3].map(|host| bench.client_at(host, 0).unwrap());
    send_each(&mut bench, &clients, &query(7, "a", 1));
    bench.relay.client_lost(clients[1], bench.now);
    bench.flush();
    assert_eq!((bench.relay.waiting, bench.relay.status().in_flight), (1, 2));
    assert_eq!(answer_all(&mut bench) + answer_all(&mut bench), 2);
    assert_eq!(bench.got(clients[2]).len(), 1);
}

#[test]
fn a_reload_that_changes_the_header_replaces_the_links() {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, &query(7, "a", 1));
    assert_eq!(answer_all(&mut bench), 1);
    bench.relay.configure(policy(), BOUNDS, vec![proxied(0)], vec![ALL], bench.now);
    bench.send(client, &query(8, "a", 1));
    assert_eq!((bench.ordered(Kind::CloseLink).len(), answer_all(&mut bench), bench.headers.len()), (1, 1, 1));
    bench.relay.configure(policy(), BOUNDS, vec![backend(0)], vec![ALL], bench.now);
    bench.send(client, &query(9, "a", 1));
    assert_eq!((bench.ordered(Kind::CloseLink).len(), answer_all(&mut bench)), (1, 1));
    assert_eq!(ids(&bench.got(client)), [7, 8, 9]);
}
