//! This module restores the state when a run takes the lease.

use super::fold::{folded, frauds};
use crate::error::{Error, Result};
use crate::postgres::analysis::{AnalysisStore, Lease, PastLabel, StatePart};
use ccstream_analysis::snapshot::BucketId;
use ccstream_analysis::state::{Settings, State};
use ccstream_core::settings::AnalyzerConfig;

/// Returns the state as far as it was written. Parts that cannot be used are left out, which takes longer but changes
/// nothing.
pub(super) fn written(config: &AnalyzerConfig, parts: &[StatePart]) -> State {
    let settings = Settings { cards: config.cards, merchants: config.merchants, ..Settings::default() };
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

/// Takes in again what comes after the parts that were loaded, so that the state is that of a run that was never stopped.
/// Returns the number of transactions and labels.
pub(super) async fn refold(store: &mut AnalysisStore, state: &mut State, lease: &Lease) -> Result<i64> {
    let after = state.resumes_after() as i64;
    if lease.seq > after {
        let mut labels = store.past_labels(after).await?.into_iter().peekable();
        store
            .past(after, |past| {
                while let Some(label) = labels.next_if(|label| label.seq < past.seq) {
                    reapply(state, label);
                }
                state.refold(past.seq as u64, &past.event, past.carried);
                Ok(())
            })
            .await?;
        labels.for_each(|label| reapply(state, label));
    }
    let reached = state.seq() as i64;
    if reached == lease.seq {
        return Ok(lease.seq - after);
    }
    Err(Error::inconsistent(format!("the state was restored up to place {reached} of {}", lease.seq)))
}

fn reapply(state: &mut State, past: PastLabel) {
    let PastLabel { seq, label, known, corrects } = past;
    let fold = folded(known, label.is_fraud);
    match corrects {
        Some(labels) => state.reapply_correction(seq as u64, &fold, frauds(&label, known, labels)),
        None => state.reapply_label(seq as u64, &fold),
    }
}
