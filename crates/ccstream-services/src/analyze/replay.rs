//! This module computes features and scores of transactions that were scored before, in the same order and from the
//! same labels: for training, and for backtests.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::fold::{folded, frauds};
use super::scorer::{Scorer, read_file, usable};
use crate::error::{Error, Result};
use crate::postgres::analysis::{AnalysisStore, Past, PastLabel};
use crate::postgres::reconnecting::Reopened;
use ccstream_analysis::features::Features;
use ccstream_analysis::maturity;
use ccstream_analysis::state::{Settings, State};
use ccstream_core::event::Micros;
use ccstream_core::settings::DatabaseUrl;

/// The age in microseconds at which nearly all labels of a transaction have arrived. Younger transactions have only
/// labels with short delays.
const SETTLED: i64 = 20 * 86_400_000_000;
/// Minimum number of labels of settled transactions. With fewer, the labels of all transactions are used.
const ENOUGH: usize = 100;

/// Describes what is computed again.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// The database.
    pub database_url: DatabaseUrl,
    /// The file of the model that scores, or its name in the table `models`. None: the rules.
    pub model: Option<PathBuf>,
    /// The age in microseconds from which a transaction without a label counts as genuine. None: that of the model, or
    /// else seven days.
    pub maturity: Option<i64>,
}

/// A transaction whose features and score were computed again.
#[derive(Debug)]
pub struct Replayed {
    /// Its id, as in `orders`.
    pub id: String,
    /// Its time.
    pub time: Micros,
    /// A number for its card; None without a card.
    pub card: Option<u64>,
    /// Its features.
    pub features: Features,
    /// The probability that it is a fraud.
    pub score: f64,
}

/// What is known of frauds at a time.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The ids of the transactions that are known to be frauds.
    pub frauds: std::collections::HashSet<String>,
    /// The age in microseconds after which nine of ten frauds are labelled, from 1 to 20 days; 7 days without labels.
    pub maturity: i64,
}

/// Reads what is known of frauds at a time.
///
/// Errors: PostgreSQL cannot be reached, or the tables of the analysis do not exist.
pub fn known(url: &DatabaseUrl, as_of: Micros) -> Result<Known> {
    crate::runtime()?.block_on(async {
        let mut store = AnalysisStore::open(url, 0).await?;
        let mut delays = store.label_delays(as_of, Micros(as_of.0.saturating_sub(SETTLED))).await?;
        if delays.len() < ENOUGH {
            delays = store.label_delays(as_of, as_of).await?;
        }
        let maturity = maturity::learn(delays);
        let frauds = store.frauds(as_of).await?;
        Ok(Known { frauds, maturity })
    })
}

/// Calls `each` with every transaction that was scored, in the order in which it was. Ends early after `stop`.
///
/// Errors: PostgreSQL cannot be reached, a transaction is not in `orders`, or the model cannot be used.
pub fn replay(replay: &Replay, stop: &CancellationToken, mut each: impl FnMut(Replayed) + Send) -> Result<()> {
    let work = async {
        let mut store = AnalysisStore::open(&replay.database_url, 0).await?;
        let scorer = scorer(&mut store, replay.model.as_deref()).await?;
        let missing = store.not_stored(0).await?;
        if missing > 0 {
            return Err(Error::Schema(format!(
                "{missing} scored transactions are not in the table orders, from which features are computed; start the \
                 consumer if it has not stored them yet, or restore the rows"
            )));
        }
        let (cards, merchants) = store.bounds().await?;
        let maturity = replay.maturity.or_else(|| scorer.maturity()).unwrap_or(Settings::default().maturity);
        let mut state = State::new(&Settings { cards, merchants, maturity });
        let mut labels = store.past_labels(0, i64::MAX).await?.into_iter().peekable();
        store
            .past(0, i64::MAX, |past| {
                let past = past?;
                while let Some(label) = labels.next_if(|label| label.seq < past.seq) {
                    apply(&mut state, label);
                }
                each(of(&mut state, &scorer, past));
                Ok(())
            })
            .await
    };
    crate::runtime()?.block_on(async {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            done = work => done,
        }
    })
}

/// Returns what scores by a model: that of a file, or that of a name in the table.
async fn scorer(store: &mut AnalysisStore, model: Option<&Path>) -> Result<Scorer> {
    let Some(path) = model else { return Ok(Scorer::Rules) };
    let named = path.to_str().filter(|_| !path.exists());
    if let Some(name) = named
        && let Some(model) = store.models().await?.into_iter().find(|model| model.name == name)
    {
        return usable(model.name, &model.text);
    }
    let file = read_file(path)?;
    usable(file.name, &file.text)
}

pub(super) fn apply(state: &mut State, past: PastLabel) {
    let fold = folded(past.known, past.label.is_fraud);
    match past.corrects {
        Some(labels) => state.apply_correction(&fold, frauds(&past.label, past.known, labels)),
        None => state.apply_label(&fold),
    };
}

fn of(state: &mut State, scorer: &Scorer, past: Past) -> Replayed {
    let result = state.score(&past.event);
    Replayed {
        id: past.id,
        time: Micros(past.event.time),
        card: past.event.card(),
        features: result.features,
        score: scorer.score(&result),
    }
}
