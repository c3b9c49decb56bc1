//! From the clients to the backends: one readable listener, a bounded number of batches.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use engine::{Act, BackendCount, Client, Io, Memory, Now, Treatment, Verdict, decide_blocked, is_mute};
use wire::proxy::{Protocol, SPP_LENGTH, write_spp};
use wire::{CookiePlace, Echo, Reason, Transport, opcode, rcode, write_reply, write_reply_with};

use super::flows::{Detour, Flow, Via};
use super::proxies::Origin;
use super::sending::{self, Datagram};
use super::{Listener, ROUNDS, UdpRelay, asked_address, headers};
use crate::backends::{Backend, Header, Outcome, Seat};
use crate::cookies;
use crate::overload::ShedReply;
use crate::sys::{Arrival, BATCH, HEADROOM};

/// A query of the batch that goes to a backend: the slot that it stands in, and what is needed to send it or to take it back.
#[derive(Clone, Copy)]
pub(super) struct Forward {
    slot: usize,
    start: usize,
    length: usize,
    to: SocketAddr,
    socket: usize,
    id: u16,
}

/// Where a query stands, and how it came there. `length` is that of the message.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub slot: usize,
    pub arrival: &'a Arrival,
    pub origin: Origin,
    pub length: usize,
}

/// How a query leaves.
struct Leaving {
    to: SocketAddr,
    header: Option<Header>,
    socket: usize,
    id: u16,
}

/// What a flow remembers of its query.
#[derive(Clone, Copy)]
struct Asked {
    client_id: u16,
    question: u64,
    treatment: Treatment,
}

impl<M: Memory> UdpRelay<M> {
    /// Work through what waits at a listener, up to a bound; the loop calls again while more waits.
    pub fn listener_ready(&mut self, listener: usize, now: u64) {
        let Some(&Listener { fd, .. }) = self.listeners.get(listener) else { return };
        for _ in 0..ROUNDS {
            let mut arrivals = std::mem::take(&mut self.arrivals);
            let received = self.queries.receive(fd, &mut arrivals);
            if received.is_ok() && !arrivals.is_empty() {
                self.judge_batch(listener, &arrivals, now);
            }
            let full = arrivals.len() == BATCH;
            self.arrivals = arrivals;
            if received.is_err() {
                self.tally.io(Io::ReceiveErrors, 1);
            }
            if !full {
                return;
            }
        }
    }

    fn judge_batch(&mut self, listener: usize, arrivals: &[Arrival], now: u64) {
        let sockets = self.sockets_in_use(now);
        let mut forwards = std::mem::take(&mut self.forwards);
        self.tally.received(arrivals.len() as u64);
        for (slot, arrival) in arrivals.iter().enumerate() {
            if let Some(forward) = self.judge(listener, slot, arrival, sockets, now) {
                forwards.push(forward);
            }
        }
        self.send_replies(listener);
        self.send_copies();
        self.send_forwards(&mut forwards);
        forwards.clear();
        self.forwards = forwards;
    }

    /// Decide on one query. A reply is built in its place and noted in `replies`; a query to forward is returned.
    fn judge(
        &mut self,
        listener: usize,
        slot: usize,
        arrival: &Arrival,
        sockets: [Option<usize>; 2],
        now: u64,
    ) -> Option<Forward> {
        let origin = match self.origin(listener, slot, arrival, now) {
            Ok(origin) => origin,
            Err(reason) => {
                self.tally.verdict(Act::Drop, reason);
                return None;
            }
        };
        let client = self.client(listener, &origin);
        if arrival.truncated {
            self.tally.verdict(Act::Drop, Reason::TooLarge);
            self.samples.query(&client, Act::Drop, Reason::TooLarge, &self.queries.slot(slot)[origin.header..]);
            return None;
        }
        let (header, message) = self.queries.slot(slot).split_at_mut(origin.header);
        let place = Place { slot, arrival, origin, length: arrival.length - origin.header };
        let mut forward = None;
        let (act, reason) = match decide_blocked(
            &self.policy,
            self.blocks.as_deref(),
            &self.tally.limits(),
            &message[..place.length],
            &Client { tlvs: &header[origin.header - origin.tlvs..], ..client },
            Now::new(now, self.offset),
        ) {
            Verdict::Drop(reason) => (Act::Drop, reason),
            Verdict::Reply { reason, rcode: code, truncated, echo } => {
                let length = write_reply_with(message, echo, code, truncated, self.policy.options(echo.note));
                self.note_reply(&place, length);
                (Act::Reply, reason)
            }
            Verdict::HandOver => self.hand_over(listener, &place),
            Verdict::Forward { query, treatment, .. } => {
                let question = self.fingerprints.of(query.question.as_ref());
                let asked = Asked { client_id: query.id, question, treatment };
                let (echo, op) = (treatment.echo(&query), query.opcode);
                let cookie = query.cookie.filter(|_| treatment.cookie.is_some());
                match self.add_flow(listener, &place, asked, sockets, now) {
                    Ok(leaving) => {
                        forward = Some(self.make_ready(&place, &treatment, cookie, leaving));
                        (Act::Forward, Reason::Ok)
                    }
                    Err(reason) if is_mute(&client) => (Act::Shed, reason),
                    Err(reason) => (self.turn_down(&place, echo, op, reason), reason),
                }
            }
        };
        self.samples.query(&client, act, reason, &self.queries.slot(slot)[origin.header..arrival.length]);
        // What is forwarded is counted when it was sent.
        if act != Act::Forward {
            self.tally.verdict(act, reason);
        }
        forward
    }

    /// What becomes of a good query that no backend takes. Without a backend that works, silence would make the client ask again.
    fn turn_down(&mut self, place: &Place<'_>, echo: Echo, op: u8, reason: Reason) -> Act {
        let (code, truncated) = match (reason, self.admission.reply) {
            (Reason::BackendsDown, _) | (Reason::OverloadVerified, ShedReply::Servfail) => (rcode::SERVFAIL, false),
            // To another opcode NOERROR would say that it was done.
            (Reason::OverloadVerified, ShedReply::Truncate) if op == opcode::QUERY => (rcode::NOERROR, true),
            _ => return Act::Shed,
        };
        let message = &mut self.queries.slot(place.slot)[place.origin.header..];
        let length = write_reply(message, echo, code, truncated);
        self.note_reply(place, length);
        Act::Reply
    }

    /// The client, without what else its proxy says of it.
    fn client(&self, listener: usize, origin: &Origin) -> Client<'static> {
        Client {
            address: origin.client.ip(),
            port: origin.client.port(),
            local: origin.asked.ip(),
            local_port: origin.asked.port(),
            transport: Transport::Udp,
            grants: self.listeners[listener].grants,
            listener: self.listeners[listener].number,
            tlvs: &[],
            server_name: &[],
        }
    }

    /// Who sent what stands in a slot, and where the message starts.
    #[inline]
    fn origin(&mut self, listener: usize, slot: usize, arrival: &Arrival, now: u64) -> Result<Origin, Reason> {
        let door = &self.listeners[listener];
        let asked = SocketAddr::new(asked_address(door, arrival), door.address.port());
        let direct = Origin::direct(arrival.from, asked);
        match &mut self.proxies[listener] {
            None => Ok(direct),
            Some(proxies) => proxies.origin(direct, &self.queries.slot(slot)[..arrival.length], now),
        }
    }

    /// The place of the backend for a query. Under pressure it goes by the class of the client.
    fn choose(&mut self, client: IpAddr, treatment: Treatment, now: u64) -> Result<usize, Reason> {
        let serves = |backend: &Backend| backend.serves(treatment.pool);
        let index = self.backends.choose(serves).ok_or(Reason::BackendsDown)?;
        if !self.backends.at(index).window.is_tight() {
            return Ok(index);
        }
        self.pressed = true;
        let class = self.admission.class(&self.tally, client, treatment, now);
        let roomy = self.backends.choose(|backend| serves(backend) && backend.window.has_room(class.share()));
        self.admission.admitted[class as usize] += u64::from(roomy.is_some());
        roomy.ok_or(class.reason())
    }

    /// Choose the backend and note the query as pending.
    fn add_flow(
        &mut self,
        listener: usize,
        place: &Place<'_>,
        asked: Asked,
        sockets: [Option<usize>; 2],
        now: u64,
    ) -> Result<Leaving, Reason> {
        let Asked { client_id, question, treatment } = asked;
        let Place { arrival, origin, length, .. } = *place;
        let index = self.choose(origin.client.ip(), treatment, now)?;
        let backend = self.backends.at(index);
        let socket = sockets[usize::from(backend.address.is_ipv6())].ok_or(Reason::BackendsDown)?;
        if backend
            .proxy
            .is_some_and(|header| !headers::fits(header, origin.client, origin.asked, length, backend.address))
        {
            return Err(Reason::ProxyNoRoom);
        }
        let told = backend.proxy.is_some_and(|header| header.protocol == Protocol::Spp);
        let via = Via { proxy: origin.client != arrival.from, returns: origin.returns, told };
        let flow = Flow {
            client: origin.client,
            via,
            local: arrival.local,
            listener,
            socket,
            id: 0,
            client_id,
            question,
            treatment,
            backend: backend.slot,
            backend_address: backend.address,
            sent: now,
            deadline: now.saturating_add(backend.timeout),
        };
        let id = self.flows.add(flow).map_err(|_| Reason::FlowTableFull)?;
        if via != Via::default() {
            let mut detour = Detour { proxy: arrival.from, header: [0; SPP_LENGTH] };
            write_spp(&mut detour.header, origin.client, origin.asked);
            self.flows.set_detour(socket, id, detour);
        }
        backend.outstanding += 1;
        backend.window.sent(now);
        self.tally.backend(backend.slot, BackendCount::Queries);
        Ok(Leaving { to: backend.address, header: backend.proxy, socket, id })
    }

    /// Give a query the ID and the header that it leaves with, and the mirror its copy.
    fn make_ready(
        &mut self,
        place: &Place<'_>,
        treatment: &Treatment,
        cookie: Option<CookiePlace>,
        leaving: Leaving,
    ) -> Forward {
        let Place { slot, origin, length, .. } = *place;
        let Leaving { to, header, socket, id } = leaving;
        let start = HEADROOM + origin.header;
        let whole = self.queries.whole(slot);
        let query = &mut whole[start..start + length];
        query[..2].copy_from_slice(&id.to_be_bytes());
        let length = cookie.map_or(length, |cookie| cookies::prepare(query, cookie, treatment));
        if let Some(to) = self.policy.mirror(*treatment) {
            self.copies.push(Datagram { to, local: None, slot, start, length });
        }
        let begin = header.map_or(start, |header| headers::write(header, whole, start, origin.client, origin.asked));
        Forward { slot, start: begin, length: length + (start - begin), to, socket, id }
    }

    fn note_reply(&mut self, place: &Place<'_>, length: usize) {
        let Place { slot, arrival, origin, .. } = *place;
        // What came with an SPP header is answered with it, and there it still stands.
        let header = if origin.returns { origin.header } else { 0 };
        let start = HEADROOM + origin.header - header;
        self.replies.push(Datagram { to: arrival.from, local: arrival.local, slot, start, length: header + length });
    }

    fn send_replies(&mut self, listener: usize) {
        let tally = &self.tally;
        let fd = self.listeners[listener].fd;
        self.sender.send(fd, &self.queries, self.replies.drain(..), |range, error| {
            tally.io(sending::failure(error, Io::ClientBufferFull, Io::ClientSendErrors), range.len() as u64);
        });
    }

    /// Send the copies of a batch to the mirrors. Nobody waits for what becomes of them: they are counted and that is all.
    fn send_copies(&mut self) {
        for ipv6 in [false, true] {
            let family = self.copies.extract_if(.., |copy| copy.to.is_ipv6() == ipv6);
            let Some(fd) = self.mirrors[usize::from(ipv6)] else {
                self.tally.io(Io::MirrorErrors, family.count() as u64);
                continue;
            };
            let (mut all, mut failed) = (0, 0);
            self.sender.send(fd, &self.queries, family.inspect(|_| all += 1), |range, _| failed += range.len() as u64);
            self.tally.io(Io::MirrorCopies, all - failed);
            self.tally.io(Io::MirrorErrors, failed);
        }
    }

    /// Send the queries of a batch, sorted so that those of equal length for one backend leave as one message.
    fn send_forwards(&mut self, forwards: &mut [Forward]) {
        forwards.sort_unstable_by_key(|f| (f.socket, f.to, Reverse(f.length)));
        let mut failed = std::mem::take(&mut self.failed);
        for batch in forwards.chunk_by(|a, b| a.socket == b.socket) {
            let fd = self.sockets[batch[0].socket].fd;
            let datagrams = batch.iter().map(|f| Datagram {
                to: f.to,
                local: None,
                slot: f.slot,
                start: f.start,
                length: f.length,
            });
            let segmented = self.sender.send(fd, &self.queries, datagrams, |range, error| {
                failed.push((range, sending::failure(error, Reason::SendBufferFull, Reason::BackendUnreachable)));
            });
            self.tally.io(Io::SegmentedSends, segmented);
            let mut sent = batch.len() as u64;
            for (range, reason) in failed.drain(..) {
                sent -= range.len() as u64;
                batch[range].iter().for_each(|forward| self.take_back(forward, reason));
            }
            self.tally.verdicts(Act::Forward, Reason::Ok, sent);
        }
        self.failed = failed;
    }

    /// A query could not be sent: forget its flow and count it as shed.
    fn take_back(&mut self, forward: &Forward, reason: Reason) {
        if let Some(flow) = self.flows.remove(forward.socket, forward.id) {
            self.tally.verdict(Act::Shed, reason);
            self.tally.backend(flow.backend, BackendCount::Errors);
            // A full socket buffer is ours and says nothing about the backend.
            let full = reason == Reason::SendBufferFull;
            self.ended(&flow, if full { Outcome::Moved } else { Outcome::TimedOut }, Seat::Free);
        }
    }
}
