//! Stores rows in blocks. A block has the columns of its rows, and the first and last time in it.

use std::ops::Range;

use super::codes::{ABSENT, Amounts, Codes};

/// The number of rows in a full block. It is small in tests, so that these have several blocks.
pub const BLOCK_ROWS: usize = if cfg!(test) { 128 } else { 65_536 };
/// The number of consecutive rows for which a block stores the first and last time.
pub const SPAN: usize = if cfg!(test) { 16 } else { 1024 };

/// Lists the coded columns. All attributes with few values share one column, as there are only some thousand different
/// combinations of their values. Totals by combination then yield the totals by each of these attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CodedColumn {
    /// The combination of all attributes with few values.
    Kind,
    /// The combination of city and country.
    Place,
    /// The merchant.
    Merchant,
    /// The card.
    Card,
}

/// The number of coded columns.
pub const COLUMNS: usize = 4;

/// Holds up to [`BLOCK_ROWS`] rows.
#[derive(Debug)]
pub struct Block {
    /// The number of the first row.
    pub start: u64,
    /// The time of each row in microseconds since 1970 UTC, or [`ABSENT`].
    pub time: Vec<i64>,
    /// The amount of each row in cents, or [`ABSENT`].
    pub amount: Amounts,
    /// The codes of each row, by [`CodedColumn`].
    pub codes: [Codes; COLUMNS],
    /// The first time of all rows that have one. If no row has a time, `first > last`.
    pub first: i64,
    /// The last time of all rows that have one.
    pub last: i64,
    /// The first and last time of each [`SPAN`] consecutive rows. The first is [`ABSENT`] if one of these rows has no
    /// time.
    spans: Vec<(i64, i64)>,
    /// The 99th percentile of a full block's timestamps, by which blocks are evicted oldest first. It is not the maximum,
    /// because a wrong clock may date single rows years ahead. It is `i64::MAX` for a block without timestamps, which is
    /// therefore evicted last.
    pub(crate) late: i64,
}

impl Block {
    pub(crate) fn new(start: u64) -> Self {
        let codes = std::array::from_fn(|_| Codes::Long(Vec::new()));
        Self {
            start,
            time: Vec::new(),
            amount: Amounts::Wide(Vec::new()),
            codes,
            first: i64::MAX,
            last: i64::MIN,
            spans: Vec::new(),
            late: i64::MAX,
        }
    }

    /// Appends a row. If the block is then full, it is sealed.
    pub(crate) fn push(&mut self, time: i64, cents: i64, codes: [u32; COLUMNS]) {
        for (column, code) in self.codes.iter_mut().zip(codes) {
            column.push(code);
        }
        self.amount.push(cents);
        self.time.push(time);
        self.note_time(self.len() - 1);
        if self.len() == BLOCK_ROWS {
            self.seal();
        }
    }

    /// Creates a block from its columns; None if these have different lengths or are too long.
    pub fn restore(start: u64, time: Vec<i64>, amount: Amounts, codes: [Codes; COLUMNS]) -> Option<Self> {
        let len = time.len();
        if len > BLOCK_ROWS || amount.len() != len || codes.iter().any(|codes| codes.len() != len) {
            return None;
        }
        let mut block = Self { time, amount, codes, ..Self::new(start) };
        for at in 0..len {
            block.note_time(at);
        }
        if len == BLOCK_ROWS {
            block.late = block.find_late();
        }
        Some(block)
    }

    fn note_time(&mut self, row: usize) {
        let time = self.time[row];
        if time != ABSENT {
            self.first = self.first.min(time);
            self.last = self.last.max(time);
        }
        if self.spans.len() <= row / SPAN {
            self.spans.push((time, time));
        }
        let (first, last) = &mut self.spans[row / SPAN];
        (*first, *last) = ((*first).min(time), (*last).max(time));
    }

    /// Returns a first and a last time that enclose the times of a range of rows. [`ABSENT`] is less than all times.
    pub fn span(&self, rows: &Range<usize>) -> (i64, i64) {
        let spans = &self.spans[rows.start / SPAN..rows.end.div_ceil(SPAN)];
        let (firsts, lasts) = (spans.iter().map(|span| span.0), spans.iter().map(|span| span.1));
        (firsts.min().unwrap_or(ABSENT), lasts.max().unwrap_or(i64::MAX))
    }

    /// Returns the 99th percentile of the block's timestamps, as `late` defines it, even if the block is not full.
    pub(crate) fn age(&self) -> i64 {
        if self.len() == BLOCK_ROWS { self.late } else { self.find_late() }
    }

    fn find_late(&self) -> i64 {
        let mut times: Vec<i64> = self.time.iter().copied().filter(|time| *time != ABSENT).collect();
        let Some(last) = times.len().checked_sub(1) else { return i64::MAX };
        let at = last - times.len() / 100;
        *times.select_nth_unstable(at).1
    }

    /// Returns the number of rows.
    pub(crate) fn len(&self) -> usize {
        self.time.len()
    }

    /// Returns the codes of a column.
    pub fn codes(&self, column: CodedColumn) -> &Codes {
        &self.codes[column as usize]
    }

    fn seal(&mut self) {
        self.late = self.find_late();
        self.time.shrink_to_fit();
        self.amount.seal();
        self.codes.iter_mut().for_each(Codes::seal);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.time.capacity() * 8 + self.amount.bytes() + self.codes.iter().map(Codes::bytes).sum::<usize>()
    }
}
