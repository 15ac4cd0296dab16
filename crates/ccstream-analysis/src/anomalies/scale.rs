//! Compares what was observed with what was expected, on scales on which chance varies by the same everywhere.

use super::cell::Cell;
use super::level::ratio;
use super::measure::{Basis, Kpi};
use crate::numbers::{exp, ln};

/// A third of an event, as Anscombe adds it before a root, so that small counts vary by the same as large ones.
const ANSCOMBE: f64 = 0.375;
/// The share of the expected value that is added before a logarithm, so that a window without any has one.
const LITTLE: f64 = 0.005;

/// What is expected of a measure in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Expected {
    pub(super) basis: Basis,
    /// The number of transactions.
    pub(super) events: f64,
    /// The value of the measure.
    pub(super) value: f64,
}

/// Returns the value of a measure in a window; None without any transaction that counts.
pub(super) fn observed(kpi: Kpi, cell: &Cell) -> Option<f64> {
    match kpi {
        Kpi::Rate => Some(cell.events.into()),
        Kpi::Value => Some(f64::from(cell.value) / 100.0),
        Kpi::Approval => (cell.answered >= 10).then(|| ratio(cell.approved.into(), cell.answered.into())),
    }
}

/// Returns the number of transactions by which a value varies.
fn size(kpi: Kpi, cell: &Cell, expected: &Expected) -> f64 {
    if kpi == Kpi::Approval { cell.answered.into() } else { expected.events }
}

/// Returns the angle of a share: the arcsine of its root.
pub(super) fn angle(share: f64) -> f64 {
    libm::asin(share.clamp(0.0, 1.0).sqrt())
}

/// Returns the share of an angle.
pub(super) fn share(angle: f64) -> f64 {
    let sine = libm::sin(angle.clamp(0.0, std::f64::consts::FRAC_PI_2));
    sine * sine
}

/// Returns the deviation of a value from what was expected. Of counts and shares, chance makes it vary with a standard
/// deviation of 1; of values, by a number that has to be learned.
pub(super) fn deviation(kpi: Kpi, cell: &Cell, value: f64, expected: &Expected) -> f64 {
    match kpi {
        Kpi::Rate => 2.0 * ((value + ANSCOMBE).sqrt() - (expected.value + ANSCOMBE).sqrt()),
        Kpi::Approval => 2.0 * size(kpi, cell, expected).sqrt() * (angle(value) - angle(expected.value)),
        Kpi::Value => {
            let little = LITTLE * expected.value;
            expected.events.sqrt() * ln((value + little) / (expected.value + little))
        }
    }
}

/// Returns the values between which deviations are less than `width`.
pub(super) fn band(kpi: Kpi, cell: &Cell, expected: &Expected, width: f64) -> (f64, f64) {
    let half = width / 2.0;
    match kpi {
        Kpi::Rate => {
            let root = (expected.value + ANSCOMBE).sqrt();
            let square = |root: f64| (root.max(0.0) * root.max(0.0) - ANSCOMBE).max(0.0);
            (square(root - half), square(root + half))
        }
        Kpi::Approval => {
            let (middle, by) = (angle(expected.value), half / size(kpi, cell, expected).max(1.0).sqrt());
            (share(middle - by), share(middle + by))
        }
        Kpi::Value => {
            let factor = exp(width / expected.events.sqrt());
            (expected.value / factor, expected.value * factor)
        }
    }
}

/// Returns the values between which a deviation is too small to matter, however certain it is. The less is known, the more
/// it takes.
pub(super) fn trifles(kpi: Kpi, expected: &Expected) -> (f64, f64) {
    let value = expected.value;
    match (kpi, expected.basis) {
        (Kpi::Rate, Basis::Weeks) => (0.7 * value, 1.45 * value),
        (Kpi::Rate, Basis::Days) => (0.3 * value, 3.0 * value),
        (Kpi::Rate, _) => (0.2 * value, f64::INFINITY),
        (Kpi::Value, Basis::Weeks) => (0.5 * value, 2.0 * value),
        (Kpi::Value, Basis::Days) => (0.2 * value, 5.0 * value),
        (Kpi::Value, _) => (f64::NEG_INFINITY, f64::INFINITY),
        (Kpi::Approval, Basis::Weeks) => (value - 0.08, value + 0.08),
        (Kpi::Approval, Basis::Days) => (value - 0.15, value + 0.15),
        (Kpi::Approval, _) => (0.5 * value, f64::INFINITY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_ends_where_the_deviation_is_its_width() {
        let cell = Cell { events: 200, answered: 200, approved: 180, value: 30_000 };
        for (kpi, value) in [(Kpi::Rate, 150.0), (Kpi::Value, 250.0), (Kpi::Approval, 0.8)] {
            let expected = Expected { basis: Basis::Weeks, events: 150.0, value };
            let (low, high) = band(kpi, &cell, &expected, 4.0);
            for (end, width) in [(low, -4.0), (high, 4.0), (value, 0.0)] {
                let found = deviation(kpi, &cell, end, &expected);
                assert!((found - width).abs() < 0.05, "{kpi:?}: {found} at {end}");
            }
        }
        let none = deviation(Kpi::Value, &cell, 0.0, &Expected { basis: Basis::Weeks, events: 100.0, value: 200.0 });
        assert!((-60.0..-50.0).contains(&none), "{none}");
    }
}
