//! Transfers to clients.

use super::*;

fn transferring() -> (Bench, Token, Token, Vec<u8>) {
    let mut bench = Bench::new(1);
    let client = bench.client();
    bench.send(client, &query(7, "", qtype::AXFR));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    (bench, client, link, sent)
}

#[test]
fn all_messages_of_a_transfer_pass_on_a_link_of_its_own() {
    let (mut bench, client, link, sent) = transferring();
    bench.send(client, &query(8, "a", 1));
    bench.open_all();
    let (shared, other) = bench.asked_once();
    assert_ne!(shared, link);
    bench.answer(link, &answer(&sent));
    let mut without_question = answer(&sent)[..12].to_vec();
    without_question[5] = 0;
    bench.answer(link, &without_question);
    bench.answer(shared, &answer(&other));
    let got = bench.got(client);
    assert_eq!(got.iter().map(|message| id(message)).collect::<Vec<_>>(), [7, 7, 8]);
    let mut foreign = answer(&sent);
    foreign[0] ^= 1;
    bench.answer(link, &foreign);
    assert_eq!(bench.dropped(Reason::AnswerUnknownId), 1);
}

#[test]
fn when_its_link_ends_the_client_is_closed_once_it_is_owed_nothing_else() {
    let (mut bench, client, link, sent) = transferring();
    bench.answer(link, &answer(&sent));
    bench.send(client, &query(8, "a", 1));
    bench.lose(link);
    assert!(bench.ordered(Kind::Close).is_empty());
    bench.open_all();
    let (shared, other) = bench.asked_once();
    bench.answer(shared, &answer(&other));
    assert_eq!(bench.ordered(Kind::Close), [client]);
    assert_eq!(bench.ended(Ending::TransferOver), 1);
    assert_eq!(bench.relay.status().transfers, 0);
}

#[test]
fn silence_ends_a_transfer_but_not_while_the_client_is_slow() {
    let (mut bench, client, link, sent) = transferring();
    bench.answer(link, &answer(&sent));
    bench.relay.client_blocked(client, 100, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::PauseLink), [link]);
    bench.answer(link, &answer(&sent));
    bench.wait(TIMEOUT + 1);
    assert!(bench.ordered(Kind::CloseLink).is_empty());
    bench.relay.client_blocked(client, 0, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::ResumeLink), [link]);
    assert_eq!(bench.got(client).len(), 2);
    bench.wait(TIMEOUT);
    assert_eq!((bench.ordered(Kind::CloseLink), bench.ordered(Kind::Close)), (vec![link], vec![client]));
}

#[test]
fn a_refused_transfer_leaves_the_client_open() {
    let (mut bench, client, link, sent) = transferring();
    let mut refused = answer(&sent);
    refused[3] = rcode::REFUSED as u8;
    bench.answer(link, &refused);
    assert_eq!(bench.got(client).len(), 1);
    assert_eq!(bench.ordered(Kind::CloseLink), [link]);
    assert!(bench.ordered(Kind::Close).is_empty());
    assert_eq!((bench.relay.status().in_flight, bench.relay.status().transfers), (0, 0));
}

#[test]
fn a_transfer_whose_client_goes_is_ended() {
    let (mut bench, client, link, sent) = transferring();
    bench.answer(link, &answer(&sent));
    bench.relay.client_lost(client, bench.now);
    bench.flush();
    assert_eq!(bench.ordered(Kind::CloseLink), [link]);
    assert_eq!((bench.relay.status().in_flight, bench.relay.status().transfers), (0, 0));
}

#[test]
fn a_transfer_that_has_not_begun_is_sent_again_or_ends_in_servfail() {
    let (mut bench, client, link, _) = transferring();
    bench.lose(link);
    bench.open_all();
    let (again, _) = bench.asked_once();
    assert_ne!(again, link);
    bench.wait(TIMEOUT);
    assert_servfail(&bench.got(client)[0], &query(7, "", qtype::AXFR));
    assert_eq!(bench.ordered(Kind::CloseLink), [again]);
    assert_eq!(bench.relay.status().transfers, 0);
}

#[test]
fn a_transfer_is_not_read_until_what_it_brought_was_taken() {
    let (mut bench, client, link, sent) = transferring();
    let much = framed(&[answer(&sent), vec![0; 60_000]].concat()).repeat(3);
    assert!(bench.relay.link_data(link, &much, bench.now).pause);
    let flush = |bench: &mut Bench| -> Vec<Kind> {
        bench.relay.flush(bench.now, |_, _, _| {}).into_iter().map(|order| order.kind).collect()
    };
    assert_eq!(flush(&mut bench), [Kind::Again]);
    bench.relay.client_blocked(client, 100, bench.now);
    assert_eq!(flush(&mut bench), [], "not resumed: the client took nothing");
    bench.relay.client_blocked(client, 0, bench.now);
    assert_eq!(flush(&mut bench), [Kind::Resume, Kind::Again]);
    for _ in 0..1 {
        assert_eq!(flush(&mut bench), [Kind::Again]);
    }
    assert_eq!(flush(&mut bench), [Kind::ResumeLink]);
}

#[test]
fn a_client_may_run_two_transfers() {
    let (mut bench, client, _, _) = transferring();
    bench.send(client, &query(8, "", qtype::IXFR));
    bench.send(client, &query(9, "", qtype::AXFR));
    assert_servfail(&bench.got(client)[0], &query(9, "", qtype::AXFR));
    assert_eq!(bench.verdict(Act::Reply, Reason::TooManyInFlight), 1);
    assert_eq!(bench.relay.status().transfers, 2);
}
