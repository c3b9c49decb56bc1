//! Messages that come by way of a proxy: from whom, behind which header, and who the client within it is.
//!
//! ```text
//! from a listed proxy:  | header | message |   -> the client and the address it asked, as the header has them
//! spectrum:             | header |, then | message |, | message |, ...   the header holds for all that comes from there
//! ```
//! Nothing is guessed. A header counts only from the listed addresses; what comes from there without one is dropped, unless the listener
//! says that headers are not required.

use std::net::SocketAddr;

use sets::PrefixSet;
use wire::Reason;
use wire::proxy::{Fault, Header, Protocol, missing_or_cut};

use super::sessions::Sessions;

/// Where a message comes from, and where in its datagram it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub client: SocketAddr,
    /// The address that the client asked.
    pub asked: SocketAddr,
    /// Bytes of the header before the message, and of the TLVs at its end.
    pub header: usize,
    pub tlvs: usize,
    /// The header has to stand before the reply as well (SPP).
    pub returns: bool,
}

impl Origin {
    /// Of a message that its client sent to us itself.
    pub const fn direct(client: SocketAddr, asked: SocketAddr) -> Self {
        Self { client, asked, header: 0, tlvs: 0, returns: false }
    }

    fn of(self, header: &Header<'_>) -> Self {
        Self {
            client: header.source.unwrap_or(self.client),
            asked: header.destination.unwrap_or(self.asked),
            header: header.length,
            tlvs: header.tlvs.len(),
            returns: false,
        }
    }
}

/// Where headers stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Before every datagram.
    Each(Protocol),
    /// PROXY v2 before the first datagram of a client, or in one of its own. `idle` nanoseconds end it.
    Once { idle: u64, sessions: usize },
}

/// The proxies of a listener.
pub struct Proxies {
    from: PrefixSet,
    required: bool,
    placing: Placing,
    sessions: Sessions,
}

impl Proxies {
    /// `required`: whatever else comes is dropped; else it is taken as its own client.
    pub fn new(from: PrefixSet, required: bool, placing: Placing) -> Self {
        Self { from, required, placing, sessions: Sessions::default() }
    }

    /// Take over what `old` remembers, as far as it is still of use.
    pub fn inherit(&mut self, old: Self) {
        self.sessions = old.sessions;
    }

    /// Reads the header of `datagram`, or finds out that it needs none. `direct` is the origin as the socket shows it.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn origin(&mut self, direct: Origin, datagram: &[u8], now: u64) -> Result<Origin, Reason> {
        let protocol = match self.placing {
            Placing::Each(protocol) => protocol,
            Placing::Once { .. } => Protocol::V2,
        };
        let listed = self.from.contains(direct.client.ip());
        if !listed && self.required {
            return Err(Reason::ProxySource);
        }
        let header = match protocol.parse(datagram) {
            Ok(Some(header)) => Ok(header),
            Ok(None) => Err(missing_or_cut(protocol, datagram)),
            Err(fault) => Err(fault),
        };
        if !listed {
            return if header == Err(Fault::Missing) { Ok(direct) } else { Err(Reason::ProxySource) };
        }
        match (self.placing, header) {
            (Placing::Each(protocol), Ok(header)) => {
                Ok(Origin { returns: protocol == Protocol::Spp, ..direct.of(&header) })
            }
            (Placing::Once { idle, sessions }, Ok(header)) => {
                let origin = direct.of(&header);
                let key = (direct.client, direct.asked.ip());
                self.sessions.open(key, (origin.client, origin.asked), now, idle, sessions);
                if header.length == datagram.len() { Err(Reason::ProxySession) } else { Ok(origin) }
            }
            (Placing::Once { idle, .. }, Err(Fault::Missing)) => {
                let found = self.sessions.find((direct.client, direct.asked.ip()), now, idle);
                found.map(|(client, asked)| Origin::direct(client, asked)).ok_or(Reason::ProxyMissing)
            }
            (Placing::Each(_), Err(Fault::Missing)) if !self.required => Ok(direct),
            (_, Err(fault)) => Err(fault.reason()),
        }
    }

    /// Sessions that had to make room for others since the last look.
    pub fn take_evicted(&mut self) -> u64 {
        self.sessions.take_evicted()
    }
}

#[cfg(test)]
mod tests;
