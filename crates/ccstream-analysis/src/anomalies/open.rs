//! Counts the transactions of minutes that are not complete yet.

use std::collections::BTreeMap;

use super::cell::Cell;
use super::currencies::{Code, Paid};
use super::minute::{self, Minute};
use super::others::Others;
use super::series;
use crate::bytes::{Reader, Result};

/// A minute that is not complete.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Open {
    /// By the place of the series.
    pub(super) cells: Vec<Cell>,
    pub(super) paid: BTreeMap<Code, Paid>,
    pub(super) others: Others,
}

impl Open {
    /// Adds a transaction of a series.
    pub(super) fn add(&mut self, at: usize, cell: &Cell) {
        if self.cells.len() <= at {
            self.cells.resize(at + 1, Cell::default());
        }
        self.cells[at].add(cell);
    }

    /// Forgets what was counted of the series at a place, because it is another series from now on.
    pub(super) fn clear(&mut self, at: usize) {
        if let Some(cell) = self.cells.get_mut(at) {
            *cell = Cell::default();
        }
    }

    /// Returns the complete minute.
    pub(super) fn complete(&self, number: i64) -> Minute {
        Minute { number, cells: self.cells(), paid: self.paid(), others: self.others.largest() }
    }

    fn cells(&self) -> Vec<(u16, Cell)> {
        let all = self.cells.iter().enumerate().filter(|(_, cell)| cell.events > 0);
        all.map(|(at, cell)| (at as u16, *cell)).collect()
    }

    fn paid(&self) -> Vec<(Code, Paid)> {
        self.paid.iter().map(|(code, paid)| (*code, *paid)).collect()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        minute::write_cells(&self.cells(), out);
        minute::write_paid(&self.paid(), out);
        minute::write_others(&self.others.list(), out);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut open = Self::default();
        for (at, cell) in minute::read_cells(reader)? {
            open.add(at.into(), &cell);
        }
        open.paid = minute::read_paid(reader)?.into_iter().collect();
        for other in minute::read_others(reader)? {
            open.others.put(series::key_of(other.dimension, &other.name), other);
        }
        Ok(open)
    }
}
