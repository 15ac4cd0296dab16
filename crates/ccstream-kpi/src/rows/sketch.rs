//! Counts amounts in bins of growing width, for percentiles with an error of at most 0.8 % in a few kilobytes.
//!
//! There are 64 bins for each doubling, as in an HDR histogram (<http://hdrhistogram.org>). Below 64 cents, a bin is
//! one amount. Above, the width of a bin is at most 1/64 of its lower end, and its middle is returned.

use super::multiset::rank;

const STEPS: u64 = 64;

/// Holds the count of the amounts in each bin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sketch {
    positive: Vec<u32>,
    negative: Vec<u32>,
}

/// Returns the bin of a size, the absolute value of an amount in cents.
fn bin(size: u64) -> usize {
    if size < STEPS {
        return size as usize;
    }
    let doubling = size.ilog2() - STEPS.ilog2();
    (u64::from(doubling) * STEPS + (size >> doubling)) as usize
}

/// Returns the middle of a bin, in cents.
fn middle(bin: usize) -> i64 {
    let bin = bin as u64;
    if bin < STEPS {
        return bin as i64;
    }
    let doubling = (bin / STEPS - 1) as u32;
    let low = (bin - u64::from(doubling) * STEPS) << doubling;
    (low + ((1u64 << doubling) - 1) / 2) as i64
}

impl Sketch {
    /// Adds an amount (`by` is 1) or removes it (-1).
    pub(crate) fn change(&mut self, cents: i64, by: i32) {
        let side = if cents < 0 { &mut self.negative } else { &mut self.positive };
        let at = bin(cents.unsigned_abs());
        if side.len() <= at {
            side.resize(at + 1, 0);
        }
        side[at] = side[at].wrapping_add_signed(by);
    }

    /// Returns the number of bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + (self.positive.len() + self.negative.len()) * 4
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
            if mine.len() < theirs.len() {
                mine.resize(theirs.len(), 0);
            }
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
    }

    /// Returns the amounts at the fractions, which must be ascending, with an error of at most 0.8 %.
    pub(crate) fn percentiles<const N: usize>(&self, fractions: [f64; N]) -> [Option<i64>; N] {
        let len = self.positive.iter().chain(&self.negative).map(|count| u64::from(*count)).sum();
        let negative = self.negative.iter().enumerate().rev().map(|(at, count)| (-middle(at), *count));
        let positive = self.positive.iter().enumerate().map(|(at, count)| (middle(at), *count));
        let mut found = [None; N];
        let (mut below, mut at) = (0, 0);
        for (cents, count) in negative.chain(positive).filter(|(_, count)| *count > 0) {
            below += u64::from(count);
            while at < N && below >= rank(fractions[at], len) {
                found[at] = Some(cents);
                at += 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bins_are_contiguous_and_narrow() {
        for size in 0..100_000u64 {
            assert!(bin(size + 1) == bin(size) || bin(size + 1) == bin(size) + 1, "{size}");
            assert!((middle(bin(size)) - size as i64).unsigned_abs() * 125 <= size, "{size}: {}", middle(bin(size)));
        }
        assert!((middle(bin(9_999_999_999)) - 9_999_999_999).unsigned_abs() < 9_999_999_999 / 125);
    }

    proptest! {
        #[test]
        fn within_a_hundredth(mut amounts in prop::collection::vec(-9_999_999_999i64..9_999_999_999, 1..80)) {
            let mut sketch = Sketch::default();
            let mut other = Sketch::default();
            for cents in &amounts {
                if cents % 3 == 0 { sketch.change(*cents, 1) } else { other.change(*cents, 1) }
            }
            other.change(77, 1);
            other.change(77, -1);
            sketch.merge(&other);
            amounts.sort_unstable();
            for (fraction, found) in [0.5, 0.95, 0.99].into_iter().zip(sketch.percentiles([0.5, 0.95, 0.99])) {
                let exact = amounts[(fraction * amounts.len() as f64).ceil() as usize - 1];
                prop_assert!((found.unwrap() - exact).abs() * 125 <= exact.abs());
            }
        }
    }
}
