//! Finds the largest values that are not watched, in bounded memory.

use hashbrown::HashMap;

use super::measure::Dimension;
use super::minute::Other;
use crate::key::Key;

/// The number of values that are held before the smallest are dropped.
const HELD: usize = 2_048;
/// The number that remains.
const KEPT: usize = 1_024;
/// The number of values of a minute that are reported.
const REPORTED: usize = 32;
/// The least number of transactions in a minute with which a value is reported.
const LEAST: u32 = 2;

/// Counts of values, by the algorithm of Misra and Gries: a count is too low by at most the number of transactions divided
/// by [`KEPT`], so no large value is missed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Others(HashMap<Key, Other>);

impl Others {
    /// Counts a transaction.
    pub(super) fn add(&mut self, key: Key, dimension: Dimension, name: &str) {
        if let Some(other) = self.0.get_mut(&key) {
            other.events = other.events.saturating_add(1);
        } else {
            self.0.insert(key, Other { dimension, name: name.into(), events: 1 });
            self.shrink();
        }
    }

    /// Adds what was counted before.
    pub(super) fn put(&mut self, key: Key, other: Other) {
        self.0.insert(key, other);
    }

    fn shrink(&mut self) {
        if self.0.len() < HELD {
            return;
        }
        let mut counts: Vec<u32> = self.0.values().map(|other| other.events).collect();
        let (_, limit, _) = counts.select_nth_unstable_by(KEPT, |one, other| other.cmp(one));
        let limit = *limit;
        self.0.retain(|_, other| {
            other.events = other.events.saturating_sub(limit);
            other.events > 0
        });
    }

    /// Lists all values, the largest first.
    pub(super) fn list(&self) -> Vec<Other> {
        let mut all: Vec<Other> = self.0.values().cloned().collect();
        all.sort_by(|one, other| {
            other.events.cmp(&one.events).then_with(|| (one.dimension, &one.name).cmp(&(other.dimension, &other.name)))
        });
        all
    }

    /// Lists the largest values.
    pub(super) fn largest(&self) -> Vec<Other> {
        let mut all = self.list();
        all.retain(|other| other.events >= LEAST);
        all.truncate(REPORTED);
        all
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key;

    #[test]
    fn the_largest_of_a_million_names_are_found_in_bounded_memory() {
        let (mut others, mut most) = (Others::default(), 0);
        for number in 0..1_000_000_u64 {
            let large = number % 200;
            // Each of 40 merchants has 0.5 % of the transactions; all others have one each.
            let name = if large < 40 { format!("Large {large}") } else { format!("Small {number}") };
            others.add(key::of(&name), Dimension::Merchant, &name);
            most = most.max(others.len());
        }
        assert!(most <= HELD, "{most}");
        let largest = others.largest();
        assert_eq!(largest.len(), REPORTED);
        assert!(largest.iter().all(|other| other.name.starts_with("Large") && other.events > 3_000));
    }
}
