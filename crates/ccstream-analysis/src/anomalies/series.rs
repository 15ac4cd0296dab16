//! Holds what is known of a series besides its past, and chooses the values that are watched.

use super::cell::Cell;
use super::history::BUCKET;
use super::level::{Level, Recent};
use super::measure::{Dimension, Kpi};
use super::minute::{self, Other};
use super::watch::Watch;
use crate::SnapshotError;
use crate::bytes::{Number, Reader, Result};
use crate::key::{self, Key};

/// The number of minutes of a window.
pub(super) const WINDOW: usize = BUCKET as usize;

/// Returns the key of a series.
pub(super) fn key_of(dimension: Dimension, name: &str) -> Key {
    pair(dimension, key::of(name))
}

/// Returns the key of a series, from the key of its name.
pub(super) fn pair(dimension: Dimension, name: Key) -> Key {
    key::pair(dimension as u64, name)
}

/// A series that is watched.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) dimension: Dimension,
    pub(super) name: Box<str>,
    /// The first minute in which all of its transactions are counted.
    pub(super) born: i64,
    /// The first minute after the last pause of the stream.
    since: i64,
    /// The number of its transactions, which is halved each day.
    pub(super) weight: f64,
    /// The last minutes, each at the place of its number modulo [`WINDOW`].
    minutes: [Cell; WINDOW],
    pub(super) recent: Recent,
    /// What is usual in the last bucket and in this one.
    pub(super) levels: [Level; 2],
    pub(super) watches: [Watch; 3],
}

impl Series {
    pub(super) fn new(dimension: Dimension, name: &str, born: i64, weight: f64) -> Self {
        Self {
            dimension,
            name: name.into(),
            born,
            since: born,
            weight,
            minutes: [Cell::default(); WINDOW],
            recent: Recent::default(),
            levels: [Level::NOTHING; 2],
            watches: Kpi::ALL.map(Watch::new),
        }
    }

    /// Sets what was counted in a minute.
    pub(super) fn set(&mut self, minute: i64, cell: Cell) {
        self.minutes[minute.rem_euclid(WINDOW as i64) as usize] = cell;
        self.weight += f64::from(cell.events);
    }

    /// Returns the sum of the last five minutes.
    pub(super) fn window(&self) -> Cell {
        Cell::sum(&self.minutes)
    }

    /// Returns whether the window that ends with a minute is complete.
    pub(super) fn is_complete(&self, minute: i64) -> bool {
        minute - self.since >= WINDOW as i64 - 1
    }

    /// Forgets the last hours, because the stream has paused until a minute. Earlier weeks and days remain known.
    pub(super) fn resume(&mut self, minute: i64) {
        let after = Self::new(self.dimension, &self.name, self.born, self.weight);
        *self = Self { since: minute.max(self.born), ..after };
    }

    /// Returns the first bucket in which all of its transactions were counted.
    pub(super) fn born_bucket(&self) -> i64 {
        (self.born + BUCKET - 1).div_euclid(BUCKET)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        (self.dimension as u8).push(out);
        minute::write_name(&self.name, out);
        self.born.push(out);
        self.since.push(out);
        self.weight.push(out);
        self.minutes.iter().for_each(|cell| cell.write(out));
        self.recent.write(out);
        self.levels.iter().for_each(|level| level.write(out));
        self.watches.iter().for_each(|watch| watch.write(out));
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let (dimension, name) = (minute::dimension(reader)?, minute::name(reader)?);
        let (born, since, weight) = (reader.i64()?, reader.i64()?, reader.finite("weight")?);
        let mut series = Self { since, ..Self::new(dimension, &name, born, weight) };
        for cell in &mut series.minutes {
            *cell = Cell::read(reader)?;
        }
        series.recent = Recent::read(reader)?;
        series.levels = [Level::read(reader)?, Level::read(reader)?];
        for (watch, kpi) in series.watches.iter_mut().zip(Kpi::ALL) {
            *watch = Watch::read(kpi, reader)?;
        }
        Ok(series)
    }
}

/// The number of values that may be watched later, before the smallest are dropped, and how many remain.
const HELD: usize = 1_024;
const KEPT: usize = 512;
/// A value takes the place of another one if it is this many times as large.
const LARGER: f64 = 1.5;

/// Values that are not watched, with the numbers of their transactions, which are halved each day. Ordered by dimension and
/// name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Candidates(std::collections::BTreeMap<(Dimension, Box<str>), f64>);

impl Candidates {
    pub(super) fn add(&mut self, other: &Other) {
        *self.0.entry((other.dimension, other.name.clone())).or_default() += f64::from(other.events);
        if self.0.len() > HELD {
            let mut weights: Vec<f64> = self.0.values().copied().collect();
            let (_, least, _) = weights.select_nth_unstable_by(KEPT, |one, other| other.total_cmp(one));
            let least = *least;
            self.0.retain(|_, weight| *weight > least);
        }
    }

    /// Takes the largest value of a dimension, if its weight is greater than a number.
    pub(super) fn take(&mut self, dimension: Dimension, more_than: f64) -> Option<(Box<str>, f64)> {
        let of = self.0.iter().filter(|((one, _), weight)| *one == dimension && **weight > more_than);
        let largest = of.max_by(|one, other| one.1.total_cmp(other.1)).map(|(key, _)| key.clone())?;
        let weight = self.0.remove(&largest)?;
        Some((largest.1, weight))
    }

    /// Takes a value that is large enough to take the place of one with a weight.
    pub(super) fn take_for(&mut self, dimension: Dimension, weight: f64) -> Option<(Box<str>, f64)> {
        self.take(dimension, LARGER * weight)
    }

    pub(super) fn halve(&mut self) {
        self.0.values_mut().for_each(|weight| *weight /= 2.0);
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        (self.0.len() as u16).push(out);
        for ((dimension, name), weight) in &self.0 {
            (*dimension as u8).push(out);
            minute::write_name(name, out);
            weight.push(out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let count = reader.u16()?;
        if usize::from(count) > HELD {
            return Err(SnapshotError::Value("number of values"));
        }
        let mut one = || Ok(((minute::dimension(reader)?, minute::name(reader)?), reader.finite("weight")?));
        Ok(Self((0..count).map(|_| one()).collect::<Result<_>>()?))
    }
}
