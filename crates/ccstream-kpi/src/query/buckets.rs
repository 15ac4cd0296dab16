//! Divides time into buckets of one width. The buckets of a range are the slots of a ring buffer: when the range moves
//! on, the buckets that enter it reuse the slots of those that leave.

use std::ops::Range;
use std::sync::Arc;

use super::grid::Grid;
use super::question::{MAX_BUCKETS, Query, Window};
use crate::rows::cards::FEW;
use crate::rows::codes::{DAY, SECOND};
use ccstream_core::error::{Error, Result};

/// Widths that are easy to read, in seconds.
const WIDTHS: [i64; 24] = [
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    86_400,
    2 * 86_400,
    7 * 86_400,
    30 * 86_400,
    91 * 86_400,
    365 * 86_400,
    3650 * 86_400,
];
/// The maximum number of buckets if no width is asked for, not counting the two at the edges of the range.
const WANTED: i64 = 60;

/// Describes consecutive buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buckets {
    grid: Arc<Grid>,
    /// The number of the first bucket.
    pub(crate) first: i64,
    /// The number of buckets, which is the size of the ring.
    pub(crate) len: usize,
}

impl Buckets {
    /// Returns the buckets of a query at the moment `now`; None if it needs none. `span` is the first and last time of
    /// all rows. Fails with [`Error::Config`] if there would be more than [`MAX_BUCKETS`].
    pub(crate) fn of(query: &Query, now: i64, span: Option<(i64, i64)>) -> Result<Option<Self>> {
        if !query.needs_time() {
            return Ok(None);
        }
        let (from, to) = match query.window {
            Window::Last(length) => (now - length, now - 1),
            Window::Between(from, to) => (from, to - 1),
            Window::All => span.unwrap_or((now, now)),
        };
        let width = query.width.unwrap_or_else(|| width_for(to - from, WANTED));
        let grid = Arc::new(Grid::new(width, &query.offsets));
        let (first, last) = (grid.number(from), grid.number(to));
        let count = match query.window {
            // The range moves on, so there must be enough buckets wherever within a bucket it begins.
            Window::Last(length) => (length + grid.gain() + width - 1) / width + 1,
            _ => last - first + 1,
        };
        if count > MAX_BUCKETS {
            return Err(Error::config(
                "width",
                format!("{count} buckets are more than {MAX_BUCKETS}; use a greater width or a shorter range"),
            ));
        }
        let len = match query.window {
            // All of time keeps growing, so the ring has room for more buckets.
            Window::All => (count as usize).max(if query.width.is_none() { FEW } else { count as usize * 5 / 4 + 8 }),
            _ => count as usize,
        };
        let first = if matches!(query.window, Window::Last(_)) { last + 1 - count } else { first };
        Ok(Some(Self { grid, first, len }))
    }

    /// Returns the width of a bucket in microseconds. A bucket in which the offset from UTC changes may be longer or
    /// shorter.
    pub(crate) fn width(&self) -> i64 {
        self.grid.width
    }

    /// Returns the number of the bucket that contains a time.
    pub(crate) fn number(&self, time: i64) -> i64 {
        self.grid.number(time)
    }

    pub(crate) fn numbers(&self) -> Range<i64> {
        self.first..self.first + self.len as i64
    }

    /// Returns the slot of a bucket in the ring.
    pub(crate) fn slot(&self, number: i64) -> usize {
        number.rem_euclid(self.len as i64) as usize
    }

    /// Returns the start of a bucket.
    pub(crate) fn start(&self, number: i64) -> i64 {
        self.grid.start(number)
    }

    /// Returns an equal number of buckets, of which the last contains the microsecond before `time`.
    pub(crate) fn before(&self, time: i64) -> Self {
        Self { first: self.number(time - 1) + 1 - self.len as i64, ..self.clone() }
    }
}

/// Returns the smallest width that divides a length of time into about `buckets` buckets at most.
pub(crate) fn width_for(length: i64, buckets: i64) -> i64 {
    let fits = |width: &i64| length / (width * SECOND) <= buckets;
    WIDTHS.into_iter().find(fits).map_or(length / buckets + DAY, |width| width * SECOND)
}

/// Finds the slots of times. It tries the most recent slot first, since rows are mostly in the order of time.
#[derive(Debug)]
pub(crate) struct Finder<'a> {
    buckets: &'a Buckets,
    from: i64,
    until: i64,
    slot: u32,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(buckets: &'a Buckets) -> Self {
        Self { buckets, from: i64::MAX, until: i64::MIN, slot: 0 }
    }

    /// Returns a range of time within the slot that was found last.
    pub(crate) fn current(&self) -> (i64, i64) {
        (self.from, self.until)
    }

    /// Returns the slot of a time; None if it is outside of all buckets.
    pub(crate) fn slot(&mut self, time: i64) -> Option<u32> {
        if time < self.from || time >= self.until {
            let found = self.buckets.grid.find(time);
            if !self.buckets.numbers().contains(&found.number) {
                return None;
            }
            (self.from, self.until) = (found.from, found.until);
            self.slot = self.buckets.slot(found.number) as u32;
        }
        Some(self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::super::offsets::Offsets;
    use super::super::question::{By, Grouping};
    use super::*;

    const HOUR: i64 = 3600 * SECOND;

    #[test]
    fn widths_fit_the_number_of_buckets() {
        assert_eq!(width_for(300 * SECOND, 60), 5 * SECOND);
        assert_eq!(width_for(HOUR, 60), 60 * SECOND);
        assert_eq!(width_for(DAY, 60), 1800 * SECOND);
        assert_eq!(width_for(7 * DAY, 60), 3 * HOUR);
        assert_eq!(width_for(0, 60), SECOND);
        assert!(60 * 365 * DAY / width_for(60 * 365 * DAY, 48) <= 48);
    }

    #[test]
    fn a_last_hour() {
        let query = Query { window: Window::Last(HOUR), offsets: Offsets::fixed(1800), ..Query::default() };
        let now = 1_000_000 * HOUR + 90 * SECOND + 7;
        let buckets = Buckets::of(&query, now, None).unwrap().unwrap();
        assert_eq!((buckets.width(), buckets.len), (60 * SECOND, 61));
        let (from, to) = (buckets.start(buckets.first), buckets.start(buckets.first + 61));
        assert_eq!((from, to), (1_000_000 * HOUR + 60 * SECOND - HOUR, 1_000_000 * HOUR + 120 * SECOND));
        let mut finder = Finder::new(&buckets);
        let slots: std::collections::BTreeSet<_> =
            (0..61).map(|n| finder.slot(from + n * 60 * SECOND + 5).unwrap()).collect();
        assert_eq!(slots, (0..61).collect());
        assert_eq!((finder.slot(from - 1), finder.slot(to)), (None, None));
        // If a bucket ends exactly now, the number of buckets is the same, and the first is not needed.
        let sharp = Buckets::of(&query, 1_000_000 * HOUR, None).unwrap().unwrap();
        assert_eq!((sharp.len, sharp.start(sharp.first + 61)), (61, 1_000_000 * HOUR));
        assert_eq!(sharp.before(999_999 * HOUR).numbers().end, sharp.number(999_999 * HOUR));
        let between = Query {
            window: Window::Between(0, 2 * HOUR),
            width: Some(HOUR),
            offsets: Offsets::default(),
            ..query.clone()
        };
        let between = Query { groupings: vec![Grouping::new(By::Time)], ..between };
        assert_eq!(Buckets::of(&between, 0, None).unwrap().unwrap().numbers(), 0..2);
        // The preceding hour ends in the bucket in which this hour begins.
        let begin = now - HOUR;
        assert_eq!(buckets.before(begin).numbers().end, buckets.number(begin) + 1);
    }

    #[test]
    fn days_begin_at_local_midnight() {
        let query = Query {
            width: Some(DAY),
            offsets: Offsets::fixed(7200),
            groupings: vec![Grouping::new(By::Time)],
            ..Query::default()
        };
        let buckets = Buckets::of(&query, 0, Some((10 * DAY, 12 * DAY))).unwrap().unwrap();
        assert_eq!(buckets.start(buckets.number(10 * DAY + 23 * HOUR)), 11 * DAY - 2 * HOUR);
        let absurd = Query { width: Some(SECOND), ..query };
        let error = Buckets::of(&absurd, 0, Some((0, 100 * DAY))).unwrap_err();
        assert!(error.to_string().starts_with("width: "), "{error}");
    }

    #[test]
    fn a_range_across_a_change_of_offset_has_room_for_all_days() {
        const SPRING: i64 = 1_774_746_000 * SECOND;
        let offsets = Offsets::changing(3600, vec![(SPRING, 7200)]);
        let query = Query { window: Window::Last(7 * DAY), width: Some(DAY), offsets, ..Query::default() };
        let slots = |now: i64| {
            let buckets = Buckets::of(&query, now, None).unwrap().unwrap();
            let mut finder = Finder::new(&buckets);
            let minutes = (0..7 * 24 * 60).map(|minute| now - 7 * DAY + minute * 60 * SECOND);
            minutes.map(|time| finder.slot(time).unwrap()).collect::<std::collections::BTreeSet<_>>().len()
        };
        // A week with a day of 23 hours begins half an hour before midnight, so it ends half an hour after midnight.
        let midnight = SPRING - 2 * HOUR;
        assert_eq!(slots(midnight - DAY - HOUR / 2 + 7 * DAY), 9);
        assert_eq!(slots(midnight - 2 * DAY + 7 * DAY), 8);
    }
}
