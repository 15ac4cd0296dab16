//! Rows that lie together: their columns, and from when to when they are.

use std::ops::Range;

use super::codes::{ABSENT, Amounts, Codes};

/// Rows of a full block; few in the tests, so that they have several.
pub const BLOCK_ROWS: usize = if cfg!(test) { 128 } else { 65_536 };
/// Rows of which a block knows the first and last time.
pub const SPAN: usize = if cfg!(test) { 16 } else { 1024 };

/// The coded columns. What has few values goes together in one: rows have some thousand different kinds, and what
/// is counted by kind is counted by each part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CodedColumn {
    /// All that has few values.
    Kind,
    /// City and country.
    Place,
    /// The merchant.
    Merchant,
    /// The card.
    Card,
}

/// How many coded columns there are.
pub const COLUMNS: usize = 4;

/// Up to [`BLOCK_ROWS`] rows.
#[derive(Debug)]
pub struct Block {
    /// The number of its first row.
    pub start: u64,
    /// Microseconds since 1970 UTC, or [`ABSENT`].
    pub time: Vec<i64>,
    /// Cents, or [`ABSENT`].
    pub amount: Amounts,
    /// By [`CodedColumn`].
    pub codes: [Codes; COLUMNS],
    /// The first and last time of its rows that have one; `first > last` where none has.
    pub first: i64,
    /// See `first`.
    pub last: i64,
    /// The first and last time of each [`SPAN`] rows; the first is [`ABSENT`] where one has none.
    spans: Vec<(i64, i64)>,
    /// The time that few of a full block's rows are later than, one in a hundred: its age, as some clocks are wrong by
    /// years. Without any time it is younger than all others.
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

    /// Appends a row; with its last one a block is sealed.
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

    /// From parts that fit together; None if they do not.
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

    /// From when to when some rows at least are, [`ABSENT`] being before all times.
    pub fn span(&self, rows: &Range<usize>) -> (i64, i64) {
        let spans = &self.spans[rows.start / SPAN..rows.end.div_ceil(SPAN)];
        let (firsts, lasts) = (spans.iter().map(|span| span.0), spans.iter().map(|span| span.1));
        (firsts.min().unwrap_or(ABSENT), lasts.max().unwrap_or(i64::MAX))
    }

    /// Its age, also where it is not full: see `late`.
    pub(crate) fn age(&self) -> i64 {
        if self.len() == BLOCK_ROWS { self.late } else { self.find_late() }
    }

    fn find_late(&self) -> i64 {
        let mut times: Vec<i64> = self.time.iter().copied().filter(|time| *time != ABSENT).collect();
        let Some(last) = times.len().checked_sub(1) else { return i64::MAX };
        let at = last - times.len() / 100;
        *times.select_nth_unstable(at).1
    }

    /// Rows in it.
    pub(crate) fn len(&self) -> usize {
        self.time.len()
    }

    /// The codes of a column.
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
