//! The wire check by itself: for tests that compare it with another reader of DNS messages, and for tools that explain a message.

use std::borrow::Cow;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use wire::{Checks, Cookie, Put, Query, Reaction, Reason, Transport, check_query, write_reply_with};

/// What the check read of a message.
#[pyclass(frozen, get_all, module = "dataplane")]
pub struct Reading {
    id: u16,
    flags: u16,
    opcode: u8,
    qname: Option<Cow<'static, [u8]>>,
    qtype: Option<u16>,
    qclass: Option<u16>,
    udp_size: Option<u16>,
    dnssec_ok: bool,
    signed: bool,
}

impl From<&Query<'_>> for Reading {
    fn from(query: &Query<'_>) -> Self {
        let question = query.question.as_ref();
        Reading {
            id: query.id,
            flags: query.flags,
            opcode: query.opcode,
            qname: question.map(|question| Cow::Owned(question.name.to_vec())),
            qtype: question.map(|question| question.qtype),
            qclass: question.map(|question| question.qclass),
            udp_size: query.edns.map(|edns| edns.udp_size),
            dnssec_ok: query.edns.is_some_and(|edns| edns.dnssec_ok),
            signed: query.signed,
        }
    }
}

/// The word of the metrics for a transport.
pub fn transport(word: &str) -> PyResult<Transport> {
    let found = Transport::ALL.into_iter().find(|transport| transport.label() == word);
    found.ok_or_else(|| PyValueError::new_err(format!("{word:?} is no transport; udp, tcp and tls are")))
}

/// A copy of `message` as the reply that it gets.
pub fn reply(message: &[u8], echo: wire::Echo, rcode: u16, truncated: bool, options: &[u8]) -> Vec<u8> {
    let mut buffer = message.to_vec();
    buffer.resize(message.len() + wire::REPLY_EXTRA, 0);
    let length = write_reply_with(&mut buffer, echo, rcode, truncated, options);
    buffer.truncate(length);
    buffer
}

/// A reading, or the reason of the fault and the reply to it; a fault without reply is dropped.
type Outcome = (Option<Reading>, &'static str, Option<Cow<'static, [u8]>>);

#[pyfunction]
fn check_message(message: &[u8], transport: &str) -> PyResult<Outcome> {
    let mut checks = Checks::default();
    for reason in [Reason::AnyOverUdp, Reason::ChaosRefused] {
        checks.choose(reason, "pass").map_err(PyValueError::new_err)?;
    }
    Ok(match check_query(message, self::transport(transport)?, &checks) {
        Ok(query) => (Some(Reading::from(&query)), wire::Reason::Ok.label(), None),
        Err(fault) => {
            let answer = match fault.reaction {
                Reaction::Drop => None,
                Reaction::Reply { rcode, truncated } => {
                    Some(reply(message, fault.echo(), rcode, truncated, &[]).into())
                }
            };
            (None, fault.reason.label(), answer)
        }
    })
}

/// The query without its COOKIE options, and with room for one in its UDP size; as it was if it has none or can't be changed.
#[pyfunction]
fn strip_cookies(query: &[u8]) -> Cow<'static, [u8]> {
    let mut bytes = query.to_vec();
    let read = check_query(query, Transport::Tcp, &Checks::default());
    if let Some(place) = read.ok().and_then(|query| query.cookie) {
        wire::spare_cookie(&mut bytes, place);
        let length = wire::strip_cookies(&mut bytes, place);
        bytes.truncate(length);
    }
    bytes.into()
}

/// The answer with this client cookie, time stamp and tag, or `None` if it can't be changed.
#[pyfunction]
fn put_cookie(answer: &[u8], cookie: ([u8; 8], [u8; 4], [u8; 8]), room: usize) -> Option<Cow<'static, [u8]>> {
    let (client, stamp, tag) = cookie;
    let mut bytes = answer.to_vec();
    bytes.resize(answer.len() + wire::COOKIE_OPTION, 0);
    match wire::put_cookie(&mut bytes, answer.len(), &Cookie { client, stamp, tag }, room) {
        Put::Done(length) | Put::Truncated(length) => {
            bytes.truncate(length);
            Some(bytes.into())
        }
        Put::Unable => None,
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reading>()?;
    module.add_function(wrap_pyfunction!(strip_cookies, module)?)?;
    module.add_function(wrap_pyfunction!(put_cookie, module)?)?;
    module.add_function(wrap_pyfunction!(check_message, module)?)
}
