//! The engine: what is decided about each message, and what is counted.
//!
//! [`decide`] is a pure function of the [`Policy`], the message, its [`Client`], the time and the [`Limits`] in shared
//! memory. It touches no socket and no clock. The order of its checks:
//!
//! ```text
//! source -> wire check -> grants -> served zones -> rules -> rate limits -> Forward
//!    |          |            |          |            |         |
//!   drop    drop or error  REFUSED    REFUSED     any    drop, TC or REFUSED       errors only within the error budget
//! ```
//! Blocks of prefixes come before the wire check, those of names behind the served zones.

#![forbid(unsafe_code)]

mod blocks;
mod budget;
mod cookies;
mod counters;
mod crowd;
mod decide;
mod familiar;
mod guard;
mod layout;
mod limits;
mod lists;
mod notifies;
mod policy;
mod rules;
mod source;
mod table;
mod trace;
mod zones;

pub use blocks::{BlockAction, BlockSpec, Blocks};
pub use budget::ErrorBudget;
pub use cookies::{CookieSecret, CookieSpec, MAX_ACCEPTED, Shown, Unverified};
pub use counters::{Act, BackendCount, Counters, Io, Totals};
pub use crowd::{Crowd, Crowded, MOST_OF_PREFIX, Room};
pub use decide::{Client, CookieDue, Grants, Now, Treatment, Verdict, decide, decide_blocked, decide_traced, is_mute};
pub use familiar::{Familiar, Standing};
pub use guard::{Guard, GuardSpec, MOST_TIME};
pub use layout::{BACKEND_SLOTS, Layout, LayoutError, Memory};
pub use limits::{
    Action, Algorithm, Key, Limited, MAX_LEVELS, MAX_LIMITS, Passage, RateLimit, ResponseSpec, Unit, decide_answer,
};
pub use lists::{ListAction, ListMemory, ListSpec, Lists, MAX_LISTS, SharedList};
pub use notifies::NotifySpec;
pub use policy::{Policy, PolicySpec};
pub use rules::{Condition, MAX_TAGS, RULE_SLOTS, Rule, RuleAction, Section, Tlv, TlvValue, Window};
pub use table::Limits;
pub use trace::{Passed, Trace};
