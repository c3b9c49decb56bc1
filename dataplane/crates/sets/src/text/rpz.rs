//! Records of a response policy zone (draft-vixie-dnsop-dns-rpz-00) as entries of a list.
//!
//! ```text
//!  owner, below the zone               trigger
//!  www.example.com                     the name asked for
//!  *.example.com                       all names below it
//!  24.0.2.0.192.rpz-client-ip          the client's address: bits, then the address backwards
//!  48.zz.1.db8.2001.rpz-client-ip      the same for IPv6, zz for ::
//!  ... .rpz-ip  .rpz-nsip  .rpz-nsdname    need an answer: counted, not used
//!
//!  CNAME to          action
//!  .                 NXDOMAIN
//!  *.                NODATA
//!  rpz-passthru.     let it pass (also, as of old: the trigger itself)
//!  rpz-drop.         no answer
//!  rpz-tcp-only.     TC over UDP
//!  anything else, and any other type: local data, counted, not used
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::name::{equal, labels};

use super::Stop;
use crate::builder::{ListBuilder, Why};
use crate::list::Effect;
use crate::names::Scope;

/// What of a record matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data<'r> {
    Soa,
    /// To this name, in wire form.
    Cname(&'r [u8]),
    /// A record that DNSSEC adds.
    Signature,
    Other,
}

/// A zone on its way into a list. `apex` is none until the SOA was seen.
pub(crate) struct Zone<'b> {
    pub apex: Option<Vec<u8>>,
    pub builder: &'b mut ListBuilder,
}

impl Zone<'_> {
    /// Takes one record.
    pub(crate) fn record(&mut self, owner: &[u8], data: Data<'_>) -> Result<(), Stop> {
        if data == Data::Soa && self.apex.is_none() {
            self.apex = Some(owner.to_vec());
        }
        let apex = self.apex.as_deref().ok_or(Why::NoOrigin)?;
        let trigger = below(owner, apex).ok_or(Why::OutsideZone)?;
        if trigger.is_empty() || data == Data::Signature {
            return Ok(());
        }
        let mut name = trigger.to_vec();
        name.push(0);
        let last = labels(&name).last().unwrap_or_default();
        let special = |word: &str| last.eq_ignore_ascii_case(word.as_bytes());
        if special("rpz-ip") || special("rpz-nsip") || special("rpz-nsdname") {
            self.builder.report_mut().other_triggers += 1;
            return Ok(());
        }
        let effect = match data {
            Data::Cname(target) => effect(target, &name)?,
            _ => None,
        };
        let Some(effect) = effect else {
            self.builder.report_mut().local_data += 1;
            return Ok(());
        };
        if special("rpz-client-ip") {
            let (address, bits) = client_prefix(&name).ok_or(Why::Client)?;
            return Ok(self.builder.add_prefix(address, bits, effect)?);
        }
        match name.strip_prefix(b"\x01*") {
            Some(parent) => Ok(self.builder.add_name(parent, Scope::Below, effect)?),
            None => Ok(self.builder.add_name(&name, Scope::Exact, effect)?),
        }
    }
}

/// The labels of `owner` that stand before those of `apex`, without a root; none if it does not lie in the zone.
fn below<'o>(owner: &'o [u8], apex: &[u8]) -> Option<&'o [u8]> {
    let mut rest = labels(owner);
    loop {
        let left = rest.rest();
        if left.len() == apex.len() && equal(left, apex) {
            return owner.get(..owner.len() - left.len());
        }
        rest.next()?;
    }
}

/// What a CNAME to `target` wants; nothing if it wants an answer of its own.
fn effect(target: &[u8], trigger: &[u8]) -> Result<Option<Effect>, Why> {
    if equal(target, trigger) {
        return Ok(Some(Effect::Pass));
    }
    let mut parts = labels(target);
    let (first, alone) = (parts.next(), parts.next().is_none());
    Ok(match first {
        None => Some(Effect::Nxdomain),
        Some(b"*") if alone => Some(Effect::Nodata),
        Some(label) if alone && label.len() > 4 && label[..4].eq_ignore_ascii_case(b"rpz-") => {
            Some(match &label.to_ascii_lowercase()[4..] {
                b"passthru" => Effect::Pass,
                b"drop" => Effect::Drop,
                b"tcp-only" => Effect::Truncate,
                _ => return Err(Why::Target),
            })
        }
        Some(_) => None,
    })
}

/// The prefix that `bits.address-backwards.rpz-client-ip` (in wire form) stands for. Bits behind the prefix must be 0.
#[must_use]
pub fn client_prefix(name: &[u8]) -> Option<(IpAddr, u8)> {
    let mut parts: Vec<&str> = labels(name).map(|label| str::from_utf8(label).unwrap_or("?")).collect();
    parts.pop()?;
    parts.reverse();
    let bits = number(parts.pop()?, 10, 128)? as u8;
    let zero = parts.iter().position(|part| part.eq_ignore_ascii_case("zz"));
    if zero.is_none() && parts.len() == 4 {
        let mut octets = [0; 4];
        for (octet, part) in octets.iter_mut().zip(&parts) {
            *octet = number(part, 10, 255)? as u8;
        }
        let address = Ipv4Addr::from(octets);
        let rest = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
        return (bits <= 32 && address.to_bits() & rest == 0).then_some((address.into(), bits));
    }
    let (before, after) = match zero {
        Some(at) if parts.len() <= 8 => (&parts[..at], &parts[at + 1..]),
        None if parts.len() == 8 => (&parts[..], &[][..]),
        _ => return None,
    };
    let mut groups = [0; 8];
    for (group, part) in groups.iter_mut().zip(before) {
        *group = number(part, 16, 0xffff)? as u16;
    }
    for (group, part) in groups.iter_mut().rev().zip(after.iter().rev()) {
        *group = number(part, 16, 0xffff)? as u16;
    }
    let address = Ipv6Addr::from(groups);
    let rest = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
    (address.to_bits() & rest == 0).then_some((address.into(), bits))
}

fn number(text: &str, base: u32, most: u32) -> Option<u32> {
    if text.is_empty() || text.len() > 4 || !text.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    u32::from_str_radix(text, base).ok().filter(|number| *number <= most)
}
