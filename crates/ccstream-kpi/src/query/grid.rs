//! Numbers buckets of one width, in local time.
//!
//! Buckets begin at local midnight and at multiples of the width after it. Suppose that the offset from UTC changes by
//! a multiple of the width, such as by an hour for buckets of an hour or less. Then every bucket has the full width: an
//! hour that occurs twice has separate buckets each time, and an hour that is skipped has none. Otherwise the bucket in
//! which the offset changes is longer or shorter: a day has 23 or 25 hours.

use super::offsets::Offsets;

/// This time is greater than every local time, and far enough from the end of `i64` for an offset to be added.
const NEVER: i64 = i64::MAX / 2;

/// Describes a range of time in which all buckets have the full width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    from: i64,
    until: i64,
    /// The microseconds to add to a time before it is divided by the width.
    shift: i64,
    /// The smallest shifted time in all later stretches. If clocks go back across the start of a bucket, times after
    /// the change would be in the preceding bucket again. To keep each bucket contiguous, shifted times in this stretch
    /// are limited to this value.
    most: i64,
}

/// Maps times to buckets, and buckets to their starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The width of a bucket in microseconds.
    pub(crate) width: i64,
    /// The stretches in ascending order; there is at least one.
    stretches: Vec<Stretch>,
}

/// Holds the number of a bucket, and a range of time within the bucket that contains the time asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) number: i64,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// Returns the shift with the smallest absolute value that differs from `shift` by a multiple of the width.
fn least(shift: i64, width: i64) -> i64 {
    let rest = shift % width;
    // The comparison avoids `2 * rest`, which may overflow.
    if rest.abs() > width - rest.abs() { rest - width * rest.signum() } else { rest }
}

impl Grid {
    pub(crate) fn new(width: i64, offsets: &Offsets) -> Self {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut before = 0;
        for one in offsets.stretches() {
            match stretches.last_mut() {
                None => stretches.push(Stretch { from: one.from, until: one.until, shift: one.shift, most: NEVER }),
                Some(last) => match least(one.shift - before, width) {
                    0 => last.until = one.until,
                    by => {
                        let shift = last.shift + by;
                        stretches.push(Stretch { from: one.from, until: one.until, shift, most: NEVER });
                    }
                },
            }
            before = one.shift;
        }
        let mut most = NEVER;
        for stretch in stretches.iter_mut().rev() {
            stretch.most = most;
            most = most.min(stretch.from.saturating_add(stretch.shift));
        }
        Self { width, stretches }
    }

    fn stretch(&self, time: i64) -> &Stretch {
        &self.stretches[self.stretches[1..].partition_point(|stretch| stretch.from <= time)]
    }

    /// Returns the number of the bucket that contains a time.
    pub(crate) fn number(&self, time: i64) -> i64 {
        self.find(time).number
    }

    /// Returns the bucket that contains a time, and a range of time within this bucket.
    pub(crate) fn find(&self, time: i64) -> Found {
        // This is the usual case, and performance matters if rows are not in the order of time.
        if let [Stretch { shift, .. }] = self.stretches[..] {
            let number = (time + shift).div_euclid(self.width);
            let from = number * self.width - shift;
            return Found { number, from, until: from + self.width };
        }
        let stretch = self.stretch(time);
        let shifted = time + stretch.shift;
        if shifted >= stretch.most {
            let from = (stretch.most - stretch.shift).max(stretch.from);
            return Found { number: stretch.most.div_euclid(self.width), from, until: stretch.until };
        }
        let number = shifted.div_euclid(self.width);
        let from = number * self.width - stretch.shift;
        Found { number, from: from.max(stretch.from), until: (from + self.width).min(stretch.until) }
    }

    /// Returns the start of a bucket.
    pub(crate) fn start(&self, number: i64) -> i64 {
        let begin = number * self.width;
        let is_before = |stretch: &Stretch| (stretch.from + stretch.shift).min(stretch.most) < begin;
        let stretch = &self.stretches[self.stretches[1..].partition_point(is_before)];
        (begin - stretch.shift).min(stretch.until)
    }

    /// Returns the maximum by which local time can advance more than elapsed time.
    pub(crate) fn gain(&self) -> i64 {
        let shifts = || self.stretches.iter().map(|stretch| stretch.shift);
        shifts().max().unwrap_or_default() - shifts().min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows::codes::FAR;
    use crate::rows::codes::{DAY, SECOND};

    const MINUTE: i64 = 60 * SECOND;
    const HOUR: i64 = 60 * MINUTE;
    /// Summer time in Berlin begins on 2026-03-29 and ends on 2026-10-25, at 1 o'clock UTC.
    const SPRING: i64 = 1_774_746_000 * SECOND;
    const AUTUMN: i64 = 1_792_890_000 * SECOND;

    fn berlin() -> Offsets {
        Offsets::changing(3600, vec![(SPRING, 7200), (AUTUMN, 3600)])
    }

    /// Returns the start, in minutes from `moment`, and the length in minutes of all buckets around the moment.
    fn around(grid: &Grid, moment: i64, before: i64, after: i64) -> Vec<(i64, i64)> {
        let numbers = grid.number(moment - before)..=grid.number(moment + after);
        let bucket = |number| {
            let start = grid.start(number);
            ((start - moment) / MINUTE, (grid.start(number + 1) - start) / MINUTE)
        };
        numbers.map(bucket).collect()
    }

    #[test]
    fn a_day_begins_at_local_midnight() {
        let grid = Grid::new(DAY, &berlin());
        assert_eq!(around(&grid, SPRING, DAY, DAY), [(-120 - 1440, 1440), (-120, 23 * 60), (21 * 60, 1440)]);
        assert_eq!(around(&grid, AUTUMN, DAY, DAY), [(-180 - 1440, 1440), (-180, 25 * 60), (22 * 60, 1440)]);
        // The days in between have numbers without a gap.
        assert_eq!(grid.number(AUTUMN) - grid.number(SPRING), 210);
    }

    #[test]
    fn buckets_of_an_hour_or_less_have_the_full_width() {
        for width in [HOUR, 30 * MINUTE, 15 * MINUTE, SECOND] {
            let grid = Grid::new(width, &berlin());
            assert_eq!(grid.stretches.len(), 1);
            for moment in [SPRING, AUTUMN] {
                assert_eq!(grid.start(grid.number(moment)), moment);
                assert_eq!(grid.number(moment) - grid.number(moment - width), 1);
            }
        }
    }

    #[test]
    fn one_wider_bucket_at_a_change_is_shorter_or_longer() {
        let grid = Grid::new(3 * HOUR, &berlin());
        assert_eq!(around(&grid, SPRING, HOUR, 3 * HOUR), [(-120, 120), (0, 180), (180, 180)]);
        assert_eq!(around(&grid, AUTUMN, HOUR, 3 * HOUR), [(-180, 240), (60, 180)]);
        let odd = Grid::new(25 * MINUTE, &berlin());
        let lengths: Vec<i64> = around(&odd, SPRING, HOUR, HOUR).into_iter().map(|(_, length)| length).collect();
        assert_eq!(lengths.iter().filter(|length| **length != 25).count(), 1, "{lengths:?}");
    }

    #[test]
    fn clocks_that_go_back_across_midnight_make_no_second_day() {
        // In Newfoundland until 2011, the clocks went back from 00:01 to 23:01.
        let change = 10 * DAY + MINUTE;
        let grid = Grid::new(DAY, &Offsets::changing(0, vec![(change, -3600)]));
        // The minute after the first midnight belongs to the preceding day, which lasts until the second midnight.
        assert_eq!(around(&grid, change, HOUR, 2 * HOUR), [(-1441, 25 * 60), (59, 1440)]);
        assert_eq!(grid.number(change - 1), grid.number(change - HOUR));
    }

    #[test]
    fn a_skipped_day_has_no_bucket() {
        // Samoa skipped 2011-12-30.
        let change = 1_325_239_200 * SECOND;
        let grid = Grid::new(DAY, &Offsets::changing(-36_000, vec![(change, 50_400)]));
        assert_eq!(around(&grid, change, HOUR, HOUR), [(-1440, 1440), (0, 1440)]);
    }

    /// Returns offsets that change a few times within days, by up to two days.
    fn offsets() -> impl Strategy<Value = Offsets> {
        let seconds = || prop_oneof![(-48..=48i32).prop_map(|halves| halves * 1800), -50_000..50_000i32];
        let change = (prop_oneof![0..300i64, Just(240)].prop_map(|hours| hours * HOUR + 7 * SECOND), seconds());
        (seconds(), prop::collection::btree_map(change.0, change.1, 0..4))
            .prop_map(|(first, changes)| Offsets::changing(first, changes.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn buckets_are_contiguous(
            offsets in offsets(),
            width in prop_oneof![Just(DAY), Just(3 * HOUR), Just(HOUR), MINUTE..40 * HOUR],
            times in prop::collection::vec(-100 * HOUR..400 * HOUR, 2..200),
        ) {
            let grid = Grid::new(width, &offsets);
            for pair in times.windows(2) {
                let (from, to) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
                prop_assert!((grid.number(to) - grid.number(from)) * width <= to - from + grid.gain() + width);
            }
            for time in times {
                let found = grid.find(time);
                prop_assert!(found.from <= time && time < found.until, "{found:?} {time}");
                for near in [found.from.max(-FAR), found.until.min(FAR) - 1] {
                    prop_assert_eq!(grid.number(near), found.number);
                }
                prop_assert!(grid.start(found.number) <= time && time < grid.start(found.number + 1));
                prop_assert!(grid.number(time) <= grid.number(time + 1));
                // A bucket begins at a multiple of the width in local time, or at a change of the offset.
                let start = grid.start(found.number);
                let stretch = offsets.stretch(start);
                prop_assert!((start + stretch.shift).rem_euclid(width) == 0 || start == stretch.from);
            }
        }
    }
}
