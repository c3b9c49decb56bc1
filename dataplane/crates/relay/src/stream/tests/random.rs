//! Properties: the cutting of streams changes nothing, and no order of events breaks the books.

use proptest::prelude::*;

use super::*;

/// What a client may send: good queries, and others.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        6 => any::<u16>().prop_map(|id| framed(&query(id, "a", 1))),
        1 => any::<u16>().prop_map(|id| framed(&query(id, "", qtype::AXFR))),
        1 => any::<u16>().prop_map(|id| framed(&update(id))),
        1 => prop::collection::vec(any::<u8>(), 12..80).prop_map(|message| framed(&message)),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        2 => (0..4u8).prop_map(|host| entrance::header(Protocol::V2, host, &[])),
    ];
    prop::collection::vec(message, 0..12).prop_map(|parts| parts.concat())
}

/// Cut `bytes` at `cuts`, which repeat.
fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle().take(bytes.len()) {
        let (piece, later) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = later;
    }
    pieces.push(rest);
    pieces
}

/// Messages without their IDs, which are random: sorted, since links are visited in no particular order.
fn without_ids(messages: &[(Token, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = messages.iter().map(|(_, message)| message[2..].to_vec()).collect();
    all.sort();
    all
}

/// What came of a client's stream, and of the answers to it: replies, queries sent, answers, and the books.
type Outcome = (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<Vec<u8>>, Totals, [u64; Ending::COUNT]);

fn relayed(stream: &[u8], junk: &[u8], cuts: &[usize]) -> Outcome {
    let mut bench = Bench::with(1, Bounds { in_flight: 100, ..BOUNDS });
    let client = bench.client();
    for piece in pieces(stream, cuts) {
        bench.relay.client_data(client, piece, bench.now);
    }
    bench.flush();
    let replies = bench.got(client);
    bench.open_all();
    let asked = bench.asked();
    for (link, _) in bench.open_links.clone() {
        let mut answers: Vec<u8> = Vec::new();
        for (_, sent) in asked.iter().filter(|(token, _)| *token == link) {
            answers.extend(framed(&answer(sent)));
            answers.extend(framed(junk));
        }
        for piece in pieces(&answers, cuts) {
            bench.relay.link_data(link, piece, bench.now);
        }
    }
    bench.flush();
    let mut answers = bench.got(client);
    answers.sort();
    let totals = bench.totals();
    assert!(totals.balanced());
    (replies, without_ids(&asked), answers, totals, bench.relay.status().endings)
}

/// An event of the random walk. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Event {
    Connect(u8),
    Send(usize, Vec<u8>, usize),
    HalfClose(usize),
    BlockClient(usize, usize),
    LoseClient(usize),
    OpenLink(usize),
    FailLink(usize),
    Answer(usize, usize),
    Junk(usize, Vec<u8>),
    BlockLink(usize, bool),
    LoseLink(usize),
    Health(usize, bool),
    Reload(usize),
    Wait(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let which = || 0..8usize;
    let event = prop_oneof![
        2 => (0..3u8).prop_map(Event::Connect),
        6 => (which(), stream(), 1..30usize).prop_map(|(client, bytes, cut)| Event::Send(client, bytes, cut)),
        1 => which().prop_map(Event::HalfClose),
        2 => (which(), 0..3usize).prop_map(|(client, unsent)| Event::BlockClient(client, 20_000 * unsent)),
        1 => which().prop_map(Event::LoseClient),
        4 => which().prop_map(Event::OpenLink),
        1 => which().prop_map(Event::FailLink),
        6 => (which(), 0..5usize).prop_map(|(link, count)| Event::Answer(link, count)),
        1 => (which(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(link, bytes)| Event::Junk(link, bytes)),
        2 => (which(), any::<bool>()).prop_map(|(link, blocked)| Event::BlockLink(link, blocked)),
        1 => which().prop_map(Event::LoseLink),
        1 => (0..2usize, any::<bool>()).prop_map(|(slot, healthy)| Event::Health(slot, healthy)),
        1 => (1..3usize).prop_map(Event::Reload),
        2 => (0..4 * SECOND).prop_map(Event::Wait),
    ];
    prop::collection::vec(event, 0..80)
}

/// Backends of which the one in slot `named` wants a PROXY header.
fn mixed(count: usize, named: usize) -> Vec<Backend> {
    (0..count).map(|slot| if slot == named { proxied(slot) } else { backend(slot) }).collect()
}

/// The bench, with what a random walk has to remember.
struct Walk {
    bench: Bench,
    clients: Vec<Token>,
    asked: Vec<(Token, Vec<u8>)>,
}

impl Walk {
    fn client(&self, number: usize) -> Option<Token> {
        self.clients.get(number % self.clients.len().max(1)).copied()
    }

    fn link(&self, number: usize) -> Option<Token> {
        let links = &self.bench.open_links;
        links.get(number % links.len().max(1)).map(|(token, _)| *token)
    }

    fn step(&mut self, event: Event) {
        let now = self.bench.now;
        match event {
            Event::Connect(host) => self.clients.extend(self.bench.client_at(host, usize::from(host) % 2)),
            Event::Send(number, bytes, cut) => {
                if let Some(client) = self.client(number) {
                    bytes.chunks(cut).for_each(|piece| {
                        self.bench.relay.client_data(client, piece, now);
                    });
                }
            }
            Event::HalfClose(number) => {
                self.client(number).into_iter().for_each(|token| self.bench.relay.client_ended(token, now));
            }
            Event::BlockClient(number, unsent) => self.client(number).into_iter().for_each(|token| {
                self.bench.relay.client_blocked(token, unsent, now);
            }),
            Event::LoseClient(number) => {
                if let Some(client) = self.client(number) {
                    self.clients.retain(|token| *token != client);
                    self.bench.relay.client_lost(client, now);
                }
            }
            Event::OpenLink(number) => {
                self.link(number).into_iter().for_each(|token| self.bench.relay.link_opened(token));
            }
            Event::FailLink(number) => {
                if let Some(link) = self.link(number) {
                    self.bench.open_links.retain(|(token, _)| *token != link);
                    self.bench.relay.link_failed(link, now);
                }
            }
            Event::Answer(number, count) => {
                let Some(link) = self.link(number) else { return };
                for _ in 0..count {
                    let Some(index) = self.asked.iter().position(|(token, _)| *token == link) else { break };
                    let (_, sent) = self.asked.swap_remove(index);
                    self.bench.relay.link_data(link, &framed(&answer(&sent)), now);
                }
            }
            Event::Junk(number, bytes) => {
                self.link(number).into_iter().for_each(|token| {
                    self.bench.relay.link_data(token, &bytes, now);
                });
            }
            Event::BlockLink(number, blocked) => {
                self.link(number).into_iter().for_each(|token| self.bench.relay.link_blocked(token, blocked, now));
            }
            Event::LoseLink(number) => self.link(number).into_iter().for_each(|token| self.bench.lose(token)),
            Event::Health(slot, healthy) => self.bench.relay.set_health(slot, healthy, now),
            Event::Reload(count) => {
                let backends = mixed(count, count % 2);
                self.bench.relay.configure(policy(), BOUNDS, backends, vec![ALL, Grants::default()], now);
            }
            Event::Wait(time) => self.bench.wait(time),
        }
        self.bench.flush();
        self.asked.extend(self.bench.asked());
        for token in [self.bench.ordered(Kind::Close), self.bench.ordered(Kind::Abort)].concat() {
            self.clients.retain(|client| *client != token);
            self.bench.relay.client_lost(token, now);
        }
    }

    /// Everyone leaves and time passes: nothing may be left on any account.
    fn end(mut self) {
        self.bench.relay.drain(self.bench.now);
        for client in self.clients {
            self.bench.relay.client_lost(client, self.bench.now);
        }
        for _ in 0..4 {
            self.bench.wait(BOUNDS.idle);
        }
        let status = self.bench.relay.status();
        assert_eq!((status.clients, status.in_flight, status.transfers, status.buffered), (0, 0, 0, 0));
        assert_eq!(status.links, 0, "idle links are closed");
        assert_eq!((self.bench.relay.waiting, self.bench.relay.tally.crowd().total()), (0, 0));
        assert!(self.bench.relay.ways.iter().all(|way| way.places() == 0 && way.waiting.is_empty()));
        assert!(self.bench.relay.backends().iter().all(|backend| backend.outstanding == 0));
        let io = |what| self.bench.io(what);
        assert_eq!(io(Io::ConnectionsAccepted), io(Io::ConnectionsClosed));
        let ended: u64 = status.endings.iter().sum();
        assert_eq!(ended, io(Io::ConnectionsClosed) + io(Io::ConnectionsRefused));
    }
}

proptest! {
    /// Any cutting of the client's and the backend's streams gives the same replies, queries, answers and counts.
    #[test]
    fn any_cutting_gives_the_same(
        stream in stream(),
        junk in prop::collection::vec(any::<u8>(), 12..40),
        cuts in prop::collection::vec(1..40usize, 1..10),
    ) {
        prop_assert_eq!(relayed(&stream, &junk, &cuts), relayed(&stream, &junk, &[usize::MAX]));
    }

    /// No order of events panics, loses count of a message, or leaves anything behind.
    #[test]
    fn the_books_balance_after_any_events(events in events(), named in 0..3usize, required in any::<bool>()) {
        let bounds = Bounds { proxied_connections: 1, ..BOUNDS };
        let mut bench = Bench::towards(mixed(2, named), bounds);
        // Host 1 at listener 1 is a proxy.
        bench.relay.set_proxies(vec![None, Some(entrance::proxies(Protocol::V2, required, 1))]);
        let mut walk = Walk { bench, clients: Vec::new(), asked: Vec::new() };
        for event in events {
            walk.step(event);
            prop_assert!(walk.bench.totals().balanced());
            let status = walk.bench.relay.status();
            prop_assert!(status.clients <= BOUNDS.connections);
            prop_assert!(walk.bench.relay.ways.iter().all(|way| way.places() <= BOUNDS.proxied_connections));
            prop_assert!(status.in_flight <= BOUNDS.connections * BOUNDS.in_flight + 64);
        }
        walk.end();
    }
}
