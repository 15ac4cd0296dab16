//! This module holds what one transaction writes about windows. It performs no I/O.

use ccstream_analysis::windows::{Definition, Flushed, Missed, Part};
use std::sync::Arc;

/// How often transactions of a day were not counted.
#[derive(Debug)]
pub(crate) struct MissedRow {
    pub(crate) name: String,
    pub(crate) version: i32,
    /// The day of the transactions, from 1970.
    pub(crate) day: i32,
    pub(crate) missed: Missed,
}

/// What the table and the state of a window get.
#[derive(Debug)]
pub(crate) struct CountedWindow {
    pub(crate) definition: Arc<Definition>,
    pub(crate) version: i32,
    pub(crate) flushed: Flushed,
    pub(crate) parts: Vec<Part>,
    /// The parts that have not changed, and are true as of `seq`, too.
    pub(crate) unchanged: Vec<usize>,
    /// The place in the order up to which all of it is complete, and the greatest time of an event up to it.
    pub(crate) seq: i64,
    pub(crate) reached: Option<i64>,
    /// The place up to which `windows_late` is complete; None while each batch adds to it.
    pub(crate) counted: Option<i64>,
    /// Number of further transactions that were not in `orders`.
    pub(crate) lacking: i64,
}

/// What one transaction writes about windows.
#[derive(Debug, Default)]
pub(crate) struct WindowsBatch {
    pub(crate) missed: Vec<MissedRow>,
    pub(crate) counted: Vec<CountedWindow>,
    /// The place that windows which are behind have reached; None in a batch of the analysis.
    pub(crate) followed: Option<i64>,
}

impl WindowsBatch {
    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.missed.is_empty() && self.counted.is_empty()
    }
}
