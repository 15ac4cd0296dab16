//! Exponential, logarithm and cosine by `libm`. The standard library calls the system's functions, whose last digits
//! differ between machines. Addition, multiplication, division and square roots are the same everywhere.

pub(crate) use libm::{cos, exp, log as ln};

/// The number of microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// Returns microseconds as days.
pub(crate) fn days(micros: i64) -> f64 {
    micros as f64 / DAY as f64
}

/// Returns the second since 1970 of a time in microseconds; 0 before 1970.
pub(crate) fn second_of(time: i64) -> u32 {
    u32::try_from(time.div_euclid(1_000_000).max(0)).unwrap_or(u32::MAX)
}

/// Returns the part that remains after a number of days of something that decays with a time constant in days.
pub(crate) fn decay(days: f64, constant: f64) -> f64 {
    if days <= 0.0 { 1.0 } else { exp(-days / constant) }
}
