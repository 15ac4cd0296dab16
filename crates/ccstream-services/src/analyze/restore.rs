//! This module restores the state when a run takes the lease.

use super::fold::{folded, frauds};
use crate::error::{Error, Result};
use crate::postgres::analysis::{AnalysisStore, Lease, PastLabel};
use ccstream_analysis::state::{Settings, State};
use ccstream_core::settings::AnalyzerConfig;

/// A state as of the lease's place in the order.
pub(super) struct Restored {
    pub(super) state: State,
    /// The number of transactions and labels that were taken in again.
    pub(super) folded: i64,
}

/// Restores the state from the tables.
pub(super) async fn restore(store: &mut AnalysisStore, config: &AnalyzerConfig, lease: &Lease) -> Result<Restored> {
    let settings = Settings { cards: config.cards, merchants: config.merchants, ..Settings::default() };
    let mut state = State::new(&settings);
    let after = 0;
    if lease.seq > after {
        let labels = store.past_labels(after).await?;
        let mut labels = labels.into_iter().peekable();
        store
            .past(after, |past| {
                while let Some(label) = labels.next_if(|label| label.seq < past.seq) {
                    reapply(&mut state, label);
                }
                state.refold(past.seq as u64, &past.event, past.carried);
                Ok(())
            })
            .await?;
        labels.for_each(|label| reapply(&mut state, label));
    }
    if state.seq() as i64 != lease.seq {
        return Err(Error::inconsistent(format!("the state was restored up to {} of {}", state.seq(), lease.seq)));
    }
    Ok(Restored { state, folded: lease.seq - after })
}

fn reapply(state: &mut State, past: PastLabel) {
    let PastLabel { seq, label, known, corrects } = past;
    let fold = folded(known, label.is_fraud);
    match corrects {
        Some(labels) => state.reapply_correction(seq as u64, &fold, frauds(&label, known, labels)),
        None => state.reapply_label(seq as u64, &fold),
    }
}
