//! This module computes approval rates by name.

use std::collections::HashMap;

use super::shape::ApprovedShape;

/// Counts approved and declined events together, and approved ones, by name. Names beyond the limit are left out.
#[derive(Debug)]
pub(super) struct Approvals {
    counts: HashMap<String, (u64, u64)>,
    limit: usize,
}

impl Approvals {
    pub(super) fn new(limit: usize) -> Self {
        Self { counts: HashMap::new(), limit }
    }

    pub(super) fn add(&mut self, name: &str, is_approved: bool) {
        if !self.counts.contains_key(name) && self.counts.len() < self.limit {
            self.counts.insert(name.to_owned(), (0, 0));
        }
        if let Some((decided, approved)) = self.counts.get_mut(name) {
            *decided += 1;
            *approved += u64::from(is_approved);
        }
    }

    /// Returns the approval rates by name, the most frequent first.
    pub(super) fn shape(&self) -> Vec<ApprovedShape> {
        let of = |(name, counts): (&String, &(u64, u64))| ApprovedShape::of(name, *counts);
        let mut all: Vec<ApprovedShape> = self.counts.iter().map(of).collect();
        all.sort_unstable_by(|one, other| other.count.cmp(&one.count).then_with(|| one.name.cmp(&other.name)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_after_the_limit_are_left_out() {
        let mut approvals = Approvals::new(2);
        for (name, is_approved) in [("a", false), ("b", true), ("c", true), ("b", false), ("a", true), ("b", true)] {
            approvals.add(name, is_approved);
        }
        assert_eq!(approvals.shape(), [ApprovedShape::of("b", (3, 2)), ApprovedShape::of("a", (2, 1))]);
    }
}
