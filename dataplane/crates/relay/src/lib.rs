//! The relays between clients and backends: everything that happens once per packet, in batches.
//!
//! No event loop and no thread lives here. Python watches the sockets and calls in; one call does a bounded amount of work.

#![deny(unsafe_code)]

pub mod backends;
mod cookies;
pub mod ids;
pub mod notified;
pub mod overload;
pub mod question;
pub mod samples;
pub mod stream;
#[allow(unsafe_code)] // the one file that talks to the kernel
pub mod sys;
pub mod tally;
pub mod udp;
pub mod window;
