//! Restores the state, and returns what has to be stored of it.

use super::clock::Clock;
use super::currencies::Currencies;
use super::history::DAYS;
use super::open::Open;
use super::series::{Candidates, Series};
use super::state::Anomalies;
use crate::SnapshotError;
use crate::bytes::{Number, Reader};

/// The number of parts of the state: days, and one for all else.
pub const PARTS: usize = DAYS + 1;
/// The first byte of the last part and of open minutes. Another one means another format.
const FORMAT: u8 = 1;

impl Anomalies {
    /// Returns the parts that have changed since this was last called: the day, and all that is known besides the past.
    /// They must be stored in one transaction. Journals up to [`complete`](Self::complete) are not needed any more then.
    pub fn snapshot(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut parts = self.history.changed();
        let mut out = vec![FORMAT];
        self.minute.unwrap_or(i64::MIN).push(&mut out);
        (self.series.len() as u16).push(&mut out);
        self.series.iter().for_each(|one| one.write(&mut out));
        self.candidates.write(&mut out);
        self.currencies.write(&mut out);
        parts.push((DAYS, out));
        parts
    }

    /// Loads a part.
    ///
    /// Errors: the bytes were not written by [`snapshot`](Self::snapshot).
    pub fn load(&mut self, part: usize, data: &[u8]) -> Result<(), SnapshotError> {
        if part < DAYS {
            return self.history.load(part, data);
        }
        let mut reader = Reader(data);
        if part != DAYS {
            return Err(SnapshotError::Bucket);
        }
        if reader.u8()? != FORMAT {
            return Err(SnapshotError::Magic);
        }
        self.minute = Some(reader.i64()?).filter(|minute| *minute != i64::MIN);
        for _ in 0..reader.u16()? {
            let series = Series::read(&mut reader)?;
            self.push(series);
        }
        self.candidates = Candidates::read(&mut reader)?;
        self.currencies = Currencies::read(&mut reader)?;
        if reader.0.is_empty() { Ok(()) } else { Err(SnapshotError::Long) }
    }

    /// Returns the last complete minute, in minutes since 1970; None before the first transaction.
    pub fn complete(&self) -> Option<i64> {
        self.minute
    }

    /// Returns what was counted of minutes that are not complete. It changes with each transaction.
    pub fn open_minutes(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        self.minute.unwrap_or(i64::MIN).push(&mut out);
        self.clock.write(&mut out);
        (self.open.len() as u8).push(&mut out);
        for (number, open) in &self.open {
            number.push(&mut out);
            open.write(&mut out);
        }
        out
    }

    /// Loads what was counted of minutes that were not complete, after all parts and journals.
    ///
    /// Errors: the bytes were not written by [`open_minutes`](Self::open_minutes).
    pub fn load_open(&mut self, data: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader(data);
        if reader.u8()? != FORMAT {
            return Err(SnapshotError::Magic);
        }
        // Before the first minute is complete, there is no part that has it.
        let minute = Some(reader.i64()?).filter(|minute| *minute != i64::MIN);
        self.minute = self.minute.max(minute);
        self.clock = Clock::read(&mut reader)?;
        for _ in 0..reader.u8()? {
            let number = reader.i64()?;
            self.open.insert(number, Open::read(&mut reader)?);
        }
        if reader.0.is_empty() { Ok(()) } else { Err(SnapshotError::Long) }
    }
}
