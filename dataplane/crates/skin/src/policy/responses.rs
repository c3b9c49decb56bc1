//! The row of response limits.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::ResponseSpec;
use pyo3::prelude::*;
use wire::AnswerClass;

use super::limits::{algorithm, unit};
use super::unknown;

/// Response limits as `filters.responses` writes them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct ResponseRow {
    /// By class; one that is missing has no limit.
    rates: BTreeMap<String, u32>,
    all: u32,
    window: u32,
    unit: String,
    algorithm: String,
    prefixes: (u8, u8),
    slip: u32,
    observe: bool,
    exempt: Vec<(IpAddr, u8)>,
}

impl ResponseRow {
    pub fn read(self) -> PyResult<ResponseSpec> {
        let mut rates = [0; AnswerClass::COUNT];
        for (word, rate) in &self.rates {
            match AnswerClass::ALL.into_iter().find(|class| class.label() == word) {
                Some(class) => rates[class as usize] = *rate,
                None => return unknown("class of answers", word),
            }
        }
        Ok(ResponseSpec {
            rates,
            all: self.all,
            window: self.window,
            unit: unit(&self.unit)?,
            algorithm: algorithm(&self.algorithm)?,
            prefixes: self.prefixes,
            slip: self.slip,
            observe: self.observe,
            exempt: self.exempt,
        })
    }
}
