//! This module counts events by name, for a limited number of names.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

/// Counts events by name. The events of names beyond the limit are counted together.
#[derive(Debug)]
pub(super) struct Names<K> {
    counts: HashMap<K, u64>,
    limit: usize,
    /// Number of events with a name beyond the limit.
    others: u64,
}

impl<K: Hash + Eq + Ord + Clone> Names<K> {
    pub(super) fn new(limit: usize) -> Self {
        Self { counts: HashMap::new(), limit, others: 0 }
    }

    /// Counts one event with a name.
    pub(super) fn add<Q>(&mut self, name: &Q)
    where
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        K: std::borrow::Borrow<Q>,
    {
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
        } else if self.counts.len() < self.limit {
            self.counts.insert(name.to_owned(), 1);
        } else {
            self.others += 1;
        }
    }

    /// Returns the number of names that are counted separately.
    pub(super) fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// Returns the number of events with a name beyond the limit.
    pub(super) fn others(&self) -> u64 {
        self.others
    }

    /// Returns the counts in descending order.
    pub(super) fn ranked(&self) -> Vec<u64> {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        counts.sort_unstable_by(|one, other| other.cmp(one));
        counts
    }

    /// Returns up to `limit` names with their counts, the most frequent first.
    pub(super) fn most_frequent(&self, limit: usize) -> Vec<(K, u64)> {
        let mut all: Vec<(K, u64)> = self.counts.iter().map(|(name, count)| (name.clone(), *count)).collect();
        all.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        all.truncate(limit);
        all
    }
}

/// Counts events by a 64-bit hash of the name, if the names themselves are not needed. The probability that any two of
/// a million names have the same hash is 1 in 37 million.
#[derive(Debug)]
pub(super) struct Hashed {
    names: Names<u64>,
    hasher: RandomState,
}

impl Hashed {
    pub(super) fn new(limit: usize) -> Self {
        Self { names: Names::new(limit), hasher: RandomState::new() }
    }

    pub(super) fn add(&mut self, name: &str) {
        self.names.add(&self.hasher.hash_one(name));
    }

    pub(super) fn names(&self) -> &Names<u64> {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_after_the_limit_are_counted_together() {
        let mut names: Names<String> = Names::new(2);
        for name in ["b", "a", "b", "c", "a", "c", "b"] {
            names.add(name);
        }
        assert_eq!((names.distinct(), names.others(), names.ranked()), (2, 2, vec![3, 2]));
        assert_eq!(names.most_frequent(9), [("b".to_owned(), 3), ("a".to_owned(), 2)]);
        assert_eq!(names.most_frequent(1), [("b".to_owned(), 3)]);
        names.add("a");
        assert_eq!(names.most_frequent(1), [("a".to_owned(), 3)], "of as frequent ones the first by name");
    }

    #[test]
    fn hashed_names_are_distinguished() {
        let mut hashed = Hashed::new(1000);
        for number in 0..2000 {
            hashed.add(&format!("tok_{}", number % 999));
        }
        let names = hashed.names();
        assert_eq!((names.distinct(), names.others(), names.ranked()[..3].to_vec()), (999, 0, vec![3, 3, 2]));
    }
}
