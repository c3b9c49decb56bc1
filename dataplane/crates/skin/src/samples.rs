//! Samples of traffic, grouped and counted for the detectors and for `zonegate top`.

use std::net::IpAddr;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use relay::samples::{self, Counter, Group, ONE, View};
use sets::{NameSet, PrefixSet, Scope, SetError};
use wire::name::labels;

/// Prefix or empty, name in wire form or empty, how many samples, counts, hashes of names.
type Row<'py> = (String, Vec<u8>, u32, Bound<'py, PyDict>, Vec<u64>);

#[pyclass(module = "dataplane")]
pub struct SampleTally {
    inner: samples::SampleTally,
}

#[pymethods]
impl SampleTally {
    /// The units of the counts: so many make one message.
    #[classattr]
    const ONE: u64 = ONE;

    #[new]
    #[pyo3(signature = (*, prefix=None, labels=None, zones=Vec::new(), exempt_prefixes=Vec::new(), exempt_names=Vec::new()))]
    fn new(
        prefix: Option<(u8, u8)>,
        labels: Option<u8>,
        zones: Vec<Vec<u8>>,
        exempt_prefixes: Vec<(IpAddr, u8)>,
        exempt_names: Vec<Vec<u8>>,
    ) -> PyResult<Self> {
        let view = match (prefix, labels) {
            (Some((v4, v6)), None) => View::Prefix { v4, v6 },
            (None, Some(labels)) => View::Suffix { labels },
            (None, None) => View::Total,
            _ => return Err(PyValueError::new_err("samples are grouped by prefix or by name")),
        };
        let exempt_prefixes =
            PrefixSet::new(exempt_prefixes.into_iter().map(|(address, bits)| (address, bits, 0))).map_err(refuse)?;
        let inner = samples::SampleTally::new(view, names(&zones)?, exempt_prefixes, names(&exempt_names)?)
            .map_err(std::io::Error::other)?;
        Ok(SampleTally { inner })
    }

    fn add(&mut self, samples: &[u8]) -> bool {
        self.inner.add(samples)
    }

    fn take<'py>(&mut self, py: Python<'py>, most: usize) -> PyResult<Vec<Row<'py>>> {
        self.inner.take(most).into_iter().map(|(prefix, name, group)| row(py, prefix, name, &group)).collect()
    }
}

fn row<'py>(py: Python<'py>, prefix: String, name: Vec<u8>, group: &Group) -> PyResult<Row<'py>> {
    let counts = PyDict::new(py);
    for (counter, n) in &group.counts {
        counts.set_item(label(*counter), n)?;
    }
    Ok((prefix, name, group.samples, counts, group.names.hashes().to_vec()))
}

/// The key of a counter, as Python sees it.
fn label(counter: Counter) -> String {
    match counter {
        Counter::Queries => "queries".to_owned(),
        Counter::QueryBytes => "query-bytes".to_owned(),
        Counter::Malformed => "malformed".to_owned(),
        Counter::Blocked => "blocked".to_owned(),
        Counter::Answers => "answers".to_owned(),
        Counter::AnswerBytes => "answer-bytes".to_owned(),
        Counter::Rcode(rcode) => format!("rcode:{rcode}"),
        Counter::Qtype(qtype) => format!("qtype:{qtype}"),
        Counter::Verdict(act, reason) => format!("reason:{}:{}", act.label(), reason.label()),
        Counter::Transport(transport) => format!("transport:{}", transport.label()),
        Counter::Backend(slot) => format!("backend:{slot}"),
        Counter::Latency(slot) => format!("latency:{slot}"),
    }
}

/// A set of names whose values are their numbers of labels.
fn names(names: &[Vec<u8>]) -> PyResult<NameSet> {
    let entries = names.iter().map(|name| (name, Scope::Suffix, labels(name).count() as u32));
    NameSet::new(entries).map_err(refuse)
}

fn refuse(error: SetError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// How many different names are behind the hashes of several groups.
#[pyfunction]
fn distinct_names(hashes: Vec<u64>) -> u64 {
    samples::estimate(hashes)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SampleTally>()?;
    module.add_function(wrap_pyfunction!(distinct_names, module)?)
}
