//! Rules as Python writes them: a condition is a pair of its word and its value, an action likewise.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use engine::{Condition, Rule, RuleAction, Section, Shown, Tlv, TlvValue, Window};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::limits::LimitRow;
use super::unknown;
use crate::wire::transport;

/// How deep conditions may be nested; far more than anybody reads.
const DEEPEST: usize = 64;

/// A rule: its name, the slot of its counters, its condition and its action.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct RuleRow<'py> {
    pub name: String,
    slot: u16,
    when: Bound<'py, PyAny>,
    action: (String, Bound<'py, PyAny>),
}

/// Type, how the value is compared (any, equal, begins), and with what.
type TlvRow = (u8, String, Vec<u8>);

pub fn rule(row: &RuleRow<'_>) -> PyResult<Rule> {
    Ok(Rule { slot: row.slot, when: condition(&row.when, DEEPEST)?, action: action(&row.action)? })
}

fn action((word, value): &(String, Bound<'_, PyAny>)) -> PyResult<RuleAction> {
    Ok(match word.as_str() {
        "allow" => RuleAction::Allow,
        "drop" => RuleAction::Drop,
        "truncate" => RuleAction::Truncate,
        "observe" => RuleAction::Observe,
        "tag" => RuleAction::Tag(value.extract()?),
        "route" => RuleAction::Route(value.extract()?),
        "delay" => RuleAction::Delay(value.extract()?),
        "mirror" => RuleAction::Mirror(value.extract()?),
        "limit" => RuleAction::Limit(value.extract::<LimitRow>()?.read()?),
        "reply" => {
            let (rcode, error) = value.extract()?;
            RuleAction::Reply(rcode, error)
        }
        _ => return unknown("action of a rule", word),
    })
}

fn condition(pair: &Bound<'_, PyAny>, depth: usize) -> PyResult<Condition> {
    let (word, value): (String, Bound<'_, PyAny>) = pair.extract()?;
    let Some(left) = depth.checked_sub(1) else {
        return Err(PyValueError::new_err("conditions are nested too deep"));
    };
    let parts = || -> PyResult<Vec<Condition>> {
        value.extract::<Vec<Bound<'_, PyAny>>>()?.iter().map(|part| condition(part, left)).collect()
    };
    Ok(match word.as_str() {
        "all" => Condition::All(parts()?),
        "any" => Condition::Any(parts()?),
        "not" => Condition::Not(Box::new(condition(&value, left)?)),
        "client" => Condition::Client(value.extract::<Vec<(IpAddr, u8)>>()?),
        "client_list" => Condition::ClientList(value.extract()?),
        "qname_list" => Condition::QnameList(value.extract()?),
        "listener" => Condition::Listener(value.extract()?),
        "transport" => {
            let words: Vec<String> = value.extract()?;
            Condition::Transport(words.iter().map(|word| transport(word)).collect::<PyResult<_>>()?)
        }
        "qname" => Condition::Qname(value.extract()?),
        "qname_suffix" => Condition::QnameSuffix(value.extract()?),
        "qname_regex" => Condition::QnameRegex(value.extract()?),
        "zone" => Condition::Zone(value.extract()?),
        "server_name" => Condition::ServerName(value.extract()?),
        "server_name_suffix" => Condition::ServerNameSuffix(value.extract()?),
        "tlv" => Condition::Tlv(value.extract::<Vec<TlvRow>>()?.into_iter().map(tlv).collect::<PyResult<_>>()?),
        "tag" => Condition::Tag(value.extract()?),
        "probability" => Condition::Probability(value.extract()?),
        "time" => {
            let (days, from, to) = value.extract()?;
            Condition::Time(Window { days, from, to })
        }
        _ => return of_message(&word, &value),
    })
}

/// The selectors that look at the message itself.
fn of_message(word: &str, value: &Bound<'_, PyAny>) -> PyResult<Condition> {
    Ok(match word {
        "qtype" => Condition::Qtype(value.extract()?),
        "qclass" => Condition::Qclass(value.extract()?),
        "opcode" => Condition::Opcode(value.extract()?),
        "flags" => {
            let (set, unset) = value.extract()?;
            Condition::Flags { set, unset }
        }
        "labels" => Condition::Labels(range(value)?),
        "edns" => Condition::Edns(value.extract()?),
        "edns_version" => Condition::EdnsVersion(range(value)?),
        "edns_option" => Condition::EdnsOption(value.extract()?),
        "edns_size" => Condition::EdnsSize(range(value)?),
        "dnssec_ok" => Condition::DnssecOk(value.extract()?),
        "qdcount" => Condition::Count(Section::Question, range(value)?),
        "ancount" => Condition::Count(Section::Answer, range(value)?),
        "nscount" => Condition::Count(Section::Authority, range(value)?),
        "arcount" => Condition::Count(Section::Additional, range(value)?),
        "size" => Condition::Size(range(value)?),
        "trailing" => Condition::Trailing(value.extract()?),
        "signed" => Condition::Signed(value.extract()?),
        "cookie" => {
            let words: Vec<String> = value.extract()?;
            Condition::Cookie(words.iter().map(|word| shown(word)).collect::<PyResult<_>>()?)
        }
        _ => return unknown("selector of a rule", word),
    })
}

fn range<'py, N: FromPyObjectOwned<'py>>(value: &Bound<'py, PyAny>) -> PyResult<RangeInclusive<N>> {
    let (low, high): (N, N) = value.extract()?;
    Ok(low..=high)
}

fn shown(word: &str) -> PyResult<Shown> {
    Shown::ALL.into_iter().find(|shown| shown.label() == word).map_or_else(|| unknown("state of a cookie", word), Ok)
}

fn tlv((kind, how, bytes): TlvRow) -> PyResult<Tlv> {
    let value = match how.as_str() {
        "any" => TlvValue::Any,
        "equal" => TlvValue::Equal(bytes),
        "begins" => TlvValue::Begins(bytes),
        _ => return unknown("way to compare a TLV", &how),
    };
    Ok(Tlv { kind, value })
}
