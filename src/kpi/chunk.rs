//! A few rows of a block at a time, few enough for the processor's nearest cache: which of them pass the
//! filter, and what each adds to a group.

use std::ops::Range;

use super::buckets::{Buckets, Finder};
use super::cards::OUTSIDE;
use super::columns::{ABSENT, Block, Column, Columns, with_codes};
use super::query::{Dimension, Filter, SECOND};

/// Rows looked at together.
pub(crate) const ROWS: usize = 1024;
/// The slot of a row outside of every bucket.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Statuses of a transaction that went through, and of one that did not.
pub const APPROVED: [&str; 2] = ["approved", "completed"];
/// See [`APPROVED`].
pub const DECLINED: [&str; 2] = ["declined", "failed"];

/// What rows add up to, two counts to a word: rows and amounts; approved and with a status; declined and
/// risky; and the sum in cents. Adding all four is one or two instructions.
pub(crate) type Cell = [u64; 4];

/// A cell's parts by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Rows.
    pub count: u64,
    /// Rows with an amount in the query's currency.
    pub amounts: u64,
    /// The sum of these amounts in cents.
    pub sum: i64,
    /// Rows that were approved.
    pub approved: u64,
    /// Rows that have a status.
    pub with_status: u64,
    /// Rows that were declined.
    pub declined: u64,
    /// Rows flagged as risky.
    pub risky: u64,
}

impl From<Cell> for Figures {
    fn from([rows, outcomes, others, sum]: Cell) -> Self {
        let low = |word: u64| word & u64::from(u32::MAX);
        Self {
            count: low(rows),
            amounts: rows >> 32,
            sum: sum as i64,
            approved: low(outcomes),
            with_status: outcomes >> 32,
            declined: low(others),
            risky: others >> 32,
        }
    }
}

pub(crate) fn add(cell: &mut Cell, other: &Cell) {
    for (mine, theirs) in cell.iter_mut().zip(other) {
        *mine = mine.wrapping_add(*theirs);
    }
}

/// A filter, a currency and the outcomes in terms of codes.
#[derive(Debug)]
pub(crate) struct Terms {
    /// For each column that is filtered, whether a code passes.
    masks: Vec<(Column, Vec<bool>)>,
    amounts: Option<(i64, i64)>,
    /// The code of the currency whose amounts are added; None: no row has it.
    currency: Option<u32>,
    /// By the code of a status, and of a risk flag, the words of a cell.
    statuses: Vec<[u64; 2]>,
    risk_words: Vec<u64>,
}

impl Terms {
    pub(crate) fn new(filter: &Filter, currency: Option<&str>, columns: &Columns) -> Self {
        let mut masks: Vec<(Column, Vec<bool>)> = Vec::new();
        for (dimension, values) in &filter.only {
            let column = dimension.column();
            let len = columns.dictionary(column).len();
            let passes = |code: u32| {
                let (city, country) = if column == Column::Place { columns.place(code) } else { (None, None) };
                let value = match dimension {
                    Dimension::City => city,
                    Dimension::Country => country,
                    _ => return columns.dictionary(column).name(code).map(str::to_owned),
                };
                value.map(str::to_owned)
            };
            let mut mask: Vec<bool> = (0..len as u32).map(|code| values.contains(&passes(code))).collect();
            if let Some((_, there)) = masks.iter_mut().find(|(other, _)| *other == column) {
                there.iter_mut().zip(&mask).for_each(|(there, passes)| *there &= passes);
            } else {
                masks.push((column, std::mem::take(&mut mask)));
            }
        }
        let amounts = (filter.min_cents.is_some() || filter.max_cents.is_some())
            .then(|| (filter.min_cents.unwrap_or(ABSENT + 1), filter.max_cents.unwrap_or(i64::MAX)));
        let status_names = columns.dictionary(Column::Status);
        let statuses = (0..status_names.len() as u32).map(|code| {
            let Some(name) = status_names.name(code) else { return [0, 0] };
            let (approved, declined) = (APPROVED.contains(&name), DECLINED.contains(&name));
            [u64::from(approved) | 1 << 32, u64::from(declined)]
        });
        let risky = columns.dictionary(Column::Risk).find(Some("true"));
        let risk_words =
            (0..columns.dictionary(Column::Risk).len() as u32).map(|code| u64::from(risky == Some(code)) << 32);
        Self {
            masks,
            amounts,
            currency: columns.dictionary(Column::Currency).find(currency),
            statuses: statuses.collect(),
            risk_words: risk_words.collect(),
        }
    }
}

/// Rows that passed, and what each adds.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Their places in the block.
    pub(crate) rows: Vec<u16>,
    pub(crate) cells: Vec<Cell>,
    /// The amount of each in cents; [`ABSENT`] without one in the query's currency.
    pub(crate) cents: Vec<i64>,
    /// The slot of time of each, or [`NOWHERE`].
    pub(crate) slots: Vec<u32>,
    /// The codes of one column.
    pub(crate) codes: Vec<u32>,
    /// The hour of the week of each, or [`NOWHERE`].
    pub(crate) hours: Vec<u32>,
}

impl Chunk {
    pub(crate) fn new() -> Self {
        Self {
            rows: Vec::with_capacity(ROWS),
            cells: Vec::with_capacity(ROWS),
            cents: Vec::with_capacity(ROWS),
            slots: Vec::with_capacity(ROWS),
            codes: Vec::with_capacity(ROWS),
            hours: Vec::with_capacity(ROWS),
        }
    }

    /// Chooses the rows in a range of the block that are in a range of time and pass the filter.
    pub(crate) fn select(&mut self, block: &Block, rows: Range<usize>, time: Option<(i64, i64)>, terms: &Terms) {
        self.rows.clear();
        match time {
            Some((from, to)) if block.first < from || block.last >= to || block.untimed > 0 => {
                self.rows.extend(rows.map(|row| row as u16));
                // An absent time is before all others.
                retain(&mut self.rows, |row| block.time[row] >= from && block.time[row] < to);
            }
            _ => self.rows.extend(rows.map(|row| row as u16)),
        }
        for (column, mask) in &terms.masks {
            with_codes!(block.codes(*column), codes => retain(&mut self.rows, |row| mask[codes[row] as usize]));
        }
        if let Some((low, high)) = terms.amounts {
            retain(&mut self.rows, |row| (low..=high).contains(&block.amount.get(row)));
        }
    }

    /// Fills in what each chosen row adds, or takes away.
    pub(crate) fn measure(&mut self, block: &Block, terms: &Terms, subtract: bool) {
        self.cents.clear();
        self.cells.clear();
        self.decode(block, Column::Currency);
        let amount = |(row, currency): (&u16, &u32)| {
            if Some(*currency) == terms.currency { block.amount.get(usize::from(*row)) } else { ABSENT }
        };
        self.cents.extend(self.rows.iter().zip(&self.codes).map(amount));
        self.cells.extend(self.cents.iter().map(|cents| {
            let has = *cents != ABSENT;
            [1 | u64::from(has) << 32, 0, 0, if has { *cents as u64 } else { 0 }]
        }));
        self.decode(block, Column::Status);
        for (cell, status) in self.cells.iter_mut().zip(&self.codes) {
            [cell[1], cell[2]] = terms.statuses[*status as usize];
        }
        self.decode(block, Column::Risk);
        for (cell, risk) in self.cells.iter_mut().zip(&self.codes) {
            cell[2] |= terms.risk_words[*risk as usize];
        }
        if subtract {
            self.cells.iter_mut().flatten().for_each(|word| *word = word.wrapping_neg());
        }
    }

    /// Fills in the slots of time.
    pub(crate) fn place_in_time(&mut self, block: &Block, buckets: Option<Buckets>) {
        self.slots.clear();
        let Some(buckets) = buckets else { return self.slots.resize(self.rows.len(), NOWHERE) };
        let mut finder = Finder::new(buckets);
        let slot = |row: &u16| match block.time[usize::from(*row)] {
            ABSENT => NOWHERE,
            time => finder.slot(time).unwrap_or(NOWHERE),
        };
        self.slots.extend(self.rows.iter().map(slot));
    }

    /// Fills in the hours of the week, so many seconds east of UTC.
    pub(crate) fn place_in_week(&mut self, block: &Block, utc_offset: i32) {
        const HOUR: i64 = 3600 * SECOND;
        /// 1970 began on a Thursday.
        const MONDAY: i64 = 3 * 24;
        self.hours.clear();
        let shift = i64::from(utc_offset) * SECOND;
        let (mut from, mut to, mut hour) = (i64::MAX, i64::MIN, 0);
        let rows = self.rows.iter().map(|row| {
            let time = block.time[usize::from(*row)];
            if time == ABSENT {
                return NOWHERE;
            }
            if time < from || time >= to {
                let number = (time + shift).div_euclid(HOUR);
                from = number * HOUR - shift;
                to = from + HOUR;
                hour = (number + MONDAY).rem_euclid(168) as u32;
            }
            hour
        });
        self.hours.extend(rows);
    }

    /// Fills in a column's codes.
    pub(crate) fn decode(&mut self, block: &Block, column: Column) {
        block.codes(column).gather(&self.rows, &mut self.codes);
    }

    /// The bit of a card's word that a slot has.
    pub(crate) fn card_slot(slot: u32) -> u32 {
        slot.min(OUTSIDE)
    }
}

/// Keeps the rows that pass, without a branch for each.
fn retain(rows: &mut Vec<u16>, mut passes: impl FnMut(usize) -> bool) {
    let mut kept = 0;
    for at in 0..rows.len() {
        let row = rows[at];
        rows[kept] = row;
        kept += usize::from(passes(usize::from(row)));
    }
    rows.truncate(kept);
}
