//! Represents amounts of money and moments as integers of the smallest unit that is stored.

use std::fmt;

/// Holds an amount of money as an integer of hundredths, never as a float: 12.45 is `Cents(1245)`. Refunds are
/// negative.
///
/// ```
/// use ccstream_core::event::Cents;
/// assert_eq!(Cents(1245).to_string(), "12.45");
/// assert_eq!(Cents(-5).to_string(), "-0.05");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cents(pub i64);

impl Cents {
    /// The largest amount that `NUMERIC(10,2)` holds: 99,999,999.99.
    pub const MAX: Self = Self(9_999_999_999);
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", units / 100, units % 100)
    }
}

/// Holds a moment as microseconds since 1970-01-01T00:00:00Z, the precision of PostgreSQL's `timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

impl Micros {
    /// 2100-01-01T00:00:00Z. Valid timestamps are from 1970 to before this moment.
    pub const END: Self = Self(4_102_444_800_000_000);

    pub(crate) const OUT_OF_RANGE: &str = "is not in the years 1970 to 2099";

    /// Checks that a moment can be stored. The error is worded to follow the moment's text.
    pub(crate) fn in_range(micros: i64) -> Result<Self, &'static str> {
        if (0..Self::END.0).contains(&micros) { Ok(Self(micros)) } else { Err(Self::OUT_OF_RANGE) }
    }

    /// Returns the date and the time of day in UTC.
    ///
    /// # Panics
    /// Panics if the year is not from -9999 to 9999. Valid timestamps are far within this range.
    pub fn to_utc(self) -> jiff::civil::DateTime {
        let moment = jiff::Timestamp::from_microsecond(self.0).expect("the year is from -9999 to 9999");
        jiff::tz::Offset::UTC.to_datetime(moment)
    }

    /// Returns the whole minutes since 1970, which are the key of `kpi_minute`.
    pub fn minute(self) -> i32 {
        self.0.div_euclid(60_000_000) as i32
    }
}

/// Reads a duration such as `7d` or `12h`. Returns its microseconds; None if the text is not a duration above 0.
pub fn length_of_time(text: &str) -> Option<i64> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];
    units.iter().find_map(|(unit, seconds)| {
        let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds * 1_000_000).filter(|micros| *micros > 0)
    })
}
