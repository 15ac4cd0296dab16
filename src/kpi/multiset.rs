//! Amounts counted one by one: exact percentiles, extremes and histograms, and rows can be taken out again.

use std::collections::BTreeMap;

const PAGE: usize = 1024;
/// Sizes below this many cents are counted in pages, which are made when first needed.
const PAGED: u64 = 1 << 24;

type Page = Box<[u32; PAGE]>;

/// Counts of sizes of one sign.
#[derive(Debug, Clone, Default)]
struct Side {
    pages: Vec<Option<Page>>,
    beyond: BTreeMap<u64, u32>,
}

impl Side {
    fn change(&mut self, size: u64, by: i32) {
        if size >= PAGED {
            let count = self.beyond.entry(size).or_default();
            *count = count.wrapping_add_signed(by);
            if *count == 0 {
                self.beyond.remove(&size);
            }
            return;
        }
        let (page, at) = (size as usize / PAGE, size as usize % PAGE);
        let page = match self.pages.get_mut(page) {
            Some(Some(page)) => page,
            _ => self.make_page(page),
        };
        page[at] = page[at].wrapping_add_signed(by);
    }

    #[cold]
    fn make_page(&mut self, page: usize) -> &mut Page {
        if self.pages.len() <= page {
            self.pages.resize(page + 1, None);
        }
        self.pages[page].get_or_insert_with(|| Box::new([0; PAGE]))
    }

    /// Sizes and their counts, the smallest first.
    fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        let paged = self.pages.iter().enumerate().filter_map(|(at, page)| Some((at, page.as_ref()?)));
        let paged = paged.flat_map(|(at, page)| {
            let counts = page.iter().enumerate().filter(|(_, count)| **count > 0);
            counts.map(move |(low, count)| ((at * PAGE + low) as u64, u64::from(*count)))
        });
        paged.chain(self.beyond.iter().map(|(size, count)| (*size, u64::from(*count))))
    }

    fn merge(&mut self, other: &Self) {
        if self.pages.len() < other.pages.len() {
            self.pages.resize(other.pages.len(), None);
        }
        for (mine, theirs) in self.pages.iter_mut().zip(&other.pages) {
            match (mine, theirs) {
                (_, None) => {}
                (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
                (Some(mine), Some(theirs)) => {
                    mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
                }
            }
        }
        for (size, count) in &other.beyond {
            *self.beyond.entry(*size).or_default() += count;
        }
    }
}

/// Amounts in cents, with how often each is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Multiset {
    positive: Side,
    negative: Side,
}

impl Multiset {
    /// Puts an amount in (1) or takes one out (-1).
    pub(crate) fn change(&mut self, cents: i64, by: i32) {
        let side = if cents < 0 { &mut self.negative } else { &mut self.positive };
        side.change(cents.unsigned_abs(), by);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
    }

    /// Amounts and their counts, the smallest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, u64)> {
        let negative = self.negative.iter().rev().map(|(size, count)| (-(size as i64), count));
        negative.chain(self.positive.iter().map(|(size, count)| (size as i64, count)))
    }

    /// The smallest amount.
    pub(crate) fn min(&self) -> Option<i64> {
        let negative = self.negative.iter().next_back().map(|(size, _)| -(size as i64));
        negative.or_else(|| self.positive.iter().next().map(|(size, _)| size as i64))
    }

    /// The greatest amount.
    pub(crate) fn max(&self) -> Option<i64> {
        let positive = self.positive.iter().next_back().map(|(size, _)| size as i64);
        positive.or_else(|| self.negative.iter().next().map(|(size, _)| -(size as i64)))
    }

    /// The amounts at these fractions, given in rising order, as `percentile_disc` defines them: the first
    /// amount at or below which at least that share of all lies. None where there is none.
    pub(crate) fn percentiles<const N: usize>(&self, fractions: [f64; N]) -> [Option<i64>; N] {
        let len = self.iter().map(|(_, count)| count).sum();
        let mut found = [None; N];
        let (mut below, mut at) = (0, 0);
        for (cents, count) in self.iter() {
            below += count;
            while at < N && below >= rank(fractions[at], len) {
                found[at] = Some(cents);
                at += 1;
            }
            if at == N {
                break;
            }
        }
        found
    }
}

/// How many of `len` lie at or below a percentile: PostgreSQL's `ceil(fraction * len)`, at least one.
pub(crate) fn rank(fraction: f64, len: u64) -> u64 {
    ((fraction * len as f64).ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_a_sorted_list(
            kept in prop::collection::vec(-5_000_000_000i64..5_000_000_000, 0..60),
            near in prop::collection::vec(-600i64..600, 0..60),
            gone in prop::collection::vec(-70_000i64..70_000, 0..30),
        ) {
            let mut kept: Vec<i64> = kept.into_iter().chain(near).collect();
            let (mut left, mut right) = (Multiset::default(), Multiset::default());
            for cents in kept.iter().chain(&gone) {
                if cents % 2 == 0 { left.change(*cents, 1) } else { right.change(*cents, 1) }
            }
            left.merge(&right);
            for cents in &gone {
                left.change(*cents, -1);
            }
            kept.sort_unstable();
            let counted: Vec<i64> = left.iter().flat_map(|(cents, n)| std::iter::repeat_n(cents, n as usize)).collect();
            prop_assert_eq!(&counted, &kept);
            prop_assert_eq!((left.min(), left.max()), (kept.first().copied(), kept.last().copied()));
            let expected = [0.0, 0.5, 0.95, 1.0].map(|fraction| {
                (!kept.is_empty()).then(|| kept[(fraction * kept.len() as f64).ceil().max(1.0) as usize - 1])
            });
            prop_assert_eq!(left.percentiles([0.0, 0.5, 0.95, 1.0]), expected);
        }
    }
}
