//! The policy: the settings of the filters, compiled once for a reload.

use std::sync::Arc;

use engine::{Action, ErrorBudget, Key, PolicySpec, RateLimit};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use wire::{AnyOverUdp, Checks, Choice};

#[pyclass(frozen, module = "dataplane")]
pub struct Policy {
    pub inner: Arc<engine::Policy>,
}

/// Key, rate, burst, bits of an IPv4 and of an IPv6 prefix, action.
type LimitRow = (String, u32, u32, u8, u8, String);

#[pymethods]
impl Policy {
    #[new]
    #[pyo3(signature = (*, zones, pass_all, rate_limits, checks, error_budget))]
    fn new(
        zones: Vec<Vec<u8>>,
        pass_all: bool,
        rate_limits: Vec<LimitRow>,
        checks: (String, String, String, bool),
        error_budget: (u32, u32),
    ) -> PyResult<Self> {
        let spec = PolicySpec {
            zones,
            pass_all,
            rate_limits: rate_limits.into_iter().map(rate_limit).collect::<PyResult<_>>()?,
            checks: read_checks(&checks)?,
            error_budget: ErrorBudget { rate: error_budget.0, prefix_rate: error_budget.1 },
        };
        let inner = engine::Policy::new(spec).map_err(PyValueError::new_err)?;
        Ok(Policy { inner: Arc::new(inner) })
    }
}

fn unknown<T>(what: &str, word: &str) -> PyResult<T> {
    Err(PyValueError::new_err(format!("{word:?} is no {what}")))
}

fn rate_limit((key, rate, burst, v4, v6, action): LimitRow) -> PyResult<RateLimit> {
    let key = match key.as_str() {
        "client-prefix" => Key::ClientPrefix { v4, v6 },
        "zone" => Key::Zone,
        "qname" => Key::Qname,
        "qtype" => Key::Qtype,
        "global" => Key::Global,
        _ => return unknown("key of a rate limit", &key),
    };
    let action = match action.as_str() {
        "drop" => Action::Drop,
        "truncate" => Action::Truncate,
        "refuse" => Action::Refuse,
        "observe" => Action::Observe,
        _ => return unknown("action of a rate limit", &action),
    };
    Ok(RateLimit { key, rate, burst, action })
}

fn read_checks((tc_bit, trailing_bytes, any_over_udp, chaos): &(String, String, String, bool)) -> PyResult<Checks> {
    let any_over_udp = match any_over_udp.as_str() {
        "pass" => AnyOverUdp::Pass,
        "truncate" => AnyOverUdp::Truncate,
        "refuse" => AnyOverUdp::Refuse,
        other => return unknown("choice for ANY over UDP", other),
    };
    Ok(Checks { tc_bit: choice(tc_bit)?, trailing_bytes: choice(trailing_bytes)?, any_over_udp, chaos: *chaos })
}

fn choice(word: &str) -> PyResult<Choice> {
    match word {
        "pass" => Ok(Choice::Pass),
        "formerr" => Ok(Choice::Formerr),
        "drop" => Ok(Choice::Drop),
        _ => unknown("choice of a check", word),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Policy>()
}
