//! Represents a time zone by its offsets from UTC and the moments at which they change.

use crate::rows::codes::FAR;
use crate::rows::codes::SECOND;
use ccstream_core::error::{Error, Result};

/// The maximum offset from UTC, in seconds: a day.
const MOST_SECONDS: u32 = 86_400;

/// Holds the offsets of a time zone, in seconds east of UTC. The default is UTC.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Offsets {
    /// The offset before the first change.
    first: i32,
    /// Each change: its moment in microseconds since 1970 UTC, and the offset from then on. Moments are ascending.
    changes: Vec<(i64, i32)>,
}

/// Describes a range of time in which the offset does not change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// Its first microsecond; `i64::MIN` for the first stretch.
    pub(crate) from: i64,
    /// The moment of the next change; `i64::MAX` for the last stretch.
    pub(crate) until: i64,
    /// Microseconds east of UTC.
    pub(crate) shift: i64,
}

impl Stretch {
    pub(crate) fn contains(&self, time: i64) -> bool {
        self.from <= time && time < self.until
    }
}

impl Offsets {
    /// Creates a zone whose offset never changes.
    pub fn fixed(seconds: i32) -> Self {
        Self { first: seconds, changes: Vec::new() }
    }

    /// Creates a zone with a first offset and its changes: pairs of a moment (microseconds since 1970 UTC) and the
    /// offset from then on.
    pub fn changing(first: i32, changes: Vec<(i64, i32)>) -> Self {
        Self { first, changes }
    }

    /// Fails with [`Error::Config`] if an offset is more than a day, or if changes are not ascending or too far from
    /// 1970.
    pub fn validate(&self) -> Result<()> {
        let seconds = std::iter::once(self.first).chain(self.changes.iter().map(|(_, seconds)| *seconds));
        if let Some(seconds) = seconds.into_iter().find(|seconds| seconds.unsigned_abs() > MOST_SECONDS) {
            return Err(Error::config("tz", format!("an offset of {seconds} seconds is more than a day")));
        }
        if !self.changes.is_sorted_by(|(left, _), (right, _)| left < right) {
            return Err(Error::config("tz", "the changes of the offset are not in ascending order"));
        }
        if self.changes.iter().any(|(from, _)| !(-FAR..FAR).contains(from)) {
            return Err(Error::config("tz", "a change is more than 73,000 years from 1970"));
        }
        Ok(())
    }

    /// Returns the stretch that contains a moment.
    pub(crate) fn stretch(&self, time: i64) -> Stretch {
        self.nth(if self.changes.is_empty() { 0 } else { self.changes.partition_point(|(from, _)| *from <= time) })
    }

    /// Returns all stretches in ascending order.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Stretch> {
        (0..=self.changes.len()).map(|number| self.nth(number))
    }

    fn nth(&self, number: usize) -> Stretch {
        let (from, seconds) = number.checked_sub(1).map_or((i64::MIN, self.first), |at| self.changes[at]);
        let until = self.changes.get(number).map_or(i64::MAX, |(from, _)| *from);
        Stretch { from, until, shift: i64::from(seconds) * SECOND }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_holds_until_it_changes() {
        let berlin = Offsets::changing(3600, vec![(100, 7200), (200, 3600)]);
        berlin.validate().unwrap();
        let of = |time| berlin.stretch(time).shift / SECOND;
        assert_eq!([i64::MIN, 99, 100, 199, 200, i64::MAX].map(of), [3600, 3600, 7200, 7200, 3600, 3600]);
        assert_eq!(
            berlin.stretches().map(|one| (one.from, one.until)).collect::<Vec<_>>(),
            [(i64::MIN, 100), (100, 200), (200, i64::MAX)]
        );
        assert!(Offsets::fixed(-86_400).validate().is_ok());
        assert!(Offsets::fixed(86_401).validate().is_err());
        assert!(Offsets::changing(0, vec![(5, 1), (5, 2)]).validate().is_err());
    }
}
