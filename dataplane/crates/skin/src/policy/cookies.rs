//! The row of `[filters.cookies]`.

use engine::{CookieSecret, CookieSpec, MAX_ACCEPTED, Unverified};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::unknown;

/// The secrets as bytes, the word for unverified queries, and the rest of the table.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct CookieRow {
    secret: Vec<u8>,
    accepted: Vec<Vec<u8>>,
    unverified: String,
    slip: u32,
    forward: bool,
}

impl CookieRow {
    /// # Errors
    /// A secret that has not 16 bytes, too many of them, or a word that is none of the allowed.
    pub fn read(self) -> PyResult<CookieSpec> {
        if self.accepted.len() > MAX_ACCEPTED {
            let text = format!("{} accepted secrets are more than {MAX_ACCEPTED}", self.accepted.len());
            return Err(PyValueError::new_err(text));
        }
        let mut accepted = [None; MAX_ACCEPTED];
        for (place, given) in accepted.iter_mut().zip(&self.accepted) {
            *place = Some(secret(given)?);
        }
        let unverified = match self.unverified.as_str() {
            "pass" => Unverified::Pass,
            "badcookie" => Unverified::Badcookie,
            "truncate" => Unverified::Truncate,
            other => return unknown("choice for unverified queries", other),
        };
        Ok(CookieSpec { secret: secret(&self.secret)?, accepted, unverified, slip: self.slip, forward: self.forward })
    }
}

fn secret(given: &[u8]) -> PyResult<CookieSecret> {
    // The text says nothing of what was given.
    CookieSecret::try_from(given).map_err(|_| PyValueError::new_err("a cookie secret is 16 bytes"))
}
