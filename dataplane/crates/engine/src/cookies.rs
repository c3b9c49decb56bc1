//! DNS cookies for the whole fleet (RFC 7873, RFC 9018): who shows a valid one has received an answer of ours at the
//! address that it asks from, so it is no forger.
//!
//! ```text
//! tag = SipHash-2-4(secret, client cookie 8 | version 1 | reserved 3 | time stamp 4 | client address 4 or 16)
//! ```
//! Every gateway, and every name server with the same secret, makes and knows the same cookies. The tag is compared as
//! one word, so that the time it takes says nothing of it.

use std::net::IpAddr;
use std::num::NonZeroU16;

use siphasher::sip::SipHasher24;
use wire::{COOKIE_VERSION, Cookie, CookiePlace, Query, Transport, labelled, opcode};

use crate::decide::{CookieDue, Treatment};

/// Seconds for which a server cookie is good, and by which it may be ahead of our clock (RFC 9018 section 4.3).
const LIFETIME: i32 = 3600;
const AHEAD: i32 = 300;
/// Seconds after which a client gets a fresh one.
const FRESH: i32 = 1800;
/// Bytes of the largest message that a datagram can hold.
const MOST_UDP: u16 = 65_507;
/// Secrets that are accepted besides the one in use.
pub const MAX_ACCEPTED: usize = 3;

/// 16 bytes that all servers behind one name share.
pub type CookieSecret = [u8; 16];

labelled! {
    /// What a message showed.
    pub enum Shown {
        /// No cookie.
        None = "none",
        /// A client cookie alone: the first query of a client.
        Client = "client",
        /// A server cookie of ours that is not too old.
        Valid = "valid",
        /// One of ours that is older than an hour, or more than five minutes ahead.
        Expired = "expired",
        /// One that is not ours, or not for this address.
        Bad = "bad",
    }
}

impl Shown {
    /// Where it is counted.
    pub(crate) const fn cell(self, transport: Transport) -> usize {
        transport as usize * Self::COUNT + self as usize
    }
}

/// What is done with a query over UDP that shows no valid cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unverified {
    #[default]
    Pass,
    /// BADCOOKIE with a fresh cookie, if it shows one at all (RFC 7873 section 5.2.3).
    Badcookie,
    /// TC, whatever it shows, so that the client comes back over TCP or with a cookie.
    Truncate,
}

/// What the cookies are compiled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieSpec {
    pub secret: CookieSecret,
    pub accepted: [Option<CookieSecret>; MAX_ACCEPTED],
    pub unverified: Unverified,
    /// One in so many unverified queries is answered, the others are dropped.
    pub slip: u32,
    /// Backends get the option as the client sent it.
    pub forward: bool,
}

/// What is known of a sender by its cookie, and the cookie of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub shown: Shown,
    pub reply: Option<Cookie>,
}

impl Seen {
    pub const NOTHING: Self = Self { shown: Shown::None, reply: None };

    /// With the reply the client will have a valid cookie that it did not have before.
    pub fn learns(&self) -> bool {
        self.reply.is_some() && !self.is_verified()
    }

    /// The address of the sender is its own.
    pub fn is_verified(&self) -> bool {
        self.shown == Shown::Valid
    }
}

/// What a query without a valid cookie gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    None,
    Badcookie,
    Truncate,
    Drop,
}

#[derive(Debug)]
pub(crate) struct Cookies {
    secret: SipHasher24,
    accepted: Vec<SipHasher24>,
    unverified: Unverified,
    slip: u32,
    pub forward: bool,
}

impl Cookies {
    pub fn new(spec: &CookieSpec) -> Self {
        Self {
            secret: SipHasher24::new_with_key(&spec.secret),
            accepted: spec.accepted.iter().flatten().map(SipHasher24::new_with_key).collect(),
            unverified: spec.unverified,
            slip: spec.slip.max(1),
            forward: spec.forward,
        }
    }

    /// Reads what `message` shows at `place`, and makes the cookie of the reply.
    pub fn see(&self, message: &[u8], place: CookiePlace, client: IpAddr, unix: u32) -> Seen {
        let Some((&own, server)) = place.read(message) else { return Seen::NOTHING };
        let (shown, age) = self.judge(own, server, client, unix);
        let reply = match age {
            // Good for as long again: the client may keep it (RFC 9018 section 4.3).
            Some((cookie, age)) if shown == Shown::Valid && age <= FRESH => cookie,
            _ => {
                let stamp = unix.to_be_bytes();
                Cookie { client: own, stamp, tag: tag(&self.secret, own, COOKIE_VERSION, stamp, client).to_le_bytes() }
            }
        };
        Seen { shown, reply: Some(reply) }
    }

    /// What the server part is, and if it is as we would write it today, the cookie and its age in seconds.
    fn judge(&self, own: [u8; 8], server: &[u8], client: IpAddr, unix: u32) -> (Shown, Option<(Cookie, i32)>) {
        if server.is_empty() {
            return (Shown::Client, None);
        }
        // The reserved bytes are part of what is hashed and need not be 0 (RFC 9018 section 4.2).
        let Ok(&[1, r0, r1, r2, s0, s1, s2, s3, ref given @ ..]) = <&[u8; 16]>::try_from(server) else {
            return (Shown::Bad, None);
        };
        let (head, stamp) = ([1, r0, r1, r2], [s0, s1, s2, s3]);
        let is_by = |secret| tag(secret, own, head, stamp, client) == u64::from_le_bytes(*given);
        let current = is_by(&self.secret);
        if !current && !self.accepted.iter().any(is_by) {
            return (Shown::Bad, None);
        }
        // Serial number arithmetic (RFC 1982), so that 2106 is a year like any other.
        let age = unix.wrapping_sub(u32::from_be_bytes(stamp)).cast_signed();
        let shown = if (-AHEAD..=LIFETIME).contains(&age) { Shown::Valid } else { Shown::Expired };
        (shown, (current && head == COOKIE_VERSION).then_some((Cookie { client: own, stamp, tag: *given }, age)))
    }

    /// How a forwarded query is carried by reason of its cookie. One that is signed is never changed, nor is its answer.
    pub fn treat(&self, treatment: Treatment, query: &Query<'_>, seen: &Seen, transport: Transport) -> Treatment {
        let size = query.edns.map_or(0, |edns| edns.udp_size);
        let most = if transport.is_stream() { u16::MAX } else { size.min(MOST_UDP) };
        let room = NonZeroU16::new(most);
        let cookie = seen.reply.zip(room).filter(|_| !query.signed);
        Treatment {
            verified: seen.is_verified(),
            strip_cookie: cookie.is_some() && !self.forward,
            cookie: cookie.map(|(cookie, room)| CookieDue { cookie, room }),
            ..treatment
        }
    }

    /// What a query over UDP gets that is not verified. `clock` and the ID of the query choose whom slip answers.
    pub fn challenge(&self, query: &Query<'_>, seen: &Seen, clock: u64) -> Challenge {
        let challenge = match (self.unverified, seen.reply) {
            _ if query.opcode != opcode::QUERY => Challenge::None,
            (Unverified::Pass, _) | (Unverified::Badcookie, None) => Challenge::None,
            // Who signs a query takes no unsigned error for its answer; and its own signature is the better proof.
            (Unverified::Badcookie, _) if query.signed => Challenge::None,
            (Unverified::Badcookie, Some(_)) => Challenge::Badcookie,
            (Unverified::Truncate, _) => Challenge::Truncate,
        };
        if challenge != Challenge::None && !self.slips(query.id, clock) { Challenge::Drop } else { challenge }
    }

    /// Whether this one is answered. Keyed, so that nobody can aim at the answers.
    fn slips(&self, id: u16, clock: u64) -> bool {
        if self.slip == 1 {
            return true;
        }
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&clock.to_le_bytes());
        bytes[8..].copy_from_slice(&id.to_le_bytes());
        self.secret.hash(&bytes).is_multiple_of(u64::from(self.slip))
    }
}

#[inline]
fn tag(secret: &SipHasher24, own: [u8; 8], head: [u8; 4], stamp: [u8; 4], client: IpAddr) -> u64 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&own);
    bytes[8..12].copy_from_slice(&head);
    bytes[12..16].copy_from_slice(&stamp);
    let length = match client {
        IpAddr::V4(v4) => {
            bytes[16..20].copy_from_slice(&v4.octets());
            20
        }
        IpAddr::V6(v6) => {
            bytes[16..].copy_from_slice(&v6.octets());
            32
        }
    };
    secret.hash(&bytes[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn secret(text: &str) -> CookieSecret {
        unhex(text).try_into().unwrap()
    }

    fn cookies(current: &str, accepted: Option<&str>) -> Cookies {
        Cookies::new(&CookieSpec {
            secret: secret(current),
            accepted: [accepted.map(secret), None, None],
            unverified: Unverified::Pass,
            slip: 1,
            forward: false,
        })
    }

    fn see(cookies: &Cookies, value: &str, address: &str, unix: u32) -> (Shown, String) {
        let value = unhex(value);
        let place = CookiePlace { opt: 0, value: 0, length: value.len() as u8 };
        let seen = cookies.see(&value, place, address.parse().unwrap(), unix);
        let option = seen.reply.unwrap().option();
        (seen.shown, option[4..].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    /// RFC 9018 appendix A.1: learning a new server cookie.
    #[test]
    fn a_client_cookie_alone_gets_a_server_cookie() {
        let (shown, reply) = see(&cookies(SECRET, None), "2464c4abcf10c957", "198.51.100.100", 1_559_731_985);
        assert_eq!((shown, reply.as_str()), (Shown::Client, "2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
    }

    /// Appendix A.2: the same client, an old cookie that is renewed.
    #[test]
    fn an_aging_cookie_is_valid_and_renewed() {
        let shown = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
        let all = cookies(SECRET, None);
        assert_eq!(see(&all, shown, "198.51.100.100", 1_559_734_385), (Shown::Valid, renewed.into()));
        assert_eq!(see(&all, shown, "198.51.100.100", 1_559_731_985 + 1800), (Shown::Valid, shown.into()));
        assert_eq!(see(&all, shown, "198.51.100.100", 1_559_731_985 + 3600).0, Shown::Valid);
        assert_eq!(see(&all, shown, "198.51.100.100", 1_559_731_985 + 3601).0, Shown::Expired);
        assert_eq!(see(&all, shown, "198.51.100.100", 1_559_731_985 - 300).0, Shown::Valid);
        assert_eq!(see(&all, shown, "198.51.100.100", 1_559_731_985 - 301).0, Shown::Expired);
    }

    /// Appendix A.3: another client, with reserved bytes that another server wrote; by then the cookie is two hours old.
    #[test]
    fn reserved_bytes_are_hashed_and_replaced() {
        let (all, theirs) = (cookies(SECRET, None), "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
        let (shown, reply) = see(&all, theirs, "203.0.113.203", 1_559_734_700);
        assert_eq!((shown, reply.as_str()), (Shown::Expired, "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"));
        let (shown, reply) = see(&all, theirs, "203.0.113.203", 0x5cf7_8f71);
        assert_eq!((shown, &reply[..32]), (Shown::Valid, "fc93fc62807ddb86010000005cf78f71"));
    }

    /// Appendix A.4: IPv6, and a secret that was rotated.
    #[test]
    fn an_accepted_secret_is_renewed_with_the_one_in_use() {
        let rotated = cookies("445536bcd2513298075a5d379663c962", Some("dd3bdf9344b678b185a6f5cb60fca715"));
        let (shown, reply) = see(
            &rotated,
            "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
            "2001:db8:220:1:59de:d0f4:8769:82b8",
            1_559_741_961,
        );
        assert_eq!((shown, reply.as_str()), (Shown::Valid, "22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
    }

    #[test]
    fn what_is_not_ours_is_bad_and_answered_like_a_first_query() {
        let all = cookies(SECRET, None);
        let fresh = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        for (value, address) in [
            (fresh, "198.51.100.101"),
            ("2464c4abcf10c957010000005cf79f111f8130c3eee29481", "198.51.100.100"),
            ("2464c4abcf10c958010000005cf79f111f8130c3eee29480", "198.51.100.100"),
            ("2464c4abcf10c957020000005cf79f111f8130c3eee29480", "198.51.100.100"),
            ("2464c4abcf10c957010000005cf79f11", "198.51.100.100"),
        ] {
            let (shown, reply) = see(&all, value, address, 1_559_731_985);
            assert_eq!((shown, reply.len()), (Shown::Bad, 48), "{value} from {address}");
        }
        assert_eq!(see(&all, "2464c4abcf10c957", "198.51.100.100", 1_559_731_985).1, fresh);
    }

    #[test]
    fn slip_answers_its_share() {
        let spec = CookieSpec {
            secret: [7; 16],
            accepted: [None; MAX_ACCEPTED],
            unverified: Unverified::Truncate,
            slip: 4,
            forward: false,
        };
        let some = Cookies::new(&spec);
        let answered = (0..4000_u64).filter(|&clock| some.slips(7, clock)).count();
        assert!((800..1200).contains(&answered), "{answered} of 4000 are no quarter");
    }
}
