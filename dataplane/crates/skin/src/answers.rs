//! The guard of transfers: the answers on one connection to a primary.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use wire::name::skip_plain;
use xfr::{Algorithm, Digest, Fault, Keys, Limits, Reason};

#[pyclass(frozen, module = "dataplane")]
pub struct GuardLimits {
    inner: Arc<Limits>,
}

#[pymethods]
impl GuardLimits {
    /// Limits that are not named keep their defaults.
    #[new]
    #[pyo3(signature = (**limits))]
    fn new(limits: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut inner = Limits::default();
        for (name, value) in limits.into_iter().flatten() {
            let name: String = name.extract()?;
            match name.as_str() {
                "size" => inner.bytes = value.extract()?,
                "records" => inner.records = value.extract()?,
                "messages" => inner.messages = value.extract()?,
                "rrset" => inner.rrset = value.extract()?,
                "seconds" => inner.seconds = value.extract()?,
                "idle" => inner.idle = value.extract()?,
                "rate_bytes" => inner.rate_bytes = value.extract()?,
                "rate_seconds" => inner.rate_seconds = value.extract()?,
                "names" => inner.names = value.extract()?,
                "held" => inner.held = value.extract()?,
                "allow_older" => inner.allow_older = value.extract()?,
                "allow_out_of_zone" => inner.allow_out_of_zone = value.extract()?,
                _ => return Err(PyKeyError::new_err(format!("{name} is no limit"))),
            }
        }
        let times = [inner.seconds, inner.idle, inner.rate_seconds];
        if times.iter().any(|seconds| seconds.is_nan() || *seconds <= 0.0) || inner.rrset == 0 {
            return Err(PyValueError::new_err("times and the size of RRsets are above 0"));
        }
        Ok(GuardLimits { inner: Arc::new(inner) })
    }
}

#[pyclass(frozen, module = "dataplane")]
pub struct TsigKeys {
    inner: Arc<Keys>,
}

#[pymethods]
impl TsigKeys {
    #[classattr]
    #[pyo3(name = "ALGORITHMS")]
    fn algorithms(py: Python<'_>) -> PyResult<Py<PyTuple>> {
        Ok(PyTuple::new(py, Algorithm::ALL.map(Algorithm::label))?.unbind())
    }

    #[new]
    fn new(keys: Vec<(Vec<u8>, String, Vec<u8>)>) -> PyResult<Self> {
        let mut read = Vec::with_capacity(keys.len());
        for (name, algorithm, secret) in keys {
            if skip_plain(&name, 0).map_or(true, |(end, _)| end != name.len()) {
                return Err(PyValueError::new_err("the name of a key is no name in wire form"));
            }
            let found = Algorithm::ALL.into_iter().find(|known| known.label() == algorithm);
            let refuse = || PyValueError::new_err(format!("{algorithm:?} is no algorithm that is known here"));
            read.push((name, found.ok_or_else(refuse)?, secret));
        }
        Ok(TsigKeys { inner: Arc::new(Keys::new(read)) })
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }
}

#[pyclass(frozen, get_all, module = "dataplane")]
pub struct Piece {
    id: u16,
    data: Py<PyBytes>,
    verdict: Option<Py<Verdict>>,
}

#[pyclass(frozen, get_all, module = "dataplane")]
pub struct Verdict {
    accepted: bool,
    reason: &'static str,
    detail: String,
    kind: &'static str,
    tsig: &'static str,
    zone: Py<PyBytes>,
    rcode: u16,
    serial: Option<u32>,
    from_serial: Option<u32>,
    messages: u64,
    records: u64,
    size: u64,
    counts: BTreeMap<u16, u64>,
    added: u64,
    removed: u64,
    digest: Py<PyBytes>,
    removed_digest: Py<PyBytes>,
    names: Option<Py<PyBytes>>,
    seconds: f64,
}

#[pymethods]
impl Verdict {
    fn digest_after<'py>(&self, py: Python<'py>, before: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let digest = |bytes: &[u8]| -> PyResult<Digest> {
            let bytes = bytes.try_into().map_err(|_| PyValueError::new_err("a digest has 32 bytes"))?;
            Ok(Digest::from_bytes(bytes))
        };
        let mut after = digest(before)?;
        after.remove(digest(self.removed_digest.as_bytes(py))?);
        after.add(digest(self.digest.as_bytes(py))?);
        Ok(PyBytes::new(py, &after.to_bytes()))
    }
}

fn verdict(py: Python<'_>, of: xfr::Verdict) -> PyResult<Py<Verdict>> {
    let bytes = |bytes: &[u8]| PyBytes::new(py, bytes).unbind();
    let verdict = Verdict {
        accepted: of.is_accepted(),
        reason: of.reason.label(),
        kind: of.kind.label(),
        tsig: of.signature.label(),
        zone: bytes(&of.zone),
        rcode: of.rcode,
        serial: of.serial,
        from_serial: of.from_serial,
        messages: of.messages,
        records: of.records,
        size: of.bytes,
        counts: of.counts.into_iter().collect(),
        added: of.added,
        removed: of.removed,
        digest: bytes(&of.plus.to_bytes()),
        removed_digest: bytes(&of.minus.to_bytes()),
        names: of.names.as_deref().map(bytes),
        seconds: of.seconds,
        detail: of.detail,
    };
    Py::new(py, verdict)
}

#[pyclass(module = "dataplane")]
pub struct Answers {
    inner: xfr::Answers,
    now: f64,
}

#[pymethods]
impl Answers {
    #[classattr]
    #[pyo3(name = "REASONS")]
    fn reasons(py: Python<'_>) -> PyResult<Py<PyTuple>> {
        Ok(PyTuple::new(py, Reason::ALL.map(Reason::label))?.unbind())
    }

    #[classattr]
    #[pyo3(name = "FAULTS")]
    fn fault_labels(py: Python<'_>) -> PyResult<Py<PyTuple>> {
        Ok(PyTuple::new(py, Fault::ALL.map(Fault::label))?.unbind())
    }

    #[new]
    #[pyo3(signature = (*, limits, keys=None))]
    fn new(limits: &GuardLimits, keys: Option<&TsigKeys>) -> Self {
        let keys = keys.map_or_else(Arc::default, |keys| keys.inner.clone());
        Answers { inner: xfr::Answers::new(limits.inner.clone(), keys), now: 0.0 }
    }

    fn expect(&mut self, query: &[u8], now: f64) -> PyResult<()> {
        self.now = now;
        self.inner.expect(query, now).map(drop).map_err(|unreadable| PyValueError::new_err(unreadable.0))
    }

    #[pyo3(signature = (data, now, start=0, end=None))]
    fn feed(
        &mut self,
        py: Python<'_>,
        data: &[u8],
        now: f64,
        start: usize,
        end: Option<usize>,
    ) -> PyResult<Vec<Piece>> {
        self.now = now;
        let end = end.unwrap_or(data.len()).min(data.len());
        let data = data.get(start..end).unwrap_or_default();
        self.inner.pass(data, now).into_iter().map(|passed| piece(py, passed, data)).collect()
    }

    fn datagram(&mut self, py: Python<'_>, message: &[u8], now: f64) -> PyResult<Vec<Piece>> {
        self.now = now;
        pieces(py, self.inner.datagram(message, now))
    }

    fn tick(&mut self, py: Python<'_>, now: f64) -> PyResult<Vec<Piece>> {
        self.now = now;
        pieces(py, self.inner.tick(now))
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<Vec<Piece>> {
        pieces(py, self.inner.finish(self.now))
    }

    fn forget(&mut self, number: u16) {
        self.inner.forget(number);
    }

    #[getter]
    fn outstanding(&self) -> usize {
        self.inner.outstanding()
    }

    fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.inner.faults().map(|(fault, count)| (fault.label(), count)).collect()
    }
}

fn pieces(py: Python<'_>, pieces: Vec<xfr::Piece>) -> PyResult<Vec<Piece>> {
    let convert = |piece: xfr::Piece| {
        let verdict = piece.verdict.map(|of| verdict(py, *of)).transpose()?;
        Ok(Piece { id: piece.id, data: PyBytes::new(py, &piece.data).unbind(), verdict })
    };
    pieces.into_iter().map(convert).collect()
}

/// Copies what passes, once.
fn piece(py: Python<'_>, passed: xfr::Passed, data: &[u8]) -> PyResult<Piece> {
    let length = passed.parts(data).map(<[u8]>::len).sum();
    let bytes =
        PyBytes::new_with(py, length, |mut into| passed.parts(data).try_for_each(|part| Ok(into.write_all(part)?)))?;
    let verdict = passed.verdict.map(|of| verdict(py, *of)).transpose()?;
    Ok(Piece { id: passed.id, data: bytes.unbind(), verdict })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<GuardLimits>()?;
    module.add_class::<TsigKeys>()?;
    module.add_class::<Piece>()?;
    module.add_class::<Verdict>()?;
    module.add_class::<Answers>()
}
