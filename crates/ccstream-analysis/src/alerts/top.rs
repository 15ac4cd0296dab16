//! Holds the highest scores of a day, by key, and the threshold that follows from those of the day before.

use crate::bytes::{Number, Reader, Result};
use crate::key::Key;
use crate::toml::DAY;

/// The maximum number of alerts a day that a budget can be.
pub(super) const MAX_BUDGET: usize = 1_000;

/// The highest scores of a day.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Top {
    day: i64,
    /// The score from which the rule fires; None on the first day.
    pub(super) threshold: Option<f64>,
    /// At most as many as the budget. Each key has its highest score.
    scores: Vec<(Key, f64)>,
}

impl Top {
    /// Returns the threshold at a time.
    pub(super) fn threshold_at(&self, time: i64, budget: usize) -> Option<f64> {
        if time.div_euclid(DAY) <= self.day || self.scores.is_empty() {
            return self.threshold;
        }
        let least = self.scores.iter().map(|(_, score)| *score).min_by(f64::total_cmp);
        // With fewer keys than the budget, every score is within it.
        least.map(|least| if self.scores.len() < budget { 0.0 } else { least })
    }

    /// Begins the day of a time, unless it has begun.
    fn begin(&mut self, time: i64, budget: usize) {
        let day = time.div_euclid(DAY);
        if day > self.day {
            *self = Self { day, threshold: self.threshold_at(time, budget), scores: Vec::new() };
        }
    }

    /// Adds a score. Returns whether something changed.
    pub(super) fn add(&mut self, time: i64, key: Key, score: f64, budget: usize) -> bool {
        let before = self.day;
        self.begin(time, budget);
        let has_begun = self.day != before;
        if time.div_euclid(DAY) != self.day {
            return has_begun;
        }
        if let Some((_, highest)) = self.scores.iter_mut().find(|(one, _)| *one == key) {
            let is_higher = score > *highest;
            *highest = highest.max(score);
            return is_higher || has_begun;
        }
        if self.scores.len() < budget {
            self.scores.push((key, score));
            return true;
        }
        let least = self.scores.iter_mut().min_by(|one, other| one.1.total_cmp(&other.1).then(one.0.cmp(&other.0)));
        match least.filter(|least| score > least.1) {
            Some(least) => *least = (key, score),
            None => return has_begun,
        }
        true
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.day.push(out);
        self.threshold.unwrap_or(f64::NAN).push(out);
        (self.scores.len() as u32).push(out);
        for (key, score) in &self.scores {
            key.push(out);
            score.push(out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let day = reader.i64()?;
        let threshold = Some(reader.f64()?).filter(|threshold| !threshold.is_nan());
        let count = reader.u32()?;
        let scores = (0..count).map(|_| Ok((reader.u64()?, reader.f64()?))).collect::<Result<_>>()?;
        Ok(Self { day, threshold, scores })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_the_nth_highest_score_of_the_day_before() {
        let mut top = Top::default();
        for (key, score) in [(1, 0.1), (2, 0.9), (1, 0.8), (3, 0.7), (4, 0.2), (2, 0.3)] {
            top.add(DAY, key, score, 2);
        }
        assert_eq!(top.threshold, None);
        top.add(2 * DAY, 9, 0.5, 2);
        assert_eq!(top.threshold, Some(0.8));
        // What is late belongs to no day any more.
        assert!(!top.add(DAY, 7, 1.0, 2));
        // One card alone is less than the budget.
        top.add(3 * DAY, 9, 0.5, 2);
        assert_eq!(top.threshold, Some(0.0));
    }
}
