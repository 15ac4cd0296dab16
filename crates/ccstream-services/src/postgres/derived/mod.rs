//! Tables that are made of each batch's rows, in the batch's own transaction.

mod latency;
pub(crate) mod rejected;
mod totals;

pub(super) use self::latency::Latency;
pub(super) use self::rejected::Rejected;
pub(super) use self::totals::Totals;
