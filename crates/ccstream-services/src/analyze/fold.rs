//! This module folds events and labels in their order: it numbers them, updates the state and computes scores. It
//! performs no I/O.

use std::collections::{BTreeMap, HashSet};

use super::alerts::{Alerts, ScoredEvent, clock};
use super::anomalies::Anomalies;
use super::report::Forgotten;
use super::scorer::Scorer;
use super::windows::Windows;
use crate::postgres::analysis::{
    AnalysisBatch, AppliedLabel, Context, Known, Lease, ReceivedLabel, ScoreRow, SegmentRun, Snapshot, Tallied,
    WaitingLabels,
};
use ccstream_analysis::event::{Label as FoldedLabel, Seen};
use ccstream_analysis::pending::Pending;
use ccstream_analysis::segments::Segments;
use ccstream_analysis::snapshot::BucketId;
use ccstream_analysis::state::{Counts, Settings, State};
use ccstream_analysis::windows::Facts;
use ccstream_core::event::Micros;
use ccstream_core::label::Label;

/// The maximum number of days of which the least score among the top cards is held. Events of other days are compared in
/// the table.
const MAX_FLOORS: usize = 8;

/// Folds events and labels into the state.
pub(super) struct Fold {
    pub(super) state: State,
    pending: Pending<Known>,
    /// The time of the last label that is held; None if all labels that are not due are held.
    held_until: Option<Micros>,
    /// Transactions that have several labels.
    relabelled: HashSet<String>,
    scorer: Scorer,
    /// Scores beside it, for comparison.
    shadow: Option<Scorer>,
    /// The score from which reasons are stored.
    explain: f64,
    /// The least score among the top cards of the days that have all of them.
    floors: BTreeMap<i32, f64>,
    /// The greatest time of an event.
    time: Option<Micros>,
    late: i64,
    /// What was folded since the last commit.
    pub(super) batch: AnalysisBatch,
    pub(super) windows: Windows,
    pub(super) alerts: Alerts,
    pub(super) anomalies: Anomalies,
    /// The segments of merchants; None if no window and no rule goes by them.
    pub(super) segments: Option<Adopted>,
    greatest: Option<(f64, usize)>,
}

/// The segments by which transactions go.
pub(super) struct Adopted {
    /// The run that assigned them; None if merchants have none.
    pub(super) run: Option<SegmentRun>,
    pub(super) segments: Segments,
}

/// A label that is due.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) label: Label,
    pub(super) known: Known,
    /// Whether the transaction has other labels, of which some may have been applied.
    pub(super) has_others: bool,
}

impl Fold {
    pub(super) fn new(
        state: State,
        lease: &Lease,
        waiting: WaitingLabels,
        relabelled: HashSet<String>,
        (scorer, shadow): (Scorer, Option<Scorer>),
        explain: f64,
    ) -> Self {
        let mut fold = Self {
            state,
            pending: Pending::default(),
            held_until: None,
            relabelled,
            time: lease.time,
            late: lease.late,
            batch: AnalysisBatch::default(),
            windows: Windows::default(),
            alerts: Alerts::default(),
            anomalies: Anomalies::default(),
            segments: None,
            greatest: None,
            scorer: Scorer::Rules,
            shadow: None,
            explain,
            floors: BTreeMap::new(),
        };
        fold.set_scorers(scorer, shadow);
        fold.hold(None, waiting);
        fold
    }

    /// Returns the batch, with the position that was reached, and begins the next one.
    pub(super) fn take_batch(&mut self) -> AnalysisBatch {
        let next = self.next_batch();
        let mut batch = std::mem::replace(&mut self.batch, next);
        (batch.seq, batch.time, batch.late) = (self.state.seq() as i64, self.time, self.late);
        self.greatest = None;
        batch.windows = self.windows.take_batch(batch.seq, self.time);
        batch.anomalies = self.anomalies.take_batch(self.time, clock());
        batch.alerts = self.alerts.take_batch();
        batch
    }

    /// Lets rules know the time.
    pub(super) fn tick(&mut self) {
        let seq = self.state.seq();
        self.alerts.tick(seq);
        self.alerts.read(self.anomalies.tick(clock()), seq);
    }

    /// Returns whether a tick has changed something that is not written.
    pub(super) fn has_ticked(&self) -> bool {
        self.alerts.has_ticked() || self.anomalies.has_readings()
    }

    /// Returns up to `most` bytes of the state, of parts that were not written for `age` events and labels.
    pub(super) fn snapshot(&mut self, most: usize, age: u64) -> Snapshot {
        let taken = self.state.snapshot_of_old(most, age);
        Snapshot {
            seq: taken.seq as i64,
            changed: taken.written.into_iter().map(|(id, data)| (id.place(), data)).collect(),
            unchanged: taken.unchanged.into_iter().map(BucketId::place).collect(),
        }
    }

    /// Returns the name of the model that scores.
    pub(super) fn model(&self) -> &str {
        self.scorer.name()
    }

    /// Scores with other models from the next event on. The batch must be empty.
    pub(super) fn set_scorers(&mut self, scorer: Scorer, shadow: Option<Scorer>) {
        self.state.set_maturity(scorer.maturity().unwrap_or(Settings::default().maturity));
        (self.scorer, self.shadow) = (scorer, shadow);
        self.batch = self.next_batch();
    }

    fn next_batch(&self) -> AnalysisBatch {
        // It will probably be about as large as the one before.
        AnalysisBatch::new(self.scorer.name(), self.shadow.as_ref().map(Scorer::name), self.batch.scores.len())
    }

    /// Notes the least score among the top cards of days that have all of them.
    pub(super) fn set_floors(&mut self, floors: BTreeMap<i32, f64>) {
        self.floors.extend(floors);
        while self.floors.len() > MAX_FLOORS {
            self.floors.pop_first();
        }
    }

    /// Returns the greatest score of the batch, and the id of its transaction.
    pub(super) fn greatest(&self) -> Option<(f64, String)> {
        self.greatest.map(|(score, at)| (score, self.batch.scores[at].id.to_string()))
    }

    /// Returns what was forgotten since the state was restored.
    pub(super) fn forgotten(&self) -> Forgotten {
        let Counts { evicted_cards, evicted_merchants, evicted_terminals, .. } = self.state.counts();
        Forgotten {
            cards: evicted_cards as i64,
            merchants: evicted_merchants as i64,
            terminals: evicted_terminals as i64,
            labels: self.pending.forgotten() as i64,
            alert_keys: self.alerts.forgotten() as i64,
        }
    }

    /// Adds labels that were received. `context` is what the tables have of their transactions.
    pub(super) fn receive(&mut self, labels: Vec<ReceivedLabel>, context: &Context) {
        let labelled: HashSet<&str> = context.labels.iter().map(|label| label.transaction_id.as_str()).collect();
        for received in labels {
            let (partition, to) = (received.partition, received.offset + 1);
            let label = received.label.clone();
            let key = Label { is_fraud: false, ..label.clone() };
            let is_new = !context.labels.contains(&key) && self.batch.receive(received);
            let counted = self.batch.labels.to(partition, to);
            if is_new {
                counted.accepted += 1;
            } else {
                counted.duplicate += 1;
                continue;
            }
            let id = label.transaction_id.as_str();
            if labelled.contains(id) || self.batch.labels_of(id) > 1 {
                self.relabelled.insert(id.to_owned());
            }
            let known = self.batch.find(id).or_else(|| context.known.get(id).copied());
            if self.held_until.is_none_or(|until| label.labelled_at <= until) {
                self.pending.add(label, known);
            }
        }
    }

    /// Holds labels that are not due, which the table has, after those up to a time that are held; None replaces all.
    pub(super) fn hold(&mut self, after: Option<Micros>, WaitingLabels { labels, until }: WaitingLabels) {
        if after.is_none() {
            self.pending = Pending::default();
        }
        self.held_until = until;
        for (label, known) in labels {
            self.pending.add(label, known);
        }
    }

    /// Notes that these transactions may have several labels.
    pub(super) fn relabel(&mut self, ids: impl Iterator<Item = String>) {
        self.relabelled.extend(ids);
    }

    /// Returns whether more labels are held than memory allows.
    pub(super) fn has_too_many_labels(&self) -> bool {
        self.pending.len() as i64 > 2 * super::MAX_LABELS
    }

    /// Returns the time after which labels are not held although they may be due before an event of this time.
    pub(super) fn lacks_labels(&self, time: Micros) -> Option<Micros> {
        self.held_until.filter(|until| self.now(time) > *until)
    }

    /// Returns the time that is reached with an event.
    fn now(&self, time: Micros) -> Micros {
        self.time.map_or(time, |reached| reached.max(time))
    }

    /// Returns the next label that is due before an event of this time.
    pub(super) fn due(&mut self, time: Micros) -> Option<Due> {
        let (label, known) = self.pending.next(self.now(time))?;
        Some(self.of(label, known))
    }

    fn of(&self, label: Label, known: Known) -> Due {
        let has_others = self.relabelled.contains(&label.transaction_id);
        Due { label, known, has_others }
    }

    /// Takes an event in. Returns its labels that were due before.
    pub(super) fn event(
        &mut self,
        id: Box<str>,
        (seen, facts): (&Seen, Option<&mut Facts>),
        time: Micros,
        place: (i32, i64),
    ) -> Vec<Due> {
        let reached = self.time;
        self.late += i64::from(reached.is_some_and(|reached| time < reached));
        self.time = reached.max(Some(time));
        let scored = self.state.score(seen);
        let score = self.scorer.score(&scored);
        let carried = scored.carried;
        let some = |value: f32| (!value.is_nan()).then_some(value);
        if let Some(facts) = facts {
            if let Some(adopted) = &self.segments {
                facts.assign(&adopted.segments);
            }
            self.windows.add(scored.seq, (time, reached), facts, score);
            let (seq, id, ratio) = (scored.seq, &*id, some(carried.ratio));
            self.alerts.add(&ScoredEvent { seq, id, time, reached, score, ratio }, facts);
            self.alerts.read(self.anomalies.add(facts, time), seq);
        }
        let known = Known { time, terminal: seen.terminal.map(|key| key as i64), ratio: some(carried.ratio) };
        if self.greatest.is_none_or(|(greatest, _)| score > greatest) {
            self.greatest = Some((score, self.batch.scores.len()));
        }
        let is_high = score >= self.explain;
        let shadow = self.shadow.as_ref().map(|shadow| shadow.score(&scored));
        let card = seen.card().map(|key| key as i64);
        let tallied =
            Tallied { seq: scored.seq as i64, id: &id, time, card, score, shadow, is_high, features: &scored.features };
        self.batch.tally.add(&tallied, &self.floors);
        let overdue = if self.pending.is_empty() { Vec::new() } else { self.pending.saw(&id, known) };
        self.batch.push(ScoreRow {
            seq: scored.seq as i64,
            id,
            score: Some(score),
            known,
            level: some(carried.level),
            tested: i16::from(carried.tested),
            partition: place.0,
            offset: place.1,
            card,
            reasons: is_high.then(|| self.scorer.reasons(&scored.features, time)),
            shadow,
        });
        overdue.into_iter().map(|label| self.of(label, known)).collect()
    }

    /// Applies the first label of a transaction.
    pub(super) fn apply(&mut self, due: Due) {
        self.state.apply_label(&folded(due.known, due.label.is_fraud));
        self.note(due);
    }

    /// Applies a further label of a transaction. `labels` are the last ones of the terminal's transactions, from before
    /// this label.
    pub(super) fn correct(&mut self, due: Due, labels: Vec<(Label, Known)>) {
        let label = folded(due.known, due.label.is_fraud);
        self.state.apply_correction(&label, frauds(&due.label, due.known, labels));
        self.note(due);
    }

    fn note(&mut self, due: Due) {
        let seq = self.state.seq() as i64;
        self.batch.applied.push(AppliedLabel { label: due.label, seq, terminal: due.known.terminal });
    }
}

/// Converts a label for the state.
pub(super) fn folded(known: Known, fraud: bool) -> FoldedLabel {
    let terminal = known.terminal.map(|key| key as u64);
    FoldedLabel { event_time: known.time, terminal, ratio: known.ratio.unwrap_or(f32::NAN), fraud }
}

/// Returns the frauds of a terminal that are known with a label, in the order of their labels' transactions. Of several
/// labels of a transaction, the one with the latest time counts.
pub(super) fn frauds(
    label: &Label,
    known: Known,
    mut labels: Vec<(Label, Known)>,
) -> impl Iterator<Item = FoldedLabel> {
    match labels.iter_mut().find(|(other, _)| other.transaction_id == label.transaction_id) {
        Some((other, _)) if other.labelled_at <= label.labelled_at => *other = label.clone(),
        Some(_) => {}
        None => labels.push((label.clone(), known)),
    }
    labels.into_iter().filter(|(label, _)| label.is_fraud).map(|(_, known)| folded(known, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: &str, at: i64) -> Label {
        Label { labelled_at: Micros(at), transaction_id: id.into(), source: String::new(), is_fraud: true }
    }

    #[test]
    fn labels_after_those_that_are_held_stay_in_the_table() {
        let lease = Lease { epoch: 1, batch: 0, seq: 0, time: Some(Micros(4)), late: 0 };
        let waiting = WaitingLabels { labels: vec![(label("a", 10), None)], until: Some(Micros(10)) };
        let state = State::new(&Settings::default());
        let mut fold = Fold::new(state, &lease, waiting, HashSet::new(), (Scorer::Rules, None), 0.2);
        let received =
            [("b", 5), ("c", 15)].map(|(id, at)| ReceivedLabel { label: label(id, at), partition: 0, offset: at });
        fold.receive(received.into(), &Context::default());
        assert_eq!((fold.batch.received.len(), fold.pending.len()), (2, 2));
        assert_eq!((fold.lacks_labels(Micros(10)), fold.lacks_labels(Micros(11))), (None, Some(Micros(10))));
        fold.hold(Some(Micros(10)), WaitingLabels { labels: vec![(label("c", 15), None)], until: None });
        assert_eq!((fold.pending.len(), fold.lacks_labels(Micros(99))), (3, None));
        fold.hold(None, WaitingLabels { labels: vec![(label("a", 10), None)], until: Some(Micros(10)) });
        assert_eq!((fold.pending.len(), fold.lacks_labels(Micros(99))), (1, Some(Micros(10))));
    }
}
