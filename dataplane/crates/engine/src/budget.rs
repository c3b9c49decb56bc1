//! The error budget: how many error replies are given before faulty messages are dropped instead (row 20 of the wire
//! check).
//!
//! A forged source makes us send errors to whom it names; the budget bounds that, in total and towards each /24 and
//! /56. Datagrams and streams have a budget each, so that forged datagrams can't use up that of real connections.

use crate::decide::Client;
use crate::gcra::Bucket;
use crate::limits::{Prefix, tag};
use crate::table::Limits;

/// Error replies a second; 0 gives none. Each bucket holds what one second gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorBudget {
    pub rate: u32,
    /// To one /24 or /56.
    pub prefix_rate: u32,
}

impl Default for ErrorBudget {
    fn default() -> Self {
        Self { rate: 1000, prefix_rate: 10 }
    }
}

/// Kinds of buckets; those of the rate limits are 0 to 4.
const TOTAL: u8 = 16;
const PREFIX: u8 = 17;

/// The budget, compiled; `None` where no error is ever given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    buckets: Option<(Bucket, Bucket)>,
    total: [[u8; 12]; 2],
    prefix: [Prefix; 2],
}

impl Budget {
    pub(crate) fn compile(budget: ErrorBudget) -> Result<Self, String> {
        let ErrorBudget { rate, prefix_rate } = budget;
        let buckets = if rate == 0 || prefix_rate == 0 {
            None
        } else {
            Some((Bucket::new(rate, rate)?, Bucket::new(prefix_rate, prefix_rate)?))
        };
        Ok(Self {
            buckets,
            total: [0, 1].map(|stream| tag(TOTAL, stream, 0, 0, rate, rate)),
            prefix: [0, 1].map(|stream| Prefix::new(PREFIX, stream, (24, 56), prefix_rate, prefix_rate)),
        })
    }

    /// Takes one error reply to `client`. The total pays only for what the prefix may have.
    pub(crate) fn take(&self, limits: &Limits<'_>, client: &Client<'_>, now: u64) -> bool {
        let Some((total, prefix)) = &self.buckets else {
            return false;
        };
        let stream = usize::from(client.transport.is_stream());
        limits.charge(self.prefix[stream].key(limits, client.address), prefix, now)
            && limits.charge(limits.key(&self.total[stream]), total, now)
    }
}
