//! Money and moments: whole numbers of the least unit that is kept.

use std::fmt;

/// Money as integer hundredths, never a float: 12.45 is `Cents(1245)`. Negative is a refund.
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

/// A moment: microseconds since 1970-01-01T00:00:00Z, as PostgreSQL's `timestamp` holds it (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

impl Micros {
    /// 2100-01-01T00:00:00Z: timestamps are from 1970 to before this.
    pub const END: Self = Self(4_102_444_800_000_000);

    pub(crate) const OUT_OF_RANGE: &str = "is not from 1970 to before 2100";

    /// Errors: it is no moment that is stored, in words that follow it.
    pub(crate) fn in_range(micros: i64) -> Result<Self, &'static str> {
        if (0..Self::END.0).contains(&micros) { Ok(Self(micros)) } else { Err(Self::OUT_OF_RANGE) }
    }

    /// Year, month, day and time of day in UTC.
    ///
    /// # Panics
    /// Beyond the years -9999 to 9999, far outside what is valid.
    pub fn to_utc(self) -> jiff::civil::DateTime {
        let moment = jiff::Timestamp::from_microsecond(self.0).expect("a moment of the years -9999 to 9999");
        jiff::tz::Offset::UTC.to_datetime(moment)
    }

    /// Whole minutes since 1970: the key of `kpi_minute`.
    pub fn minute(self) -> i32 {
        self.0.div_euclid(60_000_000) as i32
    }
}
