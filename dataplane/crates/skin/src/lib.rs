//! The skin: the data plane as Python sees it. It converts values and holds references; all work is done in the crates below.
//!
//! Its classes are described, with types, in `dataplane/_native.pyi`.

mod answers;
mod blocks;
mod door;
mod lists;
mod memory;
mod overload;
mod policy;
mod proxies;
mod samples;
mod stream;
mod udp;
mod wire;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    answers::register(module)?;
    blocks::register(module)?;
    lists::register(module)?;
    memory::register(module)?;
    policy::register(module)?;
    samples::register(module)?;
    proxies::register(module)?;
    stream::register(module)?;
    udp::register(module)?;
    wire::register(module)
}
