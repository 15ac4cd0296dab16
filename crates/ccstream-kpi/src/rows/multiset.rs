//! Counts the occurrences of each amount, for exact percentiles, extremes and histograms. Amounts can be removed again.

use std::collections::BTreeMap;

/// The number of consecutive sizes in a page. A size is the absolute value of an amount in cents.
const PAGE: usize = 1024;
/// Sizes below this number are counted in pages, which are allocated when first needed.
const PAGED: u64 = 1 << 24;

/// Holds the counts of consecutive sizes. Their total count and sum are valid after [`Multiset::settle`].
#[derive(Debug, Clone)]
struct Page {
    counts: [u32; PAGE],
    changed: bool,
    count: u64,
    sum: u64,
}

/// Holds the counts of all amounts of one sign, by size.
#[derive(Debug, Clone, Default)]
struct Side {
    pages: Vec<Option<Box<Page>>>,
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
        page.counts[at] = page.counts[at].wrapping_add_signed(by);
        page.changed = true;
    }

    fn settle(&mut self) {
        let pages = self.pages.iter_mut().enumerate().filter_map(|(at, page)| Some((at, page.as_mut()?)));
        for (at, page) in pages.filter(|(_, page)| page.changed) {
            let (mut count, mut sum) = (0, 0);
            for (size, n) in (0..).zip(&page.counts) {
                count += u64::from(*n);
                sum += size * u64::from(*n);
            }
            (page.count, page.sum, page.changed) = (count, sum + (at * PAGE) as u64 * count, false);
        }
    }

    #[cold]
    fn make_page(&mut self, page: usize) -> &mut Page {
        if self.pages.len() <= page {
            self.pages.resize(page + 1, None);
        }
        self.pages[page].get_or_insert_with(|| Box::new(Page { counts: [0; PAGE], changed: false, count: 0, sum: 0 }))
    }

    /// Returns the non-empty runs of sizes, the smallest first.
    fn runs(&self) -> impl DoubleEndedIterator<Item = Run<'_>> {
        let paged = self.pages.iter().enumerate().filter_map(|(at, page)| Some((at, page.as_deref()?)));
        let paged = paged.filter(|(_, page)| page.count > 0);
        let paged = paged.map(|(at, page)| Run {
            from: (at * PAGE) as u64,
            counts: &page.counts,
            count: page.count,
            sum: page.sum,
        });
        paged.chain(self.beyond.iter().map(|(size, count)| Run {
            from: *size,
            counts: std::slice::from_ref(count),
            count: u64::from(*count),
            sum: size * u64::from(*count),
        }))
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
                    mine.counts.iter_mut().zip(&theirs.counts).for_each(|(mine, theirs)| *mine += theirs);
                    mine.changed = true;
                }
            }
        }
        for (size, count) in &other.beyond {
            *self.beyond.entry(*size).or_default() += count;
        }
    }
}

/// Borrows the counts of consecutive sizes, of which `from` is the first.
struct Run<'a> {
    from: u64,
    counts: &'a [u32],
    count: u64,
    sum: u64,
}

impl Run<'_> {
    /// Returns each size that occurs and its count, the smallest first.
    fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        let from = self.from;
        let sizes = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        sizes.map(move |(at, count)| (from + at as u64, u64::from(*count)))
    }
}

/// Holds amounts in cents, with the count of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Multiset {
    positive: Side,
    negative: Side,
}

impl Multiset {
    /// Adds an amount (`by` is 1) or removes it (-1).
    pub(crate) fn change(&mut self, cents: i64, by: i32) {
        let side = if cents < 0 { &mut self.negative } else { &mut self.positive };
        side.change(cents.unsigned_abs(), by);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
    }

    /// Updates the totals of changed pages. Call this after changes and before any of the methods below.
    pub(crate) fn settle(&mut self) {
        self.positive.settle();
        self.negative.settle();
    }

    /// Returns the number of bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let side = |side: &Side| side.pages.iter().flatten().count() * size_of::<Page>() + side.beyond.len() * 24;
        side(&self.positive) + side(&self.negative)
    }

    /// Returns the non-empty runs of amounts, the smallest first, each with its sign.
    fn runs(&self) -> impl DoubleEndedIterator<Item = (i64, Run<'_>)> {
        let negative = self.negative.runs().rev().map(|run| (-1, run));
        negative.chain(self.positive.runs().map(|run| (1, run)))
    }

    /// Returns the smallest amount; None if there is none.
    pub(crate) fn min(&self) -> Option<i64> {
        let (sign, run) = self.runs().next()?;
        let (size, _) = if sign < 0 { run.iter().next_back() } else { run.iter().next() }?;
        Some(sign * size as i64)
    }

    /// Returns the largest amount; None if there is none.
    pub(crate) fn max(&self) -> Option<i64> {
        let (sign, run) = self.runs().next_back()?;
        let (size, _) = if sign < 0 { run.iter().next() } else { run.iter().next_back() }?;
        Some(sign * size as i64)
    }

    /// Returns the amounts at the fractions, which must be ascending, as `percentile_disc` defines them: the smallest
    /// amount such that at least this share of all amounts is at or below it. Each is None if there are no amounts.
    pub(crate) fn percentiles<const N: usize>(&self, fractions: [f64; N]) -> [Option<i64>; N] {
        let len = self.runs().map(|(_, run)| run.count).sum();
        let mut found = [None; N];
        let (mut below, mut at) = (0, 0);
        for (sign, run) in self.runs() {
            let mut inside = below;
            below += run.count;
            if at == N || below < rank(fractions[at], len) {
                continue;
            }
            let mut look = |(size, count): (u64, u64)| {
                inside += count;
                while at < N && inside >= rank(fractions[at], len) {
                    found[at] = Some(sign * size as i64);
                    at += 1;
                }
            };
            if sign < 0 { run.iter().rev().for_each(&mut look) } else { run.iter().for_each(&mut look) }
        }
        found
    }

    /// Returns the count and the sum of the amounts in each bin. Bins begin at the edges, which must be ascending.
    /// Amounts below the first edge are in the first bin.
    pub(crate) fn bins(&self, edges: &[i64]) -> Vec<(u64, i64)> {
        let mut bins = vec![(0, 0); edges.len()];
        let bin = |cents: i64| edges.partition_point(|edge| *edge <= cents).saturating_sub(1);
        for (sign, run) in self.runs() {
            let (first, last) = (sign * run.from as i64, sign * (run.from + run.counts.len() as u64 - 1) as i64);
            if bin(first) == bin(last) {
                let (count, sum) = &mut bins[bin(first)];
                *count += run.count;
                *sum += sign * run.sum as i64;
                continue;
            }
            for (size, n) in run.iter() {
                let cents = sign * size as i64;
                let (count, sum) = &mut bins[bin(cents)];
                *count += n;
                *sum += cents * n as i64;
            }
        }
        bins
    }
}

/// Returns the rank of a percentile among `len` values, from 1 on: `ceil(fraction * len)`, as in PostgreSQL.
pub fn rank(fraction: f64, len: u64) -> u64 {
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
            left.settle();
            kept.sort_unstable();
            let edges = [-700, -1, 0, 1, 100, 2048, 1_000_000];
            let inside = |bin: usize| kept.iter().filter(move |cents| {
                (bin == 0 || edges[bin] <= **cents) && (bin + 1 == edges.len() || **cents < edges[bin + 1])
            });
            let bins: Vec<_> = (0..edges.len()).map(|bin| (inside(bin).count() as u64, inside(bin).sum())).collect();
            prop_assert_eq!(left.bins(&edges), bins);
            prop_assert_eq!((left.min(), left.max()), (kept.first().copied(), kept.last().copied()));
            let expected = [0.0, 0.5, 0.95, 1.0].map(|fraction| {
                (!kept.is_empty()).then(|| kept[(fraction * kept.len() as f64).ceil().max(1.0) as usize - 1])
            });
            prop_assert_eq!(left.percentiles([0.0, 0.5, 0.95, 1.0]), expected);
        }
    }
}
