//! Decides what is to blame for rows that PostgreSQL refuses: their messages, which become dead letters, or the table
//! `orders`, which ends the program.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::row_refusal::RowRefusal;
use crate::error::{Error, Result};
use ccstream_core::settings::MaxRefused;

/// The number of consecutive batches that PostgreSQL must refuse nearly entirely before the table is blamed.
const BATCHES: u32 = 3;
/// The minimum number of rows of a batch. Fewer are no evidence about the table.
const ROWS: usize = 100;
/// The share of a batch's rows that counts as nearly all of them.
const NEARLY_ALL: f64 = 0.9;

/// Counts the rows of one batch that PostgreSQL refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The number of rows that were to be stored.
    rows: usize,
    /// For each SQLSTATE, the number of refused rows and the most recent reason.
    by_state: HashMap<String, (usize, String)>,
}

impl Refusals {
    /// Starts without refusals, for a batch of this number of rows.
    pub(super) fn of(rows: usize) -> Self {
        Self { rows, by_state: HashMap::new() }
    }

    /// Adds rows that are to be stored too: duplicates of refused rows, which are tried in their place.
    pub(super) fn expect(&mut self, rows: usize) {
        self.rows += rows;
    }

    pub(super) fn add(&mut self, refusal: &RowRefusal) {
        let (count, reason) = self.by_state.entry(refusal.state.clone()).or_default();
        *count += 1;
        reason.clone_from(&refusal.reason);
    }

    pub(super) fn count(&self) -> usize {
        self.by_state.values().map(|(count, _)| count).sum()
    }

    /// Returns the SQLSTATE and the reason with which PostgreSQL refused nearly all rows, if there is one.
    #[allow(clippy::cast_precision_loss, reason = "rows of a batch are few")]
    fn of_nearly_all(&self) -> Option<(&str, &str)> {
        let nearly_all = self.rows as f64 * NEARLY_ALL;
        let found = self.by_state.iter().find(|(_, (count, _))| *count as f64 >= nearly_all);
        found.map(|(state, (_, reason))| (state.as_str(), reason.as_str()))
    }
}

/// Holds the SQLSTATE with which nearly all rows of the most recent batches were refused, and the number of those
/// batches.
type Suspect = (String, u32);

#[derive(Debug, Default)]
struct Tally {
    suspect: Suspect,
    /// Rows that PostgreSQL refused in this run, each of them now a dead letter.
    refused: u64,
}

/// Counts what PostgreSQL refused in all batches so far. All connections of one consumer share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blame {
    limit: MaxRefused,
    tally: Arc<Mutex<Tally>>,
}

/// Holds what one batch adds to the counts. Dropping it takes the batch's refusals back; [`Pending::commit`] keeps
/// them.
#[derive(Debug)]
pub(super) struct Pending<'b> {
    blame: &'b Blame,
    refused: u64,
    suspect: Option<Suspect>,
}

impl Pending<'_> {
    /// Keeps what the batch added, now that it is committed.
    pub(super) fn commit(mut self) {
        self.refused = 0;
        if let Some(suspect) = self.suspect.take() {
            self.blame.tally().suspect = suspect;
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.blame.tally().refused -= self.refused;
    }
}

impl Blame {
    pub(crate) fn new(limit: MaxRefused) -> Self {
        Self { limit, tally: Arc::default() }
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a batch before its COMMIT.
    ///
    /// Errors: [`Error::Schema`], if the table is to blame, or if PostgreSQL has refused more rows than `max_refused`
    /// allows.
    pub(super) fn judge(&self, refusals: &Refusals) -> Result<Pending<'_>> {
        let refused = refusals.count() as u64;
        let mut tally = self.tally();
        if let MaxRefused::Of(limit) = self.limit
            && refused > 0
            && tally.refused + refused > limit
        {
            let (state, (_, reason)) = refusals.by_state.iter().next().expect("some were refused");
            return Err(Error::Schema(format!(
                "PostgreSQL has refused more rows in this run than the {limit} that `max_refused` allows, one of them \
                 with SQLSTATE {state}: {reason}. Change the table orders so that it accepts such rows, or raise \
                 `max_refused`; then start the consumer again, which reads the last batch again: nothing of it is stored"
            )));
        }
        let suspect = (refusals.rows >= ROWS).then(|| match refusals.of_nearly_all() {
            Some((state, _)) if state == tally.suspect.0 => (state.to_owned(), tally.suspect.1 + 1),
            Some((state, _)) => (state.to_owned(), 1),
            None => Suspect::default(),
        });
        if let (Some((state, BATCHES..)), MaxRefused::TableAtFault) = (&suspect, self.limit) {
            let reason = refusals.of_nearly_all().map_or("", |(_, reason)| reason);
            return Err(Error::Schema(format!(
                "PostgreSQL refused nearly all rows of {BATCHES} consecutive batches with SQLSTATE {state}, most \
                 recently: {reason}. The cause is therefore the table orders, not the messages. Change its constraint, \
                 trigger or column; then start the consumer again, which reads the last batch again: nothing of it is \
                 stored. The batches before it became dead letters, which `ccstream rejected --replay` replays"
            )));
        }
        tally.refused += refused;
        Ok(Pending { blame: self, refused, suspect })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rows: usize, refused: &[(&str, usize)]) -> Refusals {
        let mut refusals = Refusals::of(rows);
        for (state, count) in refused {
            for _ in 0..*count {
                refusals.add(&RowRefusal { state: (*state).into(), reason: "why".into() });
            }
        }
        refusals
    }

    /// Returns the place of the batch that ends the program, if one does.
    fn ends_at(limit: MaxRefused, batches: &[Refusals]) -> Option<usize> {
        let blame = Blame::new(limit);
        batches.iter().position(|batch| blame.judge(batch).map(Pending::commit).is_err())
    }

    #[test]
    fn the_table_is_at_fault_where_nearly_all_of_three_batches_are_refused_alike() {
        let bad = || batch(100, &[("23514", 90)]);
        let judged = |batches: &[Refusals]| ends_at(MaxRefused::TableAtFault, batches);
        assert_eq!(judged(&[bad(), bad(), bad()]), Some(2));
        assert_eq!(judged(&[bad(), bad(), batch(100, &[("23514", 89)]), bad(), bad()]), None);
        // A small batch is no evidence either way.
        assert_eq!(judged(&[bad(), bad(), batch(99, &[]), batch(99, &[("23514", 99)]), bad()]), Some(4));
        // Another SQLSTATE starts the count again.
        assert_eq!(judged(&[bad(), bad(), batch(100, &[("23503", 95)]), bad(), bad(), bad()]), Some(5));
        assert_eq!(judged(&[batch(100, &[("23514", 50), ("23503", 50)]), bad(), bad()]), None);
        assert_eq!(ends_at(MaxRefused::All, &[bad(), bad(), bad(), bad()]), None);
    }

    #[test]
    fn a_limit_counts_what_the_run_keeps() {
        let one = || batch(500, &[("23514", 5)]);
        assert_eq!(ends_at(MaxRefused::Of(14), &[one(), one(), one()]), Some(2));
        assert_eq!(ends_at(MaxRefused::Of(15), &[one(), one(), one(), batch(500, &[])]), None);
        assert_eq!(ends_at(MaxRefused::Of(0), &[batch(500, &[]), one()]), Some(1));
        // A batch that is not committed is written again, and counts once.
        let blame = Blame::new(MaxRefused::Of(5));
        drop(blame.judge(&one()).unwrap());
        blame.judge(&one()).unwrap().commit();
        assert!(blame.judge(&one()).is_err());
        // A batch that is tried several times is still one of the consecutive batches.
        let (blame, bad) = (Blame::new(MaxRefused::TableAtFault), || batch(100, &[("23514", 90)]));
        for _ in 0..5 {
            drop(blame.judge(&bad()).unwrap());
        }
        blame.judge(&bad()).unwrap().commit();
        blame.judge(&bad()).unwrap().commit();
        assert!(blame.judge(&bad()).is_err());
    }
}
