//! Who is let in when the backends are the bottleneck: shares of the window by class, so that the flood is shed and not the resolvers.
//!
//! ```text
//! class     who                                                              up to
//! verified  a valid cookie, a listed prefix, TCP                             100 % of the window
//! known     answered often, and for a minute and more                         90 %
//! ordinary  seen before                                                       75 %
//! new       not seen before, or over a limit of its prefix that observes          50 %
//! ```
//! Below half of the window nobody asks for the class: without overload, admission is one comparison. What is learned of a prefix is
//! learned in calm times only, so a flood can't make itself known.

use std::net::IpAddr;

use engine::{Memory, Standing, Treatment};
use sets::PrefixSet;
use wire::Reason;

use crate::tally::Tally;

wire::labelled! {
    pub enum Class {
        Verified = "verified",
        Known = "known",
        Ordinary = "ordinary",
        New = "new",
    }
}

impl Class {
    /// Percent of the window up to which it is let in.
    pub const fn share(self) -> u32 {
        match self {
            Self::Verified => 100,
            Self::Known => 90,
            Self::Ordinary => 75,
            Self::New => 50,
        }
    }

    pub const fn reason(self) -> Reason {
        match self {
            Self::Verified => Reason::OverloadVerified,
            Self::Known => Reason::OverloadKnown,
            Self::Ordinary => Reason::OverloadOrdinary,
            Self::New => Reason::OverloadNew,
        }
    }
}

/// What a verified client hears whose datagram is shed. Others hear nothing: their source may be forged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShedReply {
    Drop,
    /// TC: over TCP it waits its turn.
    #[default]
    Truncate,
    Servfail,
}

/// One answer in so many is noted.
const SAMPLE: u16 = 8;

/// The admission of one relay.
#[derive(Default)]
pub struct Admission {
    /// Prefixes that count as verified.
    listed: Option<PrefixSet>,
    pub reply: ShedReply,
    /// Queries let in while the window was tight, by class.
    pub admitted: [u64; Class::COUNT],
}

impl Admission {
    pub fn configure(&mut self, listed: PrefixSet, reply: ShedReply) {
        (self.listed, self.reply) = (Some(listed), reply);
    }

    /// The class of a client, asked for when a window is tight.
    #[cold]
    pub fn class<M: Memory>(&self, tally: &Tally<M>, address: IpAddr, treatment: Treatment, now: u64) -> Class {
        if self.listed.as_ref().is_some_and(|listed| listed.contains(address)) {
            return Class::Verified;
        }
        // Whose address is its own may still ask too much; only the word of the operator is above that.
        if treatment.limited {
            return Class::New;
        }
        if treatment.verified {
            return Class::Verified;
        }
        match tally.familiar().standing(address, now) {
            Standing::Known => Class::Known,
            Standing::Ordinary => Class::Ordinary,
            Standing::New => Class::New,
        }
    }

    /// An answer went to a client in calm times. The `id` that the backend was asked with is random, and chooses which
    /// answers are noted: every eighth one would be that of the same client wherever clients take turns.
    #[inline]
    pub fn note<M: Memory>(&self, tally: &Tally<M>, address: IpAddr, id: u16, now: u64) {
        if id.is_multiple_of(SAMPLE) {
            tally.familiar().note(address, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use engine::Layout;
    use wire::Transport;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MINUTES: u64 = 200 * SECOND;

    fn tally() -> Tally<Vec<AtomicU64>> {
        let layout = Layout::new(1, 64).unwrap();
        let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
        layout.create(&memory, &[7; 32]).unwrap();
        Tally::new(Arc::new(memory), 0, Transport::Udp).unwrap()
    }

    #[test]
    fn who_is_over_a_limit_comes_last_whoever_it_is() {
        let tally = tally();
        let mut admission = Admission::default();
        let [listed, friend, stranger] = ["192.0.2.1", "198.51.100.1", "203.0.113.1"].map(|a| a.parse().unwrap());
        admission.configure(PrefixSet::new([(listed, 32, 1)]).unwrap(), ShedReply::Drop);
        (0..64).for_each(|id| admission.note(&tally, friend, id, SECOND));
        let class = |address, treatment| admission.class(&tally, address, treatment, MINUTES);
        let plain = Treatment::default();
        let (verified, limited) = (Treatment { verified: true, ..plain }, Treatment { limited: true, ..plain });
        let both = Treatment { verified: true, limited: true, ..plain };

        assert_eq!([class(friend, plain), class(stranger, plain)], [Class::Known, Class::New]);
        assert_eq!([class(friend, limited), class(stranger, limited)], [Class::New; 2]);
        assert_eq!([class(stranger, verified), class(stranger, both)], [Class::Verified, Class::New]);
        assert_eq!([class(listed, plain), class(listed, limited)], [Class::Verified; 2], "the operator knows it");
    }
}
