//! Dynamic blocks, compiled for a worker.

use std::net::IpAddr;
use std::sync::Arc;

use engine::{BlockAction, BlockSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Address, bits of the prefix, action, number of the block.
type PrefixRow = (IpAddr, u8, String, u64);

/// Name in wire form, action, number of the block.
type NameRow = (Vec<u8>, String, u64);

#[pyclass(frozen, module = "dataplane")]
pub struct Blocks {
    /// None if nothing is blocked, so that it costs nothing.
    pub inner: Option<Arc<engine::Blocks>>,
}

#[pymethods]
impl Blocks {
    #[new]
    #[pyo3(signature = (*, prefixes, names))]
    fn new(prefixes: Vec<PrefixRow>, names: Vec<NameRow>) -> PyResult<Self> {
        let prefixes: Vec<_> = prefixes
            .into_iter()
            .map(|(address, bits, word, block)| Ok((address, bits, action(&word)?, block)))
            .collect::<PyResult<_>>()?;
        let names: Vec<_> =
            names.into_iter().map(|(name, word, block)| Ok((name, action(&word)?, block))).collect::<PyResult<_>>()?;
        let nothing =
            prefixes.iter().all(|row| row.2 == BlockAction::Pass) && names.iter().all(|row| row.1 == BlockAction::Pass);
        let blocks = engine::Blocks::new(BlockSpec { prefixes, names })
            .map_err(|error| PyValueError::new_err(format!("blocks: {error}")))?;
        Ok(Blocks { inner: (!nothing).then(|| Arc::new(blocks)) })
    }

    fn take_hits(&self) -> Vec<(u64, u64)> {
        self.inner.as_ref().map_or_else(Vec::new, |blocks| blocks.take_hits())
    }
}

fn action(word: &str) -> PyResult<BlockAction> {
    match word {
        "pass" => Ok(BlockAction::Pass),
        "truncate" => Ok(BlockAction::Truncate),
        "drop" => Ok(BlockAction::Drop),
        _ => Err(PyValueError::new_err(format!("{word:?} is no action of a block"))),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Blocks>()
}
