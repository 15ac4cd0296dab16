//! Holds what was counted in each five minutes of the last month, by day.

use super::cell::Cell;
use super::measure::Kpi;
use crate::SnapshotError;
use crate::bytes::{Number, Reader, Result};

/// The length of a bucket in minutes.
pub(super) const BUCKET: i64 = 5;
/// The number of buckets of a day.
pub(super) const DAY: i64 = 24 * 60 / BUCKET;
/// The number of days that are held: a month of 31 days, the day before it and today.
pub(super) const DAYS: usize = 33;

/// The flags of a bucket in which a series was not counted: it is new, or the stream paused.
const UNCOUNTED: u8 = u8::MAX;

/// What was counted of a series on a day.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    cells: Vec<Cell>,
    /// For each bucket, a bit for each measure that was anomalous, or [`UNCOUNTED`].
    flags: Vec<u8>,
}

impl Default for Row {
    fn default() -> Self {
        Self { cells: vec![Cell::default(); DAY as usize], flags: vec![UNCOUNTED; DAY as usize] }
    }
}

/// A day.
#[derive(Debug, Clone, Default, PartialEq)]
struct Day {
    /// Days since 1970.
    number: i64,
    /// By the place of the series.
    rows: Vec<Row>,
}

/// What was counted in each bucket of the last days.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct History {
    /// Each day is at the place of its number modulo [`DAYS`].
    days: Vec<Day>,
    /// The days that have changed since they were last written.
    is_changed: Vec<bool>,
}

/// A bucket of a series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past<'h> {
    pub(super) cell: &'h Cell,
    flags: u8,
}

impl Past<'_> {
    /// Returns whether a measure was anomalous.
    pub(super) fn was_anomalous(&self, kpi: Kpi) -> bool {
        self.flags & bit(kpi) != 0
    }
}

/// Returns the bit of a measure.
pub(super) fn bit(kpi: Kpi) -> u8 {
    1 << kpi as u8
}

fn place(bucket: i64) -> (usize, usize) {
    (bucket.div_euclid(DAY).rem_euclid(DAYS as i64) as usize, bucket.rem_euclid(DAY) as usize)
}

impl History {
    pub(super) fn new() -> Self {
        Self { days: vec![Day::default(); DAYS], is_changed: vec![false; DAYS] }
    }

    /// Returns a bucket of a series; None if it was not counted.
    pub(super) fn get(&self, series: usize, bucket: i64) -> Option<Past<'_>> {
        let (at, within) = place(bucket);
        let day = Some(&self.days[at]).filter(|day| day.number == bucket.div_euclid(DAY))?;
        let row = day.rows.get(series)?;
        Some(Past { cell: &row.cells[within], flags: row.flags[within] }).filter(|past| past.flags != UNCOUNTED)
    }

    /// Sets a bucket of a series.
    pub(super) fn set(&mut self, series: usize, bucket: i64, cell: Cell, flags: u8) {
        let ((at, within), number) = (place(bucket), bucket.div_euclid(DAY));
        let day = &mut self.days[at];
        if day.number != number {
            *day = Day { number, rows: Vec::new() };
        }
        if day.rows.len() <= series {
            day.rows.resize(series + 1, Row::default());
        }
        let row = &mut day.rows[series];
        (row.cells[within], row.flags[within]) = (cell, flags);
        self.is_changed[at] = true;
    }

    /// Returns the days that have changed since this was last called.
    pub(super) fn changed(&mut self) -> Vec<(usize, Vec<u8>)> {
        let changed: Vec<usize> = (0..DAYS).filter(|at| std::mem::take(&mut self.is_changed[*at])).collect();
        changed.into_iter().map(|at| (at, self.days[at].write())).collect()
    }

    /// Loads a day.
    pub(super) fn load(&mut self, at: usize, data: &[u8]) -> Result<()> {
        self.days[at] = Day::read(data)?;
        self.is_changed[at] = false;
        Ok(())
    }
}

impl Day {
    fn write(&self) -> Vec<u8> {
        // Of today, only the past is written.
        let last = |row: &Row| row.flags.iter().rposition(|flags| *flags != UNCOUNTED);
        let filled = self.rows.iter().filter_map(last).max().map_or(0, |last| last + 1);
        let mut out = Vec::with_capacity(16 + self.rows.len() * filled * (Cell::BYTES + 1));
        self.number.push(&mut out);
        (filled as u16).push(&mut out);
        (self.rows.len() as u16).push(&mut out);
        for row in &self.rows {
            for (cell, flags) in row.cells[..filled].iter().zip(&row.flags) {
                cell.write(&mut out);
                flags.push(&mut out);
            }
        }
        out
    }

    fn read(data: &[u8]) -> Result<Self> {
        let mut reader = Reader(data);
        let mut day = Self { number: reader.i64()?, rows: Vec::new() };
        let filled = usize::from(reader.u16()?);
        if filled > DAY as usize {
            return Err(SnapshotError::Value("day"));
        }
        for _ in 0..reader.u16()? {
            let mut row = Row::default();
            for at in 0..filled {
                (row.cells[at], row.flags[at]) = (Cell::read(&mut reader)?, reader.u8()?);
            }
            day.rows.push(row);
        }
        if reader.0.is_empty() { Ok(day) } else { Err(SnapshotError::Long) }
    }
}
