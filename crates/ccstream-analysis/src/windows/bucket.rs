//! Holds the open cells of a share of a window's keys. A bucket depends on its own transactions alone, so it can be
//! written, and brought up to date again, without the others.

use hashbrown::HashMap;

use super::cell::{Cell, Totals};
use super::definition::{Definition, Measure, Shape};
use super::facts::{Facts, texts};
use super::window::BUCKETS;
use super::{panes, sessions};
use crate::key::Key;

/// The maximum number of cells of a window.
pub const MAX_CELLS: usize = 1_000_000;
/// The number of cards of a bucket from which sets that are not small become sketches.
const MAX_HELD: usize = 65_536;

/// A row of a window's table.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowRow {
    /// The start of the window, or the time of the first transaction of the session.
    pub start: i64,
    /// The end of the window, which does not belong to it; or the time of the last transaction of the session plus its gap.
    pub end: i64,
    /// Identifies the values of the dimensions.
    pub key: Key,
    pub(super) values: Box<[u8]>,
    /// The sums.
    pub totals: Totals,
    /// The number of distinct cards, and whether it is exact. It is 0 if the window does not count cards.
    pub cards: (u64, bool),
    /// Whether the window is closed.
    pub is_closed: bool,
}

impl Entry<'_> {
    /// Returns a group without cells for the transaction.
    pub(super) fn group(&self) -> Group {
        Group { values: self.facts.kept(self.dimensions), cells: Vec::new() }
    }
}

impl WindowRow {
    /// Returns the values of the dimensions.
    pub fn values(&self) -> impl Iterator<Item = Option<&str>> {
        texts(&self.values)
    }
}

/// The open cells of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) values: Box<[u8]>,
    /// In the order of their starts.
    pub(super) cells: Vec<Cell>,
}

/// The open cells of a share of the keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bucket {
    pub(super) groups: HashMap<Key, Group>,
    /// Rows that are closed, and are not in the table as they are.
    pub(super) closed: Vec<WindowRow>,
    /// The starts and keys of rows that may be in the table and are no longer valid, because their session has another
    /// start.
    pub(super) gone: Vec<(i64, Key)>,
    /// The watermark up to which windows are closed.
    pub(super) watermark: i64,
    /// No window closes before the watermark has come this far.
    pub(super) next_close: i64,
    pub(super) cells: usize,
    /// The number of cards in all sets.
    pub(super) held: usize,
    /// Whether the bucket differs from what was written of it.
    pub(super) is_changed: bool,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            groups: HashMap::new(),
            closed: Vec::new(),
            gone: Vec::new(),
            watermark: i64::MIN,
            next_close: i64::MAX,
            cells: 0,
            held: 0,
            is_changed: false,
        }
    }
}

/// A transaction as a bucket takes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) time: i64,
    pub(super) watermark: i64,
    /// The key of its dimensions' values.
    pub(super) key: Key,
    /// The numbers of the dimensions.
    pub(super) dimensions: &'a [usize],
    pub(super) facts: &'a Facts,
    pub(super) totals: Totals,
}

/// In how many windows a transaction was not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// The windows that were closed.
    pub late: i64,
    /// The windows for which there was no room.
    pub no_room: i64,
}

impl Bucket {
    /// Takes a transaction in.
    pub(super) fn add(&mut self, definition: &Definition, entry: &Entry<'_>) -> Missed {
        self.close(definition, entry.watermark);
        let missed = match definition.shape {
            Shape::Fixed { size, hop } => panes::add(self, definition, (size, hop), entry),
            Shape::Session { gap, longest } => sessions::add(self, definition, (gap, longest), entry),
        };
        self.is_changed = true;
        missed
    }

    /// Closes the windows whose end the watermark has reached.
    pub(super) fn close(&mut self, definition: &Definition, watermark: i64) {
        if watermark > self.watermark && watermark >= self.next_close {
            match definition.shape {
                Shape::Fixed { size, hop } => panes::close(self, definition, (size, hop), watermark),
                Shape::Session { gap, .. } => sessions::close(self, gap, watermark),
            }
            self.is_changed = true;
        }
        self.watermark = self.watermark.max(watermark);
    }

    /// Returns the rows that have changed, and the starts and keys of those that are no longer valid.
    pub(super) fn flush(&mut self, definition: &Definition, rows: &mut Vec<WindowRow>, gone: &mut Vec<(i64, Key)>) {
        self.is_changed |= !self.closed.is_empty() || !self.gone.is_empty();
        rows.append(&mut self.closed);
        gone.append(&mut self.gone);
        match definition.shape {
            Shape::Fixed { size, hop } => panes::changed(self, definition, (size, hop), rows),
            Shape::Session { gap, .. } => sessions::changed(self, gap, rows),
        }
    }

    /// Returns whether there is room for another cell.
    pub(super) fn has_room(&self, definition: &Definition) -> bool {
        self.cells < definition.cells.div_ceil(BUCKETS)
    }

    /// Adds a transaction to a cell. Returns the number of cards that are held then.
    pub(super) fn count(cell: &mut Cell, definition: &Definition, entry: &Entry<'_>, held: usize) -> usize {
        cell.totals.merge(&entry.totals);
        cell.is_changed = true;
        match entry.facts.card.filter(|_| definition.has(Measure::Cards)) {
            Some(card) => held.saturating_add_signed(cell.cards.add(card, held < MAX_HELD)),
            None => held,
        }
    }
}
