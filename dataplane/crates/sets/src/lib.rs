//! Sets of prefixes and of names that are built once and looked up per packet, and lists of them in files.
//!
//! One entry and a million cost nearly the same: a prefix is found by one hash per length or a few blocks of a static tree, a name by one hash
//! per label. Both are flat bytes without pointers, read with checked access only, so that the same code serves a set
//! in memory and a list in a file that was mapped and is not trusted.

#![forbid(unsafe_code)]

mod builder;
mod error;
mod file;
mod flat;
mod hash;
mod list;
mod names;
mod prefixes;
mod ranges;
mod table;
pub mod text;

pub use builder::{ListBuilder, Report, Why};
pub use error::SetError;
pub use list::{Effect, List, ListError};
pub use names::{NameSet, Scope};
pub use prefixes::PrefixSet;
