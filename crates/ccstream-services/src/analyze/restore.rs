//! This module restores the state when a run takes the lease.

use super::fold::{folded, frauds};
use crate::error::{Error, Result};
use crate::postgres::analysis::{AnalysisStore, Missing, Past, PastLabel, StatePart};
use ccstream_analysis::snapshot::BucketId;
use ccstream_analysis::state::{Settings, State};

/// Maximum number of transactions and labels that are read at once.
const AT_ONCE: i64 = 50_000;

/// Returns the state as far as it was written. Parts that cannot be used are left out, which takes longer but changes
/// nothing.
pub(super) fn written((cards, merchants): (usize, usize), parts: &[StatePart]) -> State {
    let settings = Settings { cards, merchants, ..Settings::default() };
    let mut state = State::new(&settings);
    for StatePart { part, seq, data } in parts {
        let loaded = BucketId::of(*part).map(|id| state.load(id, *seq as u64, data));
        match loaded {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::info!(part, %error, "A part of the state cannot be used, and all of it is computed again.");
                return State::new(&settings);
            }
            None => tracing::info!(part, "The state has a part that this version does not know."),
        }
    }
    state
}

/// Splits the places after one, up to another, into parts that are read at once.
pub(super) fn parts(after: i64, to: i64) -> impl Iterator<Item = (i64, i64)> {
    (after..to).step_by(AT_ONCE as usize).map(move |after| (after, to.min(after + AT_ONCE)))
}

/// Transactions and labels of a range of places, which are taken in again.
#[derive(Debug, Default)]
pub(super) struct Read {
    events: Vec<Past>,
    labels: Vec<PastLabel>,
    /// Transactions that the consumer has not stored.
    pub(super) missing: Vec<Missing>,
}

/// Reads the transactions and labels after one place, up to another, and renews the lease. Returns None if the lease is
/// lost.
///
/// Errors: a place has neither.
pub(super) async fn read(store: &mut AnalysisStore, epoch: i64, after: i64, to: i64) -> Result<Option<Read>> {
    if !store.renew(epoch).await? {
        return Ok(None);
    }
    let mut read = Read { labels: store.past_labels(after, to).await?, ..Read::default() };
    let keep = |past| {
        match past {
            Ok(past) => read.events.push(past),
            Err(missing) => read.missing.push(missing),
        }
        Ok(())
    };
    store.past(after, to, keep).await?;
    let found = (read.events.len() + read.labels.len() + read.missing.len()) as i64;
    if found == to - after {
        return Ok(Some(read));
    }
    Err(Error::inconsistent(format!("scores and labels have {found} of the places {} to {to}", after + 1)))
}

impl Read {
    /// Adds transactions that were read from Kafka.
    pub(super) fn add(&mut self, events: Vec<Past>) {
        self.events.extend(events);
        self.events.sort_by_key(|past| past.seq);
    }

    /// Takes everything in again, in order. What a part of the state has already is left out.
    pub(super) fn fold(self, state: &mut State) {
        let mut labels = self.labels.into_iter().peekable();
        for past in self.events {
            while let Some(label) = labels.next_if(|label| label.seq < past.seq) {
                reapply(state, label);
            }
            state.refold(past.seq as u64, &past.event, past.carried);
        }
        labels.for_each(|label| reapply(state, label));
    }
}

pub(super) fn reapply(state: &mut State, past: PastLabel) {
    let PastLabel { seq, label, known, corrects } = past;
    let fold = folded(known, label.is_fraud);
    match corrects {
        Some(labels) => state.reapply_correction(seq as u64, &fold, frauds(&label, known, labels)),
        None => state.reapply_label(seq as u64, &fold),
    }
}
