//! The policy: the settings of the filters, compiled once for a reload.

mod cookies;
mod explain;
mod limits;
mod responses;
mod rules;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::{ErrorBudget, NotifySpec, PolicySpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use wire::{Checks, Reason};

use self::limits::LimitRow;
use self::responses::ResponseRow;
use crate::blocks::Blocks;
use crate::lists::{ListRow, list_spec};
use crate::memory::SharedMemory;
use cookies::CookieRow;
use explain::{ClientRow, Decision, Explanation, Extras, Notes, run};
use rules::{RuleRow, rule};

/// A zone whose NOTIFY is taken, prefixes that may send it, and names of keys; names in wire form.
type NotifyRow = (Vec<u8>, Vec<(IpAddr, u8)>, Vec<Vec<u8>>);

#[pyclass(frozen, module = "dataplane")]
pub struct Policy {
    pub inner: Arc<engine::Policy>,
    /// Names of the rules, by their places.
    rules: Vec<String>,
}

#[pymethods]
impl Policy {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python, one for each part of the filters")]
    #[pyo3(signature = (
        *, zones, pass_all, rate_limits, checks, error_budget, lists=Vec::new(), mirrors=Vec::new(), cookies=None,
        responses=None, rules=Vec::new(), memory=None, notifies=Vec::new()
    ))]
    fn new(
        zones: Vec<Vec<u8>>,
        pass_all: bool,
        rate_limits: Vec<LimitRow>,
        checks: Vec<(String, String)>,
        error_budget: (u32, u32),
        lists: Vec<ListRow>,
        mirrors: Vec<(IpAddr, u16)>,
        cookies: Option<CookieRow>,
        responses: Option<ResponseRow>,
        rules: Vec<RuleRow<'_>>,
        memory: Option<usize>,
        notifies: Vec<NotifyRow>,
    ) -> PyResult<Self> {
        let spec = PolicySpec {
            zones,
            pass_all,
            rate_limits: rate_limits.into_iter().map(LimitRow::read).collect::<PyResult<_>>()?,
            checks: read_checks(&checks)?,
            error_budget: ErrorBudget { rate: error_budget.0, prefix_rate: error_budget.1 },
            cookies: cookies.map(CookieRow::read).transpose()?,
            lists: lists.into_iter().map(list_spec).collect::<PyResult<_>>()?,
            responses: responses.map(ResponseRow::read).transpose()?,
            mirrors: mirrors.into_iter().map(SocketAddr::from).collect(),
            rules: rules.iter().map(rule).collect::<PyResult<_>>()?,
            memory,
            notifies: notifies.into_iter().map(|(zone, from, keys)| NotifySpec { zone, from, keys }).collect(),
        };
        let inner = engine::Policy::new(spec).map_err(PyValueError::new_err)?;
        Ok(Policy { inner: Arc::new(inner), rules: rules.into_iter().map(|rule| rule.name).collect() })
    }

    #[getter]
    fn mirrors(&self) -> Vec<(IpAddr, u16)> {
        self.inner.mirrors().iter().map(|mirror| (mirror.ip(), mirror.port())).collect()
    }

    /// What the compiled policy takes in memory, about.
    #[getter]
    fn memory_size(&self) -> usize {
        self.inner.bytes()
    }

    #[pyo3(signature = (message, client, *, memory, now))]
    fn decide(&self, message: &[u8], client: ClientRow, memory: &SharedMemory, now: u64) -> PyResult<Decision> {
        let extras = Extras { unix: (now / 1_000_000_000) as u32, ..Extras::default() };
        Ok(run(self, message, &client, extras, memory, now, &mut ())?.0)
    }

    #[pyo3(signature = (message, client, *, memory, now, unix, listener=0, tlvs=None, server_name=None, blocks=None))]
    #[expect(clippy::too_many_arguments, reason = "all by name, as Python gives them")]
    fn explain(
        &self,
        message: &[u8],
        client: ClientRow,
        memory: &SharedMemory,
        now: u64,
        unix: u32,
        listener: u16,
        tlvs: Option<&[u8]>,
        server_name: Option<&[u8]>,
        blocks: Option<PyRef<'_, Blocks>>,
    ) -> PyResult<Explanation> {
        let mut notes = Notes::default();
        let (tlvs, server_name) = (tlvs.unwrap_or_default(), server_name.unwrap_or_default());
        let extras = Extras { listener, tlvs, server_name, unix, blocks: blocks.as_deref() };
        let (decision, treatment) = run(self, message, &client, extras, memory, now, &mut notes)?;
        Ok(Explanation::new(decision, treatment, notes, self))
    }
}

fn unknown<T>(what: &str, word: &str) -> PyResult<T> {
    Err(PyValueError::new_err(format!("{word:?} is no {what}")))
}

fn read_checks(choices: &[(String, String)]) -> PyResult<Checks> {
    let mut checks = Checks::default();
    for (label, word) in choices {
        let Some(reason) = Reason::from_label(label) else { return unknown("reason", label) };
        checks.choose(reason, word).map_err(PyValueError::new_err)?;
    }
    Ok(checks)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Explanation>()?;
    module.add_class::<Policy>()
}
