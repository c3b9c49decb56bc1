//! Time passes: everything that is due is looked for in one walk over the tables, a few times a second. The walk costs
//! nanoseconds an entry and needs no timer per connection; a time-out is late by one tick at most.

use engine::{BackendCount, Io, Memory};

use super::flows::Kind;
use super::link::Link;
use super::orders::Kind as OrderKind;
use super::owned::IDLE;
use super::{StreamRelay, Token};
use crate::backends::Outcome;

impl<M: Memory> StreamRelay<M> {
    /// Give up what is overdue.
    pub fn tick(&mut self, now: u64) {
        self.send_delayed(now);
        self.expire_flows(now);
        self.backends.look(now);
        for slot in self.backends.take_silent() {
            self.outbox.failed(slot);
        }
        self.mind_the_door(now);
        self.close_overdue_clients(now);
        self.close_idle_links(now);
        self.settle(now);
    }

    fn expire_flows(&mut self, now: u64) {
        let due: Vec<Token> =
            self.flows.iter().filter(|(_, flow)| flow.deadline <= now).map(|(token, _)| token).collect();
        let mut dead = Vec::new();
        for token in due {
            let Some(flow) = self.flows.get(token) else { continue };
            let (link_token, id, client, sent) = (flow.link, flow.id, flow.client, flow.sent);
            if flow.kind == (Kind::Transfer { started: true }) {
                self.end_link(link_token);
                self.close_after_transfer(client, now);
                continue;
            }
            self.tally.io(Io::Expired, 1);
            if let Some((slot, _)) = flow.backend {
                self.tally.backend(slot, BackendCount::Timeouts);
            }
            self.give_up(token, Outcome::TimedOut, now);
            let Some(link) = self.links.get_mut(link_token) else { continue };
            let many_late = link.give_up(id);
            if !link.open || link.heard <= sent || link.transfer {
                dead.push(link_token);
            } else if many_late {
                self.retire(link_token);
            } else {
                self.close_if_spent(link_token);
            }
        }
        // Nothing came on these since the query was sent: what else waits there has better chances elsewhere.
        for link in dead {
            if let Some(Link { slot, open, retiring, .. }) = self.links.get(link) {
                if !open && !retiring {
                    self.ways[*slot].failed(now);
                }
                self.outbox.order(OrderKind::CloseLink, link);
                self.lose(link, now);
            }
        }
    }

    fn close_overdue_clients(&mut self, now: u64) {
        let (bounds, (idle, _)) = (self.bounds, self.patience());
        let mut overdue = Vec::new();
        for (token, client) in self.clients.iter_mut() {
            match client.closing {
                Some(since) if now.saturating_sub(since) >= bounds.write => {
                    client.closing = Some(now);
                    self.outbox.order(OrderKind::Abort, token);
                }
                Some(_) => {}
                None => {
                    if let Some(ending) = client.overdue(now, idle, bounds.read, bounds.write) {
                        overdue.push((token, ending));
                    }
                }
            }
        }
        for (token, ending) in overdue {
            self.close(token, ending, now);
        }
    }

    fn close_idle_links(&mut self, now: u64) {
        let longest = |link: &Link| if link.owner.is_some() { self.bounds.idle.min(IDLE) } else { self.bounds.idle };
        let idle: Vec<Token> = self
            .links
            .iter()
            .filter(|(_, link)| link.live() == 0 && now.saturating_sub(link.heard) >= longest(link))
            .map(|(token, _)| token)
            .collect();
        for token in idle {
            self.close_link(token);
        }
    }
}
