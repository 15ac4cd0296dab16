//! Tables that are made of each batch's rows, in the batch's own transaction.

pub(super) mod latency;
pub(crate) mod rejected;
pub(super) mod totals;
