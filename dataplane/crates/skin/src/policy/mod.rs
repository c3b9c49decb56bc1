//! The policy: the settings of the filters, compiled once for a reload.

mod cookies;
mod limits;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::{Client, ErrorBudget, Layout, Memory, Now, PolicySpec, Verdict, decide};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use wire::{Checks, Reason};

use self::limits::LimitRow;
use crate::lists::{ListRow, list_spec};
use crate::memory::SharedMemory;
use crate::udp::grants;
use crate::wire::{reply, transport};
use cookies::CookieRow;

#[pyclass(frozen, module = "dataplane")]
pub struct Policy {
    pub inner: Arc<engine::Policy>,
}

/// Transport, source, the address of ours that was asked, and what the listener allows.
type ClientRow = (String, (IpAddr, u16), (IpAddr, u16), Vec<String>);

/// Verdict, reason, and the reply if there is one.
type Decision = (&'static str, &'static str, Option<Cow<'static, [u8]>>);

#[pymethods]
impl Policy {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python, one for each part of the filters")]
    #[pyo3(signature = (
        *, zones, pass_all, rate_limits, checks, error_budget, lists=Vec::new(), mirrors=Vec::new(), cookies=None
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
    ) -> PyResult<Self> {
        let spec = PolicySpec {
            zones,
            pass_all,
            rate_limits: rate_limits.into_iter().map(LimitRow::read).collect::<PyResult<_>>()?,
            checks: read_checks(&checks)?,
            error_budget: ErrorBudget { rate: error_budget.0, prefix_rate: error_budget.1 },
            cookies: cookies.map(CookieRow::read).transpose()?,
            lists: lists.into_iter().map(list_spec).collect::<PyResult<_>>()?,
            mirrors: mirrors.into_iter().map(SocketAddr::from).collect(),
        };
        let inner = engine::Policy::new(spec).map_err(PyValueError::new_err)?;
        Ok(Policy { inner: Arc::new(inner) })
    }

    #[getter]
    fn mirrors(&self) -> Vec<(IpAddr, u16)> {
        self.inner.mirrors().iter().map(|mirror| (mirror.ip(), mirror.port())).collect()
    }

    #[pyo3(signature = (message, client, *, memory, now))]
    fn decide(&self, message: &[u8], client: ClientRow, memory: &SharedMemory, now: u64) -> PyResult<Decision> {
        let (word, source, local, allow) = client;
        let client = Client {
            address: source.0,
            port: source.1,
            local: local.0,
            local_port: local.1,
            transport: transport(&word)?,
            grants: grants(&allow)?,
            listener: 0,
            tlvs: &[],
            server_name: &[],
        };
        let words = memory.inner.words();
        let limits = Layout::read(words).and_then(|layout| layout.limits(words, 0));
        let limits = limits.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let verdict = decide(&self.inner, &limits, message, &client, Now::new(now, 0));
        let (act, reason) = verdict.cell();
        let answer = match verdict {
            Verdict::Reply { rcode, truncated, echo, .. } => Some(reply(message, echo, rcode, truncated).into()),
            Verdict::Forward { .. } | Verdict::Drop(_) => None,
        };
        Ok((act.label(), reason.label(), answer))
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
    module.add_class::<Policy>()
}
