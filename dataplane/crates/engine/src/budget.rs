//! The error budget: how many error replies are given before faulty messages are dropped instead (row 20 of the wire
//! check).
//!
//! A forged source makes us send errors to whom it names; the budget bounds that, in total and towards each /24 and
//! /56. Datagrams and streams have a budget each, so that forged datagrams can't use up that of real connections.

use crate::decide::Client;
use crate::limits::{Algorithm, Meter, Prefix, Unit, tag};
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

/// Names of buckets, beside the keys of the rate limits, which are below 256.
const TOTAL: u32 = 256;
const PREFIX: u32 = 257;

/// The budget, compiled; `None` where no error is ever given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    meters: Option<(Meter, Meter)>,
    total: [[u8; 8]; 2],
    prefix: [Prefix; 2],
}

impl Budget {
    pub(crate) fn compile(budget: ErrorBudget) -> Result<Self, String> {
        let ErrorBudget { rate, prefix_rate } = budget;
        let meter = |rate| Meter::new(Algorithm::Bucket, Unit::Packets, rate, rate, 1);
        let meters = if rate == 0 || prefix_rate == 0 { None } else { Some((meter(rate)?, meter(prefix_rate)?)) };
        Ok(Self {
            meters,
            total: [0, 1].map(|stream| tag(&[TOTAL, stream, rate])),
            prefix: [0, 1].map(|stream| Prefix::new((PREFIX, stream), (24, 56), prefix_rate, prefix_rate)),
        })
    }

    /// Takes one error reply to `client`. The total pays only for what the prefix may have.
    pub(crate) fn take(&self, limits: &Limits<'_>, client: &Client<'_>, now: u64) -> bool {
        let Some((total, prefix)) = &self.meters else {
            return false;
        };
        let stream = usize::from(client.transport.is_stream());
        limits.charge(self.prefix[stream].key(limits, client.address), prefix, 1, now)
            && limits.charge(limits.key(&self.total[stream]), total, 1, now)
    }
}
