//! The PROXY header at the beginning of a client's connection, where a listener expects one (proxy-protocol.txt section 2).
//!
//! ```text
//! connection -> from a listed proxy -- no --> closed; or a client of its own, where the header is not required
//!                 | yes
//!               expected -- whole -----------------> the client is who the header says, and counted as such
//!                        -- LOCAL, unknown family -> the proxy itself is the client
//!                        -- none, malformed, late -> closed; without one a client of its own, where it is not required
//! ```
//! Until the header has come, the connection counts in total but not for an address: all that a proxy brings come from
//! its own.

use engine::{Act, Memory};
use sets::PrefixSet;
use wire::Reason;
use wire::proxy::{Fault, Header, Protocol, V1_MAX, V2_MAX};

use super::client::Ending;
use super::{StreamRelay, Token};

/// Proxies before a listener, and what they send.
#[derive(Debug)]
pub struct Proxies {
    pub protocol: Protocol,
    pub from: PrefixSet,
    /// No client comes without a header.
    pub required: bool,
    /// Nanoseconds from the connection until the header is whole.
    pub timeout: u64,
}

/// What has to come before the first message of a client.
#[derive(Debug)]
pub struct Expected {
    protocol: Protocol,
    required: bool,
    deadline: u64,
    /// What has come of it.
    bytes: Vec<u8>,
}

impl Expected {
    /// Whether its time is up. A client that need not send a header may be silent.
    pub fn is_late(&self, now: u64) -> bool {
        now >= self.deadline && (self.required || !self.bytes.is_empty())
    }
}

impl<M: Memory> StreamRelay<M> {
    /// The proxies of each listener by its number. What was expected of connections that are open stays.
    pub fn set_proxies(&mut self, proxies: Vec<Option<Proxies>>) {
        self.proxies = proxies;
    }

    /// What is expected of a connection from `address`, if it is a proxy's.
    ///
    /// # Errors
    /// The listener has nothing for this address.
    pub(super) fn expect(
        &self,
        listener: usize,
        address: std::net::IpAddr,
        now: u64,
    ) -> Result<Option<Box<Expected>>, Ending> {
        let Some(Some(proxies)) = self.proxies.get(listener) else { return Ok(None) };
        let &Proxies { protocol, required, timeout, .. } = proxies;
        match proxies.from.contains(address) {
            true => {
                let deadline = now.saturating_add(timeout);
                Ok(Some(Box::new(Expected { protocol, required, deadline, bytes: Vec::new() })))
            }
            false if required => Err(Ending::ProxySource),
            false => Ok(None),
        }
    }

    /// Take the header from a client's new bytes; what follows it. None when nothing does, for now or at all.
    pub(super) fn take_header<'d>(&mut self, token: Token, data: &'d [u8], now: u64) -> Option<&'d [u8]> {
        let client = self.clients.get_mut(token).filter(|client| client.closing.is_none())?;
        let Some(mut expected) = client.expected.take() else { return Some(data) };
        let before = expected.bytes.len();
        let longest = if expected.protocol == Protocol::V1 { V1_MAX } else { V2_MAX };
        let (first, _) = data.split_at(data.len().min(longest - before));
        expected.bytes.extend_from_slice(first);
        match expected.protocol.parse(&expected.bytes) {
            Ok(None) => {
                client.expected = Some(expected);
                None
            }
            Ok(Some(header)) => {
                let rest = data.get(header.length - before..)?;
                self.enter(token, &header, now).then_some(rest)
            }
            Err(Fault::Missing) if !expected.required => {
                if !self.enter_as_itself(token, now) {
                    return None;
                }
                self.pump(token, &expected.bytes[..before], now);
                Some(data)
            }
            Err(fault) => {
                self.turn_away(token, fault, now);
                None
            }
        }
    }

    /// Let the client in under the address of its header. False: it may not come in.
    fn enter(&mut self, token: Token, header: &Header<'_>, now: u64) -> bool {
        let Some(client) = self.clients.get_mut(token) else { return false };
        client.active = now;
        let (Some(source), Some(destination)) = (header.source, header.destination) else { return true };
        (client.peer.address, client.peer.port) = (source.ip(), source.port());
        (client.peer.local, client.peer.local_port) = (destination.ip(), destination.port());
        client.tlvs = header.tlvs.into();
        self.enter_as_itself(token, now)
    }

    /// Count the client under its address. False: it may not come in.
    fn enter_as_itself(&mut self, token: Token, now: u64) -> bool {
        match self.recount(token, now) {
            Ok(()) => true,
            Err(ending) => {
                self.close(token, ending, now);
                false
            }
        }
    }

    /// Close a connection of a proxy for what is no header. It is no sample: one mistake of a proxy must not block all
    /// its clients.
    fn turn_away(&mut self, token: Token, fault: Fault, now: u64) {
        let reason = fault.reason();
        self.tally.received(1);
        self.tally.verdict(Act::Drop, reason);
        let ending = if reason == Reason::ProxyMissing { Ending::ProxyMissing } else { Ending::ProxyMalformed };
        self.close(token, ending, now);
    }
}
