//! Counts the transactions of a series in a minute or a window. All counts are whole numbers, so their sums do not depend
//! on the order of transactions.

use crate::bytes::{Number, Reader, Result};

/// What is counted of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) events: u32,
    /// Those that were approved or declined.
    pub(super) answered: u32,
    pub(super) approved: u32,
    /// Approved payments, in hundredths of the usual payment in their currencies.
    pub(super) value: u32,
}

impl Cell {
    /// The number of bytes that a cell is stored in.
    pub(super) const BYTES: usize = 16;

    /// Returns the cell of one transaction. `multiple` is its amount in hundredths of the usual one, 0 if it does not count.
    pub(super) fn of(approved: Option<bool>, multiple: u32) -> Self {
        Self {
            events: 1,
            answered: u32::from(approved.is_some()),
            approved: u32::from(approved == Some(true)),
            value: if approved == Some(true) { multiple } else { 0 },
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.events = self.events.saturating_add(other.events);
        self.answered = self.answered.saturating_add(other.answered);
        self.approved = self.approved.saturating_add(other.approved);
        self.value = self.value.saturating_add(other.value);
    }

    /// Returns the sum of cells.
    pub(super) fn sum<'c>(cells: impl IntoIterator<Item = &'c Self>) -> Self {
        cells.into_iter().fold(Self::default(), |mut sum, cell| {
            sum.add(cell);
            sum
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for number in [self.events, self.answered, self.approved, self.value] {
            number.push(out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { events: reader.u32()?, answered: reader.u32()?, approved: reader.u32()?, value: reader.u32()? })
    }
}
