//! The shared memory: made once by the supervisor, inherited by the workers, read for the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Act, BACKEND_SLOTS, BackendCount, Io, Layout, LayoutError, Limited, Memory, RULE_SLOTS, Shown, Totals};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use relay::sys;
use wire::{AnswerClass, Reason, Transport};

#[pyclass(frozen, module = "dataplane")]
pub struct SharedMemory {
    pub inner: Arc<sys::SharedMemory>,
    layout: Layout,
}

/// Transport, verdict, reason, count.
type VerdictRow = (&'static str, &'static str, &'static str, u64);

fn refuse(error: LayoutError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

#[pymethods]
impl SharedMemory {
    #[staticmethod]
    fn create(workers: usize, limit_slots: usize) -> PyResult<Self> {
        let layout = Layout::new(workers, limit_slots).map_err(refuse)?;
        let inner = sys::SharedMemory::create(layout.words())?;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        layout.create(inner.words(), &secret).map_err(refuse)?;
        Ok(SharedMemory { inner: Arc::new(inner), layout })
    }

    #[staticmethod]
    fn attach(fd: i32) -> PyResult<Self> {
        let inner = sys::SharedMemory::attach(fd)?;
        let layout = Layout::read(inner.words()).map_err(refuse)?;
        Ok(SharedMemory { inner: Arc::new(inner), layout })
    }

    #[getter]
    fn fd(&self) -> i32 {
        self.inner.fd()
    }

    #[getter]
    fn workers(&self) -> usize {
        self.layout.workers()
    }

    fn received(&self) -> PyResult<BTreeMap<&'static str, u64>> {
        let totals = self.totals()?;
        Ok(Transport::ALL.iter().map(|&transport| (transport.label(), totals.received(transport))).collect())
    }

    fn verdicts(&self) -> PyResult<Vec<VerdictRow>> {
        let totals = self.totals()?;
        let mut rows = Vec::new();
        for transport in Transport::ALL {
            for act in Act::ALL {
                for reason in Reason::ALL {
                    let count = totals.verdict(transport, act, reason);
                    if count > 0 {
                        rows.push((transport.label(), act.label(), reason.label(), count));
                    }
                }
            }
        }
        Ok(rows)
    }

    fn answers_dropped(&self) -> PyResult<Vec<(&'static str, &'static str, u64)>> {
        let totals = self.totals()?;
        let all =
            Transport::ALL.iter().flat_map(|&transport| Reason::ALL.iter().map(move |&reason| (transport, reason)));
        let rows = all
            .map(|(transport, reason)| (transport.label(), reason.label(), totals.answers_dropped(transport, reason)));
        Ok(rows.filter(|row| row.2 > 0).collect())
    }

    fn observed(&self) -> PyResult<Vec<(&'static str, &'static str, u64)>> {
        let totals = self.totals()?;
        let all =
            Transport::ALL.iter().flat_map(|&transport| Reason::ALL.iter().map(move |&reason| (transport, reason)));
        let rows =
            all.map(|(transport, reason)| (transport.label(), reason.label(), totals.observed(transport, reason)));
        Ok(rows.filter(|row| row.2 > 0).collect())
    }

    fn io(&self) -> PyResult<BTreeMap<&'static str, u64>> {
        let totals = self.totals()?;
        Ok(Io::ALL.iter().map(|&what| (what.label(), totals.io(what))).collect())
    }

    fn backend(&self, slot: usize) -> PyResult<BTreeMap<&'static str, u64>> {
        if slot >= BACKEND_SLOTS {
            return Err(PyValueError::new_err(format!("there is no slot {slot}; the last is {}", BACKEND_SLOTS - 1)));
        }
        let totals = self.totals()?;
        Ok(BackendCount::ALL.iter().map(|&what| (what.label(), totals.backend(slot, what))).collect())
    }

    fn over_limit(&self, index: usize) -> PyResult<u64> {
        Ok(self.totals()?.over_limit(index))
    }

    /// Transport, what was shown, count.
    fn cookies(&self) -> PyResult<Vec<(&'static str, &'static str, u64)>> {
        let totals = self.totals()?;
        let all = Transport::ALL.iter().flat_map(|&transport| Shown::ALL.iter().map(move |&shown| (transport, shown)));
        let rows = all.map(|(transport, shown)| (transport.label(), shown.label(), totals.cookies(transport, shown)));
        Ok(rows.filter(|row| row.2 > 0).collect())
    }

    fn listed(&self, cell: usize) -> PyResult<u64> {
        Ok(self.totals()?.listed(cell))
    }

    fn rule_hits(&self) -> PyResult<Vec<(usize, u64, u64)>> {
        let totals = self.totals()?;
        let rows = (0..RULE_SLOTS).map(|slot| (slot, totals.rule_hits(slot), totals.rule_over(slot)));
        Ok(rows.filter(|row| row.1 > 0).collect())
    }

    /// Class, what became of the answer, count.
    fn limited_answers(&self) -> PyResult<Vec<(&'static str, &'static str, u64)>> {
        let totals = self.totals()?;
        let all = AnswerClass::ALL.iter().flat_map(|&class| Limited::ALL.iter().map(move |&what| (class, what)));
        let rows = all.map(|(class, what)| (class.label(), what.label(), totals.limited_answers(class, what)));
        Ok(rows.filter(|row| row.2 > 0).collect())
    }

    #[getter]
    fn limit_evictions(&self) -> PyResult<u64> {
        Ok(self.totals()?.evictions())
    }
}

impl SharedMemory {
    fn totals(&self) -> PyResult<Totals> {
        self.layout.totals(self.inner.words()).map_err(refuse)
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SharedMemory>()
}
