//! The grammar of DNS messages as far as a gateway needs it (RFC 1035 section 4, RFC 6891, RFC 7873).
//!
//! One pass over the message, no allocation, no panic on any bytes. A faulty message is not an error but a
//! [`Fault`]: the [`Reason`], which is also the metric label, and the reaction that an authoritative server
//! would show (drop, or a reply with an RCODE). What NSD, Knot DNS and BIND pass is passed here too, so that
//! putting the gateway in front of one of them never changes what its clients see.
//!
//! ```text
//!  0    2       4         6         8         10        12
//!  | ID | flags | QDCOUNT | ANCOUNT | NSCOUNT | ARCOUNT | question | answer | authority | additional |
//!         QR opcode(4) AA TC RD RA Z AD CD rcode(4)
//! ```

#![forbid(unsafe_code)]

mod answer;
mod answer_class;
mod checks;
mod cookie;
mod labels;
mod message;
pub mod name;
pub mod proxy;
mod query;
mod reason;
mod records;
mod reply;
mod signer;

pub use answer::{Answer, check_answer, cut_answer};
pub use answer_class::{AnswerClass, classify};
pub use checks::{Checks, Row};
pub use cookie::{COOKIE_OPTION, COOKIE_VERSION, Cookie, CookiePlace, Put, put_cookie, spare_cookie, strip_cookies};
pub use message::{
    Echo, Edns, Fault, HEADER_LEN, Options, Query, Question, Reaction, Transport, class, opcode, qtype, rcode,
};
pub use query::{TCP_MAX, UDP_MAX, check_query};
pub use reason::Reason;
pub use reply::{EDE_TEXT_MAX, OUR_UDP_SIZE, REPLY_EXTRA, extended_error, write_reply, write_reply_with};
pub use signer::tsig_key;
