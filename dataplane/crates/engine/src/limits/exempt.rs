//! Clients that a limit does not look at.

use std::net::IpAddr;

use sets::PrefixSet;

/// Prefixes, compiled; without any a look costs a branch.
#[derive(Debug)]
pub(crate) struct Exempt(Option<PrefixSet>);

impl Exempt {
    /// # Errors
    /// What is out of range.
    pub(crate) fn new(prefixes: &[(IpAddr, u8)]) -> Result<Self, String> {
        if prefixes.is_empty() {
            return Ok(Self(None));
        }
        let set = PrefixSet::new(prefixes.iter().map(|&(address, bits)| (address, bits, 0)));
        Ok(Self(Some(set.map_err(|error| error.to_string())?)))
    }

    #[inline]
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.as_ref().is_some_and(|set| set.contains(address))
    }
}
