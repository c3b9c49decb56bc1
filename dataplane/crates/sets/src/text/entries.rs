//! One entry of a plain, hosts or CSV list: what it is, and what it covers.

use std::net::IpAddr;

use super::name::{Letters, parse};
use super::{Kind, Source, Stop};
use crate::builder::{ListBuilder, Why};
use crate::list::Effect;
use crate::names::Scope;

pub(crate) struct Entries<'b> {
    pub source: &'b Source,
    pub builder: &'b mut ListBuilder,
    pub scratch: &'b mut Vec<u8>,
}

impl Entries<'_> {
    /// Takes an entry that may be a name, an address or a prefix.
    pub(crate) fn add(&mut self, text: &[u8]) -> Result<(), Stop> {
        if !text.is_ascii() {
            return Err(Why::NotText.into());
        }
        // A name has no colon and no slash, and no name of a host is all digits.
        let numeric = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
        let prefix = prefix(text);
        match (self.source.kind, prefix) {
            (Kind::Names, Some(_)) => Err(Why::PrefixHere.into()),
            (_, Some((address, bits))) => Ok(self.builder.add_prefix(address, bits, Effect::Listed)?),
            (Kind::Either, None) if text.iter().any(|byte| matches!(byte, b':' | b'/')) => Err(Why::NoPrefix.into()),
            (Kind::Either, None) if numeric => Err(Why::Ambiguous.into()),
            (Kind::Prefixes, None) => Err(if parse(text, Letters::Host, None, self.scratch).is_ok() && !numeric {
                Why::NameHere.into()
            } else {
                Why::NoPrefix.into()
            }),
            (_, None) => self.add_name(text),
        }
    }

    /// Takes a name. `*.name` covers what is below, `.name` the name and what is below.
    pub(crate) fn add_name(&mut self, text: &[u8]) -> Result<(), Stop> {
        let plain = if self.source.subdomains { Scope::Suffix } else { Scope::Exact };
        let (scope, text) = match text {
            [b'*', b'.', rest @ ..] => (if self.source.subdomains { Scope::Suffix } else { Scope::Below }, rest),
            [b'.', rest @ ..] if !rest.is_empty() => (Scope::Suffix, rest),
            _ => (plain, text),
        };
        parse(text, Letters::Host, None, self.scratch)?;
        Ok(self.builder.add_name(self.scratch, scope, Effect::Listed)?)
    }
}

/// An address, or a prefix with its bits.
pub(crate) fn prefix(text: &[u8]) -> Option<(IpAddr, u8)> {
    let text = str::from_utf8(text).ok()?;
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
        Some(_) => return None,
        None => most,
    };
    (bits <= most).then_some((address, bits))
}

/// The words of a line, up to a comment: `#` or `;` at the beginning of a word.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .take_while(|word| !matches!(word[0], b'#' | b';'))
}
