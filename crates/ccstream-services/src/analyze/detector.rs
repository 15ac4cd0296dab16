//! This module scores transactions in memory as the analyzer does, without Kafka and PostgreSQL: for notebooks.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::default_model;
use super::fold::{folded, frauds};
use super::scorer::{Scorer, read_file, usable};
use crate::error::Result;
use crate::postgres::analysis::{Known, LABEL_LIFE};
use ccstream_analysis::event::Seen;
use ccstream_analysis::features::Features;
use ccstream_analysis::pending::Pending;
use ccstream_analysis::state::{Settings, State};
use ccstream_core::event::Micros;
use ccstream_core::label::Label;
use ccstream_core::settings::AnalyzerConfig;

/// A transaction that was scored.
#[derive(Debug, Clone, Copy)]
pub struct Detected {
    /// Its features.
    pub features: Features,
    /// The probability that it is a fraud.
    pub score: f64,
}

/// Scores transactions in the order in which they are given.
#[derive(Debug)]
pub struct Detector {
    state: State,
    scorer: Scorer,
    pending: Pending<Known>,
    /// What labels need to know of the transactions that were scored.
    known: HashMap<Box<str>, Known>,
    /// The times of the labels of each transaction that has any.
    labelled: HashMap<String, Vec<Micros>>,
    /// The last label of each transaction of a terminal, of those that were applied.
    applied: HashMap<i64, Vec<(Label, Known)>>,
    /// The greatest time of a transaction.
    time: Option<Micros>,
    late: u64,
}

impl Detector {
    /// Creates a detector that has seen nothing. `model` is a file, or the name of a model that comes with ccstream. Without
    /// it, the rules score.
    ///
    /// Errors: the model or a number cannot be used.
    pub fn new(model: Option<&Path>, cards: usize, merchants: usize) -> Result<Self> {
        AnalyzerConfig { cards, merchants, ..AnalyzerConfig::default() }.validate()?;
        let known = model.filter(|path| !path.exists()).and_then(Path::to_str).and_then(default_model::named);
        let scorer = match known.map_or_else(|| model.map(read_file).transpose(), |file| Ok(Some(file)))? {
            Some(file) => usable(file.name, &file.text)?,
            None => Scorer::Rules,
        };
        let maturity = scorer.maturity().unwrap_or(Settings::default().maturity);
        Ok(Self {
            state: State::new(&Settings { cards, merchants, maturity }),
            scorer,
            pending: Pending::default(),
            known: HashMap::new(),
            labelled: HashMap::new(),
            applied: HashMap::new(),
            time: None,
            late: 0,
        })
    }

    /// Returns the name of the model, or `rules`.
    pub fn model(&self) -> &str {
        self.scorer.name()
    }

    /// Returns the number of transactions that were scored.
    pub fn transactions(&self) -> usize {
        self.known.len()
    }

    /// Returns the number of transactions whose time was before that of an earlier one.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Returns the index of the first transaction whose id was scored before, or is that of an earlier one of the list.
    pub fn find_duplicate(&self, transactions: &[(Box<str>, Seen)]) -> Option<usize> {
        let mut ids = HashSet::with_capacity(transactions.len());
        transactions.iter().position(|(id, _)| self.known.contains_key(id) || !ids.insert(id))
    }

    /// Scores the next transaction, whose id must be new, after the labels that are due before it.
    pub fn score(&mut self, id: &str, seen: &Seen) -> Detected {
        let time = Micros(seen.time);
        self.late += u64::from(self.time.is_some_and(|reached| time < reached));
        self.time = self.time.max(Some(time));
        while let Some((label, known)) = self.pending.next(self.time.unwrap_or(time)) {
            self.apply(label, known);
        }
        let scored = self.state.score(seen);
        let ratio = Some(scored.carried.ratio).filter(|ratio| !ratio.is_nan());
        let known = Known { time, terminal: seen.terminal.map(|key| key as i64), ratio };
        self.known.insert(id.into(), known);
        for label in self.pending.saw(id, known) {
            self.apply(label, known);
        }
        Detected { features: scored.features, score: self.scorer.score(&scored) }
    }

    /// Returns the reasons for a score in words.
    pub fn reasons(&self, features: &Features, time: Micros) -> Vec<String> {
        self.scorer.reasons(features, time)
    }

    /// Adds a label, which is applied before the first transaction at its time or later. Without a time, it is due at once.
    /// A second label of the same transaction and time is ignored.
    pub fn label(&mut self, id: &str, is_fraud: bool, at: Option<Micros>) {
        let labelled_at = at.or(self.time).unwrap_or_default();
        let times = self.labelled.entry(id.to_owned()).or_default();
        if times.contains(&labelled_at) {
            return;
        }
        times.push(labelled_at);
        let label = Label { labelled_at, transaction_id: id.to_owned(), source: String::new(), is_fraud };
        self.pending.add(label, self.known.get(id).copied());
    }

    /// Applies a label that is due.
    fn apply(&mut self, label: Label, known: Known) {
        let fold = folded(known, label.is_fraud);
        let Some(terminal) = known.terminal else {
            self.state.apply_label(&fold);
            return;
        };
        let since = Micros(label.labelled_at.0.saturating_sub(LABEL_LIFE));
        let labels = self.applied.entry(terminal).or_default();
        let earlier = labels.iter().position(|(other, _)| other.transaction_id == label.transaction_id);
        if earlier.is_some() && known.time >= since {
            let alive = labels.iter().filter(|(_, other)| other.time >= since).cloned().collect();
            self.state.apply_correction(&fold, frauds(&label, known, alive));
        } else {
            self.state.apply_label(&fold);
        }
        match earlier {
            None => labels.push((label, known)),
            Some(at) if labels[at].0.labelled_at <= label.labelled_at => labels[at].0 = label,
            Some(_) => {}
        }
    }
}
