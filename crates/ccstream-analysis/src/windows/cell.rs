//! Adds up the transactions of a cell.

use super::cards::Cards;
use super::facts::Facts;
use crate::bytes::{Number, Reader, Result};

/// The sums of a cell, from which the measures follow. All are whole numbers, so their order does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// The number of transactions.
    pub count: i64,
    /// The number of transactions that came after a later one.
    pub late: i64,
    /// The sum of the amounts in hundredths.
    pub sum: i64,
    /// The least amount in hundredths.
    pub min: i64,
    /// The greatest amount in hundredths.
    pub max: i64,
    /// The number of approved transactions.
    pub approved: i64,
    /// The number of approved or declined transactions.
    pub decided: i64,
    /// The number of transactions with a score.
    pub scored: i64,
    /// The sum of the scores in millionths.
    pub score_sum: i64,
    /// The number of high scores.
    pub high: i64,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            count: 0,
            late: 0,
            sum: 0,
            min: i64::MAX,
            max: i64::MIN,
            approved: 0,
            decided: 0,
            scored: 0,
            score_sum: 0,
            high: 0,
        }
    }
}

impl Totals {
    /// Returns the totals of one transaction.
    pub(super) fn of(facts: &Facts, score: Option<f64>, high: f64, is_late: bool) -> Self {
        Self {
            count: 1,
            late: i64::from(is_late),
            sum: facts.cents,
            min: facts.cents,
            max: facts.cents,
            approved: i64::from(facts.approved == Some(true)),
            decided: i64::from(facts.approved.is_some()),
            scored: i64::from(score.is_some()),
            score_sum: score.map_or(0, |score| (score * 1e6 + 0.5).floor() as i64),
            high: i64::from(score.is_some_and(|score| score >= high)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.late += other.late;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.approved += other.approved;
        self.decided += other.decided;
        self.scored += other.scored;
        self.score_sum += other.score_sum;
        self.high += other.high;
    }

    fn numbers(&self) -> [i64; 10] {
        let Self { count, late, sum, min, max, approved, decided, scored, score_sum, high } = *self;
        [count, late, sum, min, max, approved, decided, scored, score_sum, high]
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.numbers().into_iter().for_each(|number| number.push(out));
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut numbers = [0; 10];
        for number in &mut numbers {
            *number = reader.i64()?;
        }
        let [count, late, sum, min, max, approved, decided, scored, score_sum, high] = numbers;
        Ok(Self { count, late, sum, min, max, approved, decided, scored, score_sum, high })
    }
}

/// The transactions of a key in a pane or a session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    /// The start of the pane, or the time of the first transaction of the session.
    pub(super) start: i64,
    /// The time of the last transaction of the session; for a pane, its start.
    pub(super) last: i64,
    pub(super) totals: Totals,
    pub(super) cards: Cards,
    /// Whether the table does not have the cell as it is.
    pub(super) is_changed: bool,
}

impl Cell {
    pub(super) fn new(start: i64) -> Self {
        Self { start, last: start, totals: Totals::default(), cards: Cards::default(), is_changed: true }
    }
}
