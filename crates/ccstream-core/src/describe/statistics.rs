//! This module computes statistics of counts and of numbers. It is pure.

/// Holds the fit of a power law to the frequencies of ranked names.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ZipfFit {
    /// The exponent `s`, if the frequency of a name is proportional to `rank^-s`.
    pub exponent: f64,
    /// The last rank that was fitted; the first is 1.
    pub ranks: usize,
    /// The frequency of that rank, which is the lowest.
    pub least: u64,
}

/// Minimum frequency of a rank that is fitted. The frequencies of rarer names are mostly chance, and many are equal.
const LEAST: u64 = 5;
/// Minimum number of ranks that are fitted.
const MIN_RANKS: usize = 10;

/// Fits Zipf's exponent by a regression of ln(frequency) on ln(rank), over the ranks whose frequency is at least 5.
/// `counts` must be in descending order. Returns None if there are fewer than ten such ranks.
pub(super) fn zipf(counts: &[u64]) -> Option<ZipfFit> {
    let ranks = counts.iter().take_while(|count| **count >= LEAST).count();
    if ranks < MIN_RANKS {
        return None;
    }
    let points = (1..).zip(&counts[..ranks]).map(|(rank, count)| (f64::from(rank).ln(), (*count as f64).ln()));
    let (mut x, mut y) = (Moments::default(), Moments::default());
    let mut products = Moments::default();
    for (rank, count) in points {
        x.add(rank);
        y.add(count);
        products.add(rank * count);
    }
    let slope = (products.mean() - x.mean() * y.mean()) / x.variance();
    Some(ZipfFit { exponent: -slope, ranks, least: counts[ranks - 1] })
}

/// Returns the share of the most frequent tenth of the names, rounded up to whole names. `counts` must be in descending
/// order. Returns None without a name.
pub(super) fn top_tenth(counts: &[u64]) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    let top: u64 = counts[..counts.len().div_ceil(10)].iter().sum();
    (all > 0).then(|| top as f64 / all as f64)
}

/// Returns the Gini coefficient: 0 if all counts are equal, near 1 if one name has all events. `counts` must be in
/// descending order. Returns None without a name.
pub(super) fn gini(counts: &[u64]) -> Option<f64> {
    let (names, all) = (counts.len() as f64, counts.iter().sum::<u64>() as f64);
    // The formula ranks the counts in ascending order, from 1.
    let weighted: f64 = (1..).zip(counts.iter().rev()).map(|(place, count)| f64::from(place) * *count as f64).sum();
    (all > 0.0).then(|| (2.0 * weighted / all - names - 1.0) / names)
}

/// Computes mean and standard deviation of numbers that are added one after the other, by Welford's method.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    count: u64,
    mean: f64,
    /// The sum of squared differences from the mean.
    squares: f64,
}

impl Moments {
    /// Adds a number.
    pub(super) fn add(&mut self, number: f64) {
        self.count += 1;
        let before = number - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (number - self.mean);
    }

    /// Returns how many numbers were added.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the mean; 0 without a number.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns the standard deviation of the numbers themselves, divided by n.
    pub(super) fn deviation(&self) -> f64 {
        self.variance().sqrt()
    }

    fn variance(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.squares / self.count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn an_exact_power_law_has_its_exponent() {
        // 5040 / rank is an integer for ranks 1 to 10, so the exponent is exactly 1.
        let counts: Vec<u64> = (1..=10).map(|rank| 5040 / rank).collect();
        let fit = zipf(&counts).unwrap();
        close(fit.exponent, 1.0);
        assert_eq!((fit.ranks, fit.least), (10, 504));
        // With the square of the rank, the exponent is 2.
        let squares: Vec<u64> = (1..=10).map(|rank: u64| 6_350_400 / (rank * rank)).collect();
        close(zipf(&squares).unwrap().exponent, 2.0);
        // Rare names do not change the fit.
        let mut more = counts.clone();
        more.extend([4, 4, 3, 1, 1, 1]);
        assert_eq!(zipf(&more), zipf(&counts));
        close(zipf(&[7; 12]).unwrap().exponent, 0.0);
        assert_eq!((zipf(&counts[..9]), zipf(&[4; 50]), zipf(&[])), (None, None, None));
    }

    #[test]
    fn the_top_tenth_is_rounded_up() {
        // The top tenth of eleven names is two names, with 60 of 100 events.
        close(top_tenth(&[40, 20, 10, 5, 5, 5, 5, 4, 3, 2, 1]).unwrap(), 0.6);
        close(top_tenth(&[40, 20, 10, 5, 5, 5, 5, 5, 3, 2]).unwrap(), 0.4);
        close(top_tenth(&[3]).unwrap(), 1.0);
        assert_eq!(top_tenth(&[]), None);
    }

    #[test]
    fn ginis_coefficient() {
        close(gini(&[5, 5, 5, 5]).unwrap(), 0.0);
        // The pairs differ by 3, 2, 1, 2, 1 and 1. Gini is half of the mean absolute difference, divided by the mean.
        close(gini(&[4, 3, 2, 1]).unwrap(), 0.25);
        close(gini(&[10, 0, 0, 0]).unwrap(), 0.75);
        assert_eq!(gini(&[]), None);
    }

    #[test]
    fn mean_and_deviation() {
        let of = |numbers: &[f64]| {
            let mut moments = Moments::default();
            for number in numbers {
                moments.add(*number);
            }
            moments
        };
        let moments = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(moments.count(), 8);
        close(moments.mean(), 5.0);
        close(moments.deviation(), 2.0);
        assert_eq!((of(&[]).mean(), of(&[]).deviation(), of(&[3.5]).deviation()), (0.0, 0.0, 0.0));
    }
}
