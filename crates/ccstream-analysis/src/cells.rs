//! Sorts scores and feature values into cells that are the same for every model and every day, so that distributions
//! can be added up and compared.

use std::sync::LazyLock;

/// The cell of a missing value.
pub const MISSING: i16 = -128;
/// The greatest exponent that has a separate cell.
const MAX_EXPONENT: i32 = 30;
/// What is added to an exponent, so that the cell of no positive value is 0 or below.
const SHIFT: i32 = 32;

/// Lists the lower bounds of the cells of scores, in order: 0, then steps of 0.0001 up to 0.01, of 0.01 up to 0.99, of
/// 0.001 up to 0.999, and of 0.0001 up to 0.9999. The cells are narrow where scores of real streams are.
///
/// ```
/// let bounds = ccstream_analysis::cells::score_bounds();
/// assert_eq!((bounds.len(), bounds[0], bounds[1], bounds[100]), (217, 0.0, 0.0001, 0.01));
/// ```
pub fn score_bounds() -> &'static [f64] {
    static BOUNDS: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let fine = 0..100;
        let coarse = (100..=9_900).step_by(100);
        let high = (9_910..=9_990).step_by(10);
        let highest = 9_991..=9_999;
        fine.chain(coarse).chain(high).chain(highest).map(|at| f64::from(at) / 10_000.0).collect()
    });
    &BOUNDS
}

/// Returns the cell of a score: the place of its lower bound in [`score_bounds`].
///
/// ```
/// use ccstream_analysis::cells::{score_bounds, score_cell};
/// assert_eq!([0.0, 0.5, 0.507, 1.0].map(|score| score_bounds()[score_cell(score)]), [0.0, 0.5, 0.5, 0.9999]);
/// ```
pub fn score_cell(score: f64) -> usize {
    score_bounds().partition_point(|bound| *bound <= score).saturating_sub(1)
}

/// Returns the cell of a feature's value: the sign of the value times 32 plus the exponent of the power of two at or below
/// the absolute value, limited to -30 and 30. Zero has the cell 0, and a missing value [`MISSING`].
///
/// ```
/// use ccstream_analysis::cells::{MISSING, value_cell};
/// assert_eq!([0.0, 1.0, 3.9, 4.0, -0.25].map(value_cell), [0, 32, 33, 34, -30]);
/// assert_eq!([f32::NAN, f32::INFINITY, 1e-30].map(value_cell), [MISSING, 62, 2]);
/// ```
pub fn value_cell(value: f32) -> i16 {
    if value.is_nan() {
        return MISSING;
    }
    if value == 0.0 {
        return 0;
    }
    // The exponent of a subnormal number is below the limit, whatever its leading bit is.
    let exponent = ((value.to_bits() >> 23) & 0xff) as i32 - 127;
    let cell = (exponent.clamp(-MAX_EXPONENT, MAX_EXPONENT) + SHIFT) as i16;
    if value < 0.0 { -cell } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_and_each_is_in_its_own_cell() {
        let bounds = score_bounds();
        assert!(bounds.is_sorted_by(|one, next| one < next));
        assert!(bounds.iter().enumerate().all(|(at, bound)| score_cell(*bound) == at));
        assert_eq!(score_cell(0.999_999), bounds.len() - 1);
        assert_eq!(score_cell(0.000_05), 0);
    }
}
