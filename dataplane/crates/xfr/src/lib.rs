//! The guard: reads the answers of primaries to SOA, AXFR and IXFR queries as they pass, and lets nothing end well that
//! is not whole, in order and signed as it should be.
//!
//! ```text
//! answers    bytes -> messages -> exchange by ID           exchange   one query: header, question, records, signature
//! walk       message -> records in canonical form          transfer   the grammar of RFC 5936 and RFC 1995
//! tally      counts, digest, names, RRset sizes            tsig       RFC 8945
//! ```
//!
//! A message goes on as soon as it is whole and right, the last one when all is; bytes are never changed. So a node
//! commits no transfer that did not pass, and waits for none that does (`hold`: BIND would, sequence by sequence). State is bounded by [`Limits`], whatever a primary
//! sends; no bytes make it panic. Time is an argument, in seconds since the epoch, because signatures are
//! dated; limits do not mind when that clock is set.

#![forbid(unsafe_code)]

mod answers;
mod digest;
mod exchange;
mod hold;
mod lanes;
mod limits;
pub mod name;
mod pace;
mod pieces;
mod query;
mod rdata;
mod reason;
mod rrsets;
mod tally;
mod transfer;
mod tsig;
mod verdict;
mod walk;

pub use answers::Answers;
pub use digest::{Digest, Sum};
pub use limits::Limits;
pub use pieces::{Passed, Piece};
pub use query::{Ask, Query, Signed, Unreadable, is_newer};
pub use reason::{Fault, Reason, Wrong};
pub use rrsets::Rrsets;
pub use transfer::Kind;
pub use tsig::{Algorithm, Keys, MOST_UNSIGNED, Signature};
pub use verdict::Verdict;
pub use walk::Record;
