//! NOTIFY messages that Python answers, over a stream. Until then they count as queries of the client in flight, so that
//! its connection waits for the answer.

use engine::{Act, Memory};
use wire::Reason;

use super::client::Ending;
use super::orders::Kind;
use super::{StreamRelay, Token};
use crate::notified::Notified;

impl<M: Memory> StreamRelay<M> {
    /// Keep a NOTIFY for Python and see that it is taken; returned is what becomes of it.
    pub(super) fn hand_over(&mut self, token: Token, message: &[u8]) -> (Act, Reason) {
        let full = (Act::Shed, Reason::NotifyQueueFull);
        let Some(client) = self.clients.get_mut(token) else { return full };
        let (source, asked) = client.ends();
        let first = !self.notifies.is_waiting();
        if !self.notifies.push(source, asked, client.peer.listener, message, token) {
            client.last.get_or_insert(Ending::Dropped);
            return full;
        }
        client.in_flight += 1;
        if first {
            self.outbox.order(Kind::Notified, 0);
        }
        (Act::Reply, Reason::Notify)
    }

    /// The NOTIFY messages that came since the last call. Each is to be answered with `answer_notify`.
    pub fn take_notifies(&mut self) -> Vec<Notified> {
        self.notifies.take()
    }

    /// Answer a NOTIFY, or end its connection without an answer: the client must not wait for one.
    pub fn answer_notify(&mut self, id: u64, answer: Option<&[u8]>, now: u64) {
        let Some(token) = self.notifies.settle(id) else { return };
        let Some(client) = self.clients.get_mut(token) else { return };
        client.in_flight -= 1;
        if client.held && !client.stalled {
            self.revisit.push(token);
        }
        match answer {
            Some(answer) => {
                self.owe(token, now, |out| {
                    out.extend_from_slice(&(answer.len() as u16).to_be_bytes());
                    out.extend_from_slice(answer);
                });
            }
            None => {
                client.last.get_or_insert(Ending::Dropped);
            }
        }
        self.close_if_done(token, now);
        self.settle(now);
    }
}
