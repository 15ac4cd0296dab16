//! Dates, holidays and local time.

use crate::units::Micros;

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
pub(super) const WEEK: i64 = 7 * DAY;
/// The first Monday, 1970-01-05, from which weeks are counted.
pub(super) const FIRST_MONDAY: i64 = 4 * DAY;

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    /// The month, from 1.
    pub(super) month: u8,
    /// The day of the month, from 1.
    pub(super) day: u8,
    /// Months since 1970.
    pub(super) months: i32,
    /// The day of the week; 0 is Monday.
    pub(super) weekday: u8,
}

impl Date {
    /// The date of a number of days since 1970.
    pub(super) fn of(days: i64) -> Self {
        let date = Micros(days * DAY).to_utc().date();
        Self {
            month: date.month() as u8,
            day: date.day() as u8,
            months: (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1,
            weekday: (days + 3).rem_euclid(7) as u8,
        }
    }

    /// Whether it is Christmas, the day after it, or New Year's Day.
    pub(super) fn is_holiday(self) -> bool {
        matches!((self.month, self.day), (12, 25 | 26) | (1, 1))
    }

    /// Whether it is the fourth Friday of November, or in the two weeks before Christmas.
    pub(super) fn is_busy(self) -> bool {
        matches!((self.month, self.day, self.weekday), (11, 22..=28, 4) | (12, 10..=23, _))
    }
}

/// A moment in local time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local {
    /// Days since 1970.
    pub(super) days: i64,
    /// The hour of the day.
    pub(super) hour: u8,
}

impl Local {
    /// Converts a time to a zone that is this number of minutes ahead of UTC. There is no summer time in this world.
    pub(super) fn at(time: i64, minutes_ahead: i16) -> Self {
        let local = time + i64::from(minutes_ahead) * MINUTE;
        let days = local.div_euclid(DAY);
        Self { days, hour: (local.rem_euclid(DAY) / HOUR) as u8 }
    }
}

/// Remembers the dates of the last four days: at any moment, local days differ by two at most.
#[derive(Debug)]
pub(super) struct Calendar {
    known: [(i64, Date); 4],
}

impl Calendar {
    pub(super) fn new() -> Self {
        Self { known: std::array::from_fn(|at| (at as i64, Date::of(at as i64))) }
    }

    pub(super) fn date(&mut self, days: i64) -> Date {
        let slot = &mut self.known[days.rem_euclid(4) as usize];
        if slot.0 != days {
            *slot = (days, Date::of(days));
        }
        slot.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_weekdays() {
        // Day 20,812 is 2026-12-25, a Friday.
        let mut calendar = Calendar::new();
        let date = calendar.date(20_812);
        assert_eq!((date.month, date.day, date.weekday, date.months), (12, 25, 4, 56 * 12 + 11));
        assert!(date.is_holiday() && !date.is_busy());
        assert!(Date::of(20_812 - 28).is_busy(), "Friday, 27 November 2026");
        assert_eq!(Date::of((FIRST_MONDAY + 3 * WEEK) / DAY).weekday, 0);
    }

    #[test]
    fn local_time_may_be_another_day() {
        let late = 20_812 * DAY + 23 * HOUR;
        let tokyo = Local::at(late, 540);
        assert_eq!((tokyo.days, tokyo.hour), (20_813, 8));
        assert_eq!(Local::at(late, -300).hour, 18);
    }
}
