//! This module computes the whole analysis again from `orders` and `labels`, and compares it with what was written.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use super::replay::apply;
use super::restore::{reapply, written};
use super::scorer::{RULES, Scorer};
use super::windows;
use crate::error::Result;
use crate::postgres::analysis::{Account, AnalysisStore, Missing, Past, PastLabel, StoredModel, Tally};
use ccstream_analysis::event::Carried;
use ccstream_analysis::state::{Settings, State};
use ccstream_core::event::Micros;
use ccstream_core::settings::DatabaseUrl;

/// How many transactions of each kind of difference are named.
const NAMED: usize = 3;

/// What was compared, and what differs.
#[derive(Debug, Default)]
pub(crate) struct AnalysisRecount {
    /// Number of scores that were computed again.
    pub(crate) scores: i64,
    /// Number of scores that could not be: their transaction is not in `orders`, or comes after one that is not, or their
    /// model cannot be used by this version.
    pub(crate) not_compared: i64,
    /// Number of labels that were applied again.
    pub(crate) labels: i64,
    /// Number of rows of windows that were compared.
    pub(crate) window_rows: i64,
    pub(crate) problems: Vec<String>,
}

/// Compares the tables of the analysis with a computation from the beginning, in one snapshot. Returns None if there are
/// no such tables.
pub(crate) async fn recount(url: &DatabaseUrl) -> Result<Option<AnalysisRecount>> {
    let Some(mut store) = AnalysisStore::read(url).await? else { return Ok(None) };
    let account = store.account().await?;
    let end = store.first_not_stored().await?.map_or(account.seq, |missing| missing - 1);
    let (cards, merchants) = store.bounds().await?;
    let parts = store.state().await?;
    // What was written of the state is brought up to the end, as a restart would.
    let mut restored = written((cards, merchants), &parts);
    drop(parts);
    let after = restored.resumes_after() as i64;
    let settings = Settings { cards, merchants, ..Settings::default() };
    let mut again = Again::new(State::new(&settings), store.models().await?);
    let mut labels = store.past_labels(0, end).await?.into_iter().peekable();
    let take_label = |again: &mut Again, restored: &mut State, label: PastLabel| {
        if label.seq > after {
            reapply(restored, label.clone());
        }
        again.label(label);
    };
    let each = |past: std::result::Result<Past, Missing>| {
        let past = past?;
        while let Some(label) = labels.next_if(|label| label.seq < past.seq) {
            take_label(&mut again, &mut restored, label);
        }
        if past.seq > after {
            restored.refold(past.seq as u64, &past.event, past.carried);
        }
        again.event(&past);
        Ok(())
    };
    store.past(0, end, each).await?;
    labels.for_each(|label| take_label(&mut again, &mut restored, label));
    let mut differences = store.tally_differences().await?;
    if end == account.seq {
        differences.push(("feature_day", store.value_differences(&again.tally).await?));
    }
    let uncounted = store.uncounted().await?;
    let mut counted = windows::recount(&mut store, end).await?;
    store.end().await?;
    again.found.window_rows = counted.rows;
    again.found.problems.append(&mut counted.problems);
    for (partition, counted, found) in uncounted {
        again.found.problems.push(format!(
            "analysis: analysis_offsets counts {counted} accepted messages of partition {partition}, but there are {found} \
             scores and labels"
        ));
    }
    for (table, rows) in differences.into_iter().filter(|(_, rows)| *rows > 0) {
        again.found.problems.push(format!("analysis: {rows} rows of {table} differ from scores and labels"));
    }
    Ok(Some(again.end(&account, end, &restored)))
}

/// The analysis, computed again.
struct Again {
    state: State,
    scorers: BTreeMap<String, Option<Scorer>>,
    /// The name of the model that scored last.
    model: String,
    /// The last place.
    seq: i64,
    found: AnalysisRecount,
    /// The features, counted again.
    tally: Tally,
    /// The number of differences of each kind, and the first of them.
    differing: BTreeMap<&'static str, (i64, Vec<String>)>,
}

impl Again {
    fn new(state: State, models: Vec<StoredModel>) -> Self {
        let models = models.into_iter().map(|model| (model.name.clone(), Scorer::of(model.name, &model.text).ok()));
        let rules = (RULES.to_owned(), Some(Scorer::Rules));
        Self {
            state,
            scorers: models.chain([rules]).collect(),
            model: RULES.to_owned(),
            seq: 0,
            found: AnalysisRecount::default(),
            tally: Tally::default(),
            differing: BTreeMap::new(),
        }
    }

    fn label(&mut self, label: PastLabel) {
        self.step(label.seq);
        self.found.labels += 1;
        apply(&mut self.state, label);
    }

    fn event(&mut self, past: &Past) {
        self.step(past.seq);
        let usable = |(score, model)| Some((score, model, self.scorers.get(model)?.as_ref()?));
        let Some((score, model, scorer)) = past.score.as_ref().map(|(score, model)| (score, model)).and_then(usable)
        else {
            let result = self.state.score(&past.event);
            self.tally.add_values(past.seq, Micros(past.event.time), &result.features);
            return;
        };
        if self.model != *model {
            self.model.clone_from(model);
            self.state.set_maturity(scorer.maturity().unwrap_or(Settings::default().maturity));
        }
        let result = self.state.score(&past.event);
        let computed = scorer.score(&result);
        self.found.scores += 1;
        if let Some(reasons) = &past.reasons {
            let again = scorer.reasons(&result.features, Micros(past.event.time));
            if *reasons != again {
                let differs = format!("{} has {reasons:?}, computed again {again:?}", past.id);
                self.differs("reasons", differs);
            }
        }
        self.tally.add_values(past.seq, Micros(past.event.time), &result.features);
        if computed.to_bits() != score.to_bits() {
            let differs = format!("{} has {score}, computed again {computed}", past.id);
            self.differs("scores", differs);
        }
        if !is_same(result.carried, past.carried) {
            let differs = format!("{} has {:?}, computed again {:?}", past.id, past.carried, result.carried);
            self.differs("values of ratio, level or tested", differs);
        }
    }

    fn step(&mut self, seq: i64) {
        let expected = self.seq + 1;
        if seq != expected {
            self.differs("places in the order", format!("{seq} comes after {}", self.seq));
        }
        self.seq = seq;
    }

    fn differs(&mut self, what: &'static str, one: String) {
        let (count, named) = self.differing.entry(what).or_default();
        *count += 1;
        if named.len() < NAMED {
            named.push(one);
        }
    }

    fn end(self, account: &Account, end: i64, restored: &State) -> AnalysisRecount {
        let Self { mut found, differing, state, .. } = self;
        let Account { seq, scores, applied } = *account;
        let mut problem = |is_one: bool, text: String| {
            if is_one {
                found.problems.push(format!("analysis: {text}"));
            }
        };
        for (what, (count, named)) in differing {
            problem(true, format!("{count} {what} differ: {}", named.join("; ")));
        }
        problem(
            scores + applied != seq,
            format!("{scores} scores and {applied} applied labels are not the {seq} places of the order"),
        );
        if end == seq {
            let is_same = digest(&state) == digest(restored);
            problem(!is_same, "the state that was written differs from the one that was computed again".into());
        }
        found.not_compared = scores - found.scores;
        found
    }
}

fn is_same(one: Carried, other: Carried) -> bool {
    let bits = |carried: Carried| (carried.ratio.to_bits(), carried.level.to_bits(), carried.tested);
    bits(one) == bits(other)
}

/// Returns a digest of everything that a state has.
fn digest(state: &State) -> [u8; 32] {
    struct Out(Sha256);
    impl fmt::Write for Out {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let mut out = Out(Sha256::new());
    // Writing to a digest cannot fail.
    let _ = state.dump(&mut out);
    out.0.finalize().into()
}
