//! Lists: built in a thread of the supervisor, mapped by the workers.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{ListAction, ListMemory, ListSpec, SharedList};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use relay::sys::Mapping;
use sets::text::{Format, Kind, ReadError, Source, read};
use sets::{ListBuilder, Report};

#[pyclass(frozen, module = "dataplane")]
pub struct List {
    inner: Arc<SharedList>,
}

/// How a source is to be read.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Reading {
    format: String,
    kind: String,
    column: usize,
    zone: Option<Vec<u8>>,
    subdomains: bool,
    strict: bool,
    most: usize,
}

/// Names, prefixes, lines of garbage, the first of them (number, what is wrong), triggers that need an answer, local data.
type ReportRow = (u32, u32, u64, Vec<(u64, String)>, u64, u64);

/// A list, if one could be loaded, what it does, and the cell of its hits.
pub type ListRow = (Option<Py<List>>, String, usize);

#[pymethods]
impl List {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| {
            let mapping = Mapping::open(&path)?;
            let list = SharedList::open(ListMemory::new(mapping));
            let list = list.map_err(|error| PyValueError::new_err(format!("{}: {error}", path.display())))?;
            Ok(List { inner: Arc::new(list) })
        })
    }

    #[staticmethod]
    fn build(py: Python<'_>, source: PathBuf, into: Option<PathBuf>, how: Reading, stamp: u128) -> PyResult<ReportRow> {
        let most = how.most;
        let how = source_of(how)?;
        let report = py.detach(|| build(&source, into.as_deref(), &how, most, stamp))?;
        let first = report.first.iter().map(|(line, why)| (*line, why.to_string())).collect();
        Ok((report.names, report.prefixes, report.garbage, first, report.other_triggers, report.local_data))
    }

    #[getter]
    fn names(&self) -> u32 {
        self.inner.names()
    }

    #[getter]
    fn prefixes(&self) -> u32 {
        self.inner.prefixes()
    }

    #[getter]
    fn garbage(&self) -> u64 {
        self.inner.garbage()
    }

    #[getter]
    fn not_applicable(&self) -> u64 {
        self.inner.not_applicable()
    }

    #[getter]
    fn stamp(&self) -> u128 {
        self.inner.stamp()
    }
}

fn source_of(how: Reading) -> PyResult<Source> {
    let format = match how.format.as_str() {
        "plain" => Format::Plain,
        "hosts" => Format::Hosts,
        "csv" => Format::Csv(how.column),
        "rpz" => Format::Rpz(how.zone),
        "transfer" => Format::Transfer,
        other => return Err(PyValueError::new_err(format!("{other:?} is no format of a list"))),
    };
    let kind = match how.kind.as_str() {
        "names" => Kind::Names,
        "prefixes" => Kind::Prefixes,
        "either" => Kind::Either,
        other => return Err(PyValueError::new_err(format!("{other:?} is no kind of a list"))),
    };
    Ok(Source { format, kind, subdomains: how.subdomains, strict: how.strict })
}

/// Reads the source; writes the list beside its place and renames it there, so that nobody ever sees half of one.
fn build(source: &Path, into: Option<&Path>, how: &Source, most: usize, stamp: u128) -> PyResult<Report> {
    let mut builder = ListBuilder::new(most);
    let mut input = BufReader::with_capacity(1 << 16, File::open(source)?);
    read(&mut input, how, &mut builder).map_err(|error| match error {
        ReadError::Io(error) => error.into(),
        error => PyValueError::new_err(error.to_string()),
    })?;
    let Some(into) = into else {
        return Ok(builder.write(io::Cursor::new(Vec::new()), stamp)?);
    };
    let fresh = into.with_extension("new");
    let result = write(builder, &fresh, stamp).and_then(|report| fs::rename(&fresh, into).map(|()| report));
    if result.is_err() {
        // The error that counts is the first one.
        let _ = fs::remove_file(&fresh);
    }
    Ok(result?)
}

fn write(builder: ListBuilder, fresh: &Path, stamp: u128) -> io::Result<Report> {
    // What an earlier attempt left may be read-only.
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(fresh)?;
    let report = builder.write(&mut file, stamp)?;
    file.set_permissions(Permissions::from_mode(0o400))?;
    file.sync_all()?;
    Ok(report)
}

#[pyfunction]
fn count_soas(message: &[u8]) -> Option<u32> {
    sets::text::count_soas(message)
}

/// A list of a policy.
pub fn list_spec((list, action, cell): ListRow) -> PyResult<ListSpec> {
    let action = match action.as_str() {
        "none" => ListAction::Select,
        "given" => ListAction::Given,
        "drop" => ListAction::Drop,
        "refuse" => ListAction::Refuse,
        "nxdomain" => ListAction::Nxdomain,
        "nodata" => ListAction::Nodata,
        "truncate" => ListAction::Truncate,
        "allow" => ListAction::Pass,
        other => return Err(PyValueError::new_err(format!("{other:?} is no action of a list"))),
    };
    Ok(ListSpec { list: list.map(|list| Arc::clone(&list.get().inner)), action, cell })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(count_soas, module)?)?;
    module.add_class::<List>()
}
