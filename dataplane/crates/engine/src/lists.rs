//! Lists of names and client prefixes that decide before the rules do.
//!
//! The lists are asked in their order, and the first that knows the client or the name decides: within one the client
//! comes before the name, and an exact name before those that cover it. `Pass` ends the walk as well: it is how one list
//! excepts something from those behind it. A list that only selects for rules is not asked here.
//!
//! `Truncate` holds for UDP alone and is a `Pass` over TCP, where it sends clients to.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use sets::{Effect, List};
use wire::{Query, Question, class, opcode, rcode};

/// The most lists of a policy: each has a cell in the shared memory.
pub const MAX_LISTS: usize = 64;

/// The memory of a list that several hold: a mapped file, or bytes.
#[derive(Clone)]
pub struct ListMemory(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl ListMemory {
    pub fn new(memory: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(memory))
    }
}

impl AsRef<[u8]> for ListMemory {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl fmt::Debug for ListMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.as_ref().len())
    }
}

/// A list that policies share.
pub type SharedList = List<ListMemory>;

/// What a list does to whom it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListAction {
    /// Nothing: rules ask it.
    #[default]
    Select,
    /// What each of its entries says.
    Given,
    Drop,
    Refuse,
    Nxdomain,
    Nodata,
    Truncate,
    Pass,
}

/// A list of a policy; without one as long as none could be loaded.
#[derive(Clone, Debug, Default)]
pub struct ListSpec {
    pub list: Option<Arc<SharedList>>,
    pub action: ListAction,
    /// Where its hits are counted, below [`MAX_LISTS`].
    pub cell: usize,
}

/// What is to become of a message that a list knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    Drop,
    /// REFUSED, if the error budget has one left.
    Refuse,
    Truncate,
    /// An RCODE that is no error.
    Reply(u16),
}

/// The number of the extended error that says of a reply that a list is the reason, and its option: 15, "Blocked"
/// (RFC 8914 section 4.16).
pub(crate) const NOTE: u16 = u16::MAX;
pub(crate) const BLOCKED: [u8; 6] = [0, 15, 0, 2, 0, 15];

/// The lists of a policy, by their numbers.
#[derive(Debug, Default)]
pub struct Lists {
    all: Vec<Option<Arc<SharedList>>>,
    /// Those that decide, in their order, with their cells.
    deciding: Vec<(usize, Arc<SharedList>, ListAction)>,
}

impl Lists {
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn new(specs: Vec<ListSpec>) -> Result<Self, String> {
        if specs.len() > MAX_LISTS {
            return Err(format!("{} lists are more than {MAX_LISTS}", specs.len()));
        }
        let mut lists = Self::default();
        for spec in specs {
            if let Some(list) = &spec.list
                && spec.action != ListAction::Select
            {
                lists.deciding.push((spec.cell, Arc::clone(list), spec.action));
            }
            lists.all.push(spec.list);
        }
        Ok(lists)
    }

    /// Whether list `index` knows the name of the question. One that is not loaded knows nothing; what an RPZ lets pass
    /// it does not know either.
    #[inline]
    #[must_use]
    pub fn has_name(&self, index: u32, question: &Question<'_>) -> bool {
        let list = self.all.get(index as usize).and_then(Option::as_ref);
        list.and_then(|list| list.name(question.name, question.labels)).is_some_and(|effect| effect != Effect::Pass)
    }

    /// Whether list `index` knows the client.
    #[inline]
    #[must_use]
    pub fn has_client(&self, index: u32, client: IpAddr) -> bool {
        let list = self.all.get(index as usize).and_then(Option::as_ref);
        list.and_then(|list| list.client(client)).is_some_and(|effect| effect != Effect::Pass)
    }

    #[inline]
    pub(crate) const fn is_idle(&self) -> bool {
        self.deciding.is_empty()
    }

    /// The cell of the first list that knows the client or the name, and what it does.
    #[inline]
    pub(crate) fn find(&self, client: IpAddr, query: &Query<'_>) -> Option<(usize, ListAction)> {
        let asked =
            query.question.as_ref().filter(|asked| query.opcode == opcode::QUERY && asked.qclass != class::CHAOS);
        self.deciding.iter().find_map(|(cell, list, action)| {
            let effect = list.client(client).or_else(|| asked.and_then(|asked| list.name(asked.name, asked.labels)))?;
            Some((*cell, resolve(*action, effect)))
        })
    }
}

const fn resolve(action: ListAction, effect: Effect) -> ListAction {
    match (action, effect) {
        (_, Effect::Pass) => ListAction::Pass,
        (ListAction::Given, Effect::Nxdomain) => ListAction::Nxdomain,
        (ListAction::Given, Effect::Nodata) => ListAction::Nodata,
        (ListAction::Given, Effect::Drop) => ListAction::Drop,
        (ListAction::Given, Effect::Truncate) => ListAction::Truncate,
        (action, _) => action,
    }
}

/// What `action` means for a message; none if it passes. Only a QUERY has answers: another message is refused instead.
pub(crate) const fn act(action: ListAction, op: u8, is_stream: bool) -> Option<Listed> {
    match action {
        ListAction::Pass | ListAction::Select | ListAction::Given => None,
        ListAction::Drop => Some(Listed::Drop),
        ListAction::Truncate if is_stream => None,
        ListAction::Refuse => Some(Listed::Refuse),
        _ if op != opcode::QUERY => Some(Listed::Refuse),
        ListAction::Nxdomain => Some(Listed::Reply(rcode::NXDOMAIN)),
        ListAction::Nodata => Some(Listed::Reply(rcode::NOERROR)),
        ListAction::Truncate => Some(Listed::Truncate),
    }
}
