//! Computes the deviation from which a window is outside the band, so that chance alone gives one false alarm a fortnight
//! over all measures of all series.

/// The number of windows of a measure in a fortnight. They overlap. Each is counted as if it were independent of the
/// others, which makes alarms rarer.
const WINDOWS: f64 = 14.0 * 24.0 * 60.0;

/// Returns the bound for a number of measures that are judged.
pub(super) fn bound(measures: usize) -> f64 {
    let probability = 1.0 / (WINDOWS * measures.max(1) as f64);
    // Both tails of the normal distribution beyond the bound have this probability.
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if libm::erfc(middle / std::f64::consts::SQRT_2) > probability { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_rises_slowly_with_the_number_of_measures() {
        let bounds = [1, 100, 500].map(bound);
        for (found, expected) in bounds.iter().zip([4.057, 5.028, 5.328]) {
            assert!((found - expected).abs() < 0.001, "{found}, not {expected}");
        }
    }
}
