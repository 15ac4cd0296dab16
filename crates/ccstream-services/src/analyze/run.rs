//! This module runs the loop of the analyzer: it takes the lease, reads both topics, folds events and labels, and
//! commits.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::fold::{Due, Fold};
use super::labels::{Labels, Received};
use super::lanes::{Lanes, Turn, What};
use super::report::{AnalyzeEvent, AnalyzeReport, AnalyzeSummary};
use super::restore;
use super::scorer::{RULES, Scorer, unusable};
use crate::consume::assigned::{Assigned, Change, Gap};
use crate::consume::{ConsumeEvent, Waiting, Warning, WarningKind};
use crate::error::{Error, Result};
use crate::postgres::analysis::{
    AnalysisBatch, AnalysisStart, AnalysisStore, Context, Known, Lease, ModelFile, Written,
};
use crate::postgres::reconnecting::Reconnecting;
use crate::report::Observers;
use ccstream_core::event::Micros;
use ccstream_core::settings::AnalyzerConfig;

/// Longest wait before the loop checks everything again.
const TICK: Duration = Duration::from_millis(50);
/// Interval at which the lease is renewed while nothing is committed.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// Interval at which a standby tries to take the lease.
const CLAIM_EVERY: Duration = Duration::from_millis(500);
/// Minimum time between two transactions that write parts of the state, and the maximum size of those parts.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(250);
const SNAPSHOT_BYTES: usize = 1 << 20;
/// Maximum number of events between two searches for duplicates.
const CHUNK: usize = 8_192;

/// Holds what a run needs while it has the lease.
struct Held {
    epoch: i64,
    /// Number of batches that were committed.
    number: i64,
    fold: Fold,
    /// The name of the model that was active at the last commit.
    active: String,
    /// The greatest id of all scored transactions.
    greatest_id: String,
    /// The ids of transactions that were committed since duplicates were last searched for.
    committed: Vec<HashMap<Box<str>, Known>>,
    /// Whether the labels were read to their end, so that events can be taken in.
    has_labels: bool,
    /// When the batch received its first message.
    opened: Option<Instant>,
    /// When the lease was last renewed.
    renewed: Instant,
    /// When parts of the state are written next.
    snapshot_due: Instant,
}

/// Runs the loop.
pub(super) struct Run<'r, 'o> {
    config: &'r AnalyzerConfig,
    stop: &'r CancellationToken,
    observers: &'r mut Observers<'o, AnalyzeEvent>,
    database: Reconnecting<AnalysisStore>,
    lanes: Lanes,
    labels: Labels,
    held: Option<Held>,
    /// The model of the settings. It becomes active when the run first takes the lease.
    model: Option<ModelFile>,
    is_standby: bool,
    /// Whether a batch was abandoned, because the run was stopped while PostgreSQL was unavailable.
    is_abandoned: bool,
    since: Option<Instant>,
    summary: &'r mut AnalyzeSummary,
}

impl<'r, 'o> Run<'r, 'o> {
    pub(super) fn new(
        config: &'r AnalyzerConfig,
        stop: &'r CancellationToken,
        observers: &'r mut Observers<'o, AnalyzeEvent>,
        model: Option<ModelFile>,
        summary: &'r mut AnalyzeSummary,
    ) -> Result<Self> {
        Ok(Self {
            database: Reconnecting::new(&config.database_url, stop.clone())?,
            lanes: Lanes::new(config)?,
            labels: Labels::new(config)?,
            config,
            stop,
            observers,
            held: None,
            model,
            is_standby: false,
            is_abandoned: false,
            since: None,
            summary,
        })
    }

    /// Runs until a stop, or until the end of both topics.
    pub(super) fn run(mut self) -> Result<()> {
        let url = self.config.database_url.clone();
        let Some(schema) = self.ask(async |store| store.prepare(&url).await)? else { return Ok(()) };
        self.observers.report(&AnalyzeEvent::ConnectedToPostgres(schema));
        let ended = self.turn_by_turn();
        // What was taken in is committed even if the run ends with an error of Kafka. After one of PostgreSQL, `ask` has
        // discarded it.
        let committed = self.finish();
        if let Some(since) = self.since {
            self.summary.elapsed = since.elapsed();
        }
        self.summary.drained = ended.is_ok() && *committed.as_ref().unwrap_or(&false);
        ended.and(committed.map(drop))
    }

    fn turn_by_turn(&mut self) -> Result<()> {
        while !self.stop.is_cancelled() {
            if self.held.is_none() && !self.claim()? {
                thread::park_timeout(CLAIM_EVERY);
                continue;
            }
            self.look()?;
            if !self.begin()? {
                thread::park_timeout(TICK);
                continue;
            }
            let has_read = self.read_labels()? | self.read_events()?;
            if self.is_due() {
                self.commit()?;
            }
            if self.has_caught_up() {
                return Ok(());
            }
            if !has_read {
                self.renew()?;
                thread::park_timeout(self.wait());
            }
        }
        Ok(())
    }

    /// Commits what was folded, and releases the lease. Returns whether everything that was folded is committed.
    fn finish(&mut self) -> Result<bool> {
        self.commit()?;
        if self.is_abandoned {
            return Ok(false);
        }
        self.write_state()?;
        let Some(held) = self.held.take() else { return Ok(true) };
        self.database.wait_at_most(self.config.drain_limit);
        self.ask(async |store| store.release(held.epoch).await)?;
        Ok(true)
    }

    /// Writes all parts of the state that have changed, so that the next run can begin at once.
    fn write_state(&mut self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < self.config.drain_limit {
            let Some(held) = &mut self.held else { break };
            let batch = held.fold.take_batch(SNAPSHOT_BYTES);
            if batch.state.is_empty() || !self.write(&batch)? {
                break;
            }
        }
        Ok(())
    }

    /// Works with the database, and reports when it is not available. Returns None after a stop.
    ///
    /// Errors: PostgreSQL refuses the work. What was taken in and is not committed is then discarded, because places in
    /// the order may be missing from it.
    fn ask<T>(&mut self, work: impl AsyncFnMut(&mut AnalysisStore) -> Result<T>) -> Result<Option<T>> {
        let Self { database, observers, held, .. } = self;
        let mut last = String::new();
        let failed = |error: &Error| {
            let text = error.causes();
            if last != text {
                observers.report(&AnalyzeEvent::Waiting(Waiting::for_postgres(error)));
                last = text;
            }
        };
        database.reporting(failed, work).inspect_err(|_| *held = None)
    }

    /// Takes the lease and restores the state. Returns false if another run has the lease, or after a stop.
    fn claim(&mut self) -> Result<bool> {
        let Some(claimed) = self.ask(async |store| store.claim().await)? else { return Ok(false) };
        let Some(lease) = claimed else {
            if !std::mem::replace(&mut self.is_standby, true) {
                self.observers.report(&AnalyzeEvent::Standby);
            }
            return Ok(false);
        };
        self.is_standby = false;
        self.since.get_or_insert_with(Instant::now);
        if let Some(model) = self.model.take() {
            let Some(Some(_)) = self.ask(async |store| store.activate(lease.epoch, &model).await)? else {
                self.model = Some(model);
                return Ok(false);
            };
        }
        let Some((active, scorer)) = self.active_scorer()? else { return Ok(false) };
        self.observers.report(&AnalyzeEvent::Leased { seq: lease.seq, model: scorer.name().to_owned() });
        let Some(held) = self.restore(&lease, active, scorer)? else { return Ok(false) };
        self.held = Some(held);
        Ok(true)
    }

    /// Returns the name of the active model and what scores by it. These are the rules if there is none, or if it cannot
    /// be used. Returns None after a stop.
    fn active_scorer(&mut self) -> Result<Option<(String, Scorer)>> {
        let Some(active) = self.ask(async |store| store.active_model().await)? else { return Ok(None) };
        let Some((name, text)) = active else { return Ok(Some((RULES.to_owned(), Scorer::Rules))) };
        let scorer = Scorer::of(name.clone(), &text).unwrap_or_else(|error| {
            self.warn(Some(Warning::new(WarningKind::ModelUnusable, unusable(&name, &error))));
            Scorer::Rules
        });
        Ok(Some((name, scorer)))
    }

    fn restore(&mut self, lease: &Lease, active: String, scorer: Scorer) -> Result<Option<Held>> {
        let began = Instant::now();
        let Some(parts) = self.ask(async |store| store.state().await)? else { return Ok(None) };
        let config = self.config;
        let mut state = restore::written(config, &parts);
        let after = state.resumes_after() as i64;
        if !self.await_orders(lease, after)? {
            return Ok(None);
        }
        // A part at a time, and the lease is renewed with each: it would expire while a large state is restored, and two
        // runs would take it from each other forever.
        for (after, to) in restore::parts(after, lease.seq) {
            match self.ask(async |store| restore::read(store, lease.epoch, after, to).await)? {
                Some(Some(read)) => read.fold(&mut state),
                Some(None) => {
                    self.lose();
                    return Ok(None);
                }
                None => return Ok(None),
            }
        }
        let folded = lease.seq - after;
        let Some(waiting) = self.ask(async |store| store.waiting_labels(None, super::MAX_LABELS).await)? else {
            return Ok(None);
        };
        let Some(relabelled) = self.ask(async |store| store.relabelled().await)? else { return Ok(None) };
        let Some(greatest_id) = self.ask(async |store| store.greatest_id().await)? else { return Ok(None) };
        if lease.seq > 0 {
            self.observers.report(&AnalyzeEvent::Restored { folded, took: began.elapsed() });
        }
        Ok(Some(Held {
            epoch: lease.epoch,
            number: lease.batch,
            active,
            fold: Fold::new(state, lease, waiting, relabelled, scorer),
            greatest_id,
            committed: Vec::new(),
            has_labels: false,
            opened: None,
            renewed: Instant::now(),
            snapshot_due: Instant::now(),
        }))
    }

    /// Waits until the consumer has stored the transactions that must be folded again. Returns false after a stop, or
    /// if another run has taken the lease.
    fn await_orders(&mut self, lease: &Lease, after: i64) -> Result<bool> {
        let mut has_warned = false;
        loop {
            let Some(missing) = self.ask(async |store| store.not_stored(after).await)? else { return Ok(false) };
            if missing == 0 {
                return Ok(true);
            }
            if !std::mem::replace(&mut has_warned, true) {
                let text = format!(
                    "{missing} scored transactions are not in the table orders, from which the state is restored; \
                     waiting until the consumer has stored them. Start the consumer if it is not running"
                );
                self.warn(Some(Warning::new(WarningKind::OrdersBehind, text)));
            }
            if self.ask(async |store| store.renew(lease.epoch).await)? != Some(true) {
                return Ok(false);
            }
            thread::park_timeout(CLAIM_EVERY);
        }
    }

    /// Discards everything that was read and not committed, because another run has the lease.
    fn lose(&mut self) {
        self.held = None;
        self.lanes.discard();
        self.lanes.topic.forget();
        self.labels.topic.forget();
        self.observers.report(&AnalyzeEvent::LostLease);
    }

    /// Checks whether the topics are still the same.
    fn look(&mut self) -> Result<()> {
        let change = self.lanes.topic.look()?;
        self.take_change(change, Topic::Events);
        let change = self.labels.topic.look()?;
        self.take_change(change, Topic::Labels);
        Ok(())
    }

    /// Acts on a change of a topic.
    fn take_change(&mut self, change: Change, topic: Topic) {
        match change {
            Change::Missing(warning) => {
                self.labels.is_missing |= topic == Topic::Labels;
                // Without labels there are scores; without events there is nothing to do.
                if let Some(warning) = warning.filter(|_| topic == Topic::Events) {
                    self.observers.report(&AnalyzeEvent::Warning(warning));
                }
            }
            // The batch was folded and will be committed: it is not lost with the topic.
            Change::Reset if topic == Topic::Events => self.lanes.discard(),
            Change::Reset => {
                self.labels.is_missing = false;
                // Events wait for the labels of the new topic or partitions, as at the start.
                if let Some(held) = &mut self.held {
                    held.has_labels = false;
                }
            }
            Change::Skipped(gaps) => gaps.into_iter().for_each(|gap| self.skip(gap, topic)),
            Change::Outage(ConsumeEvent::Waiting(waiting)) => {
                self.observers.report(&AnalyzeEvent::Waiting(waiting));
            }
            Change::Outage(ConsumeEvent::Warning(warning)) => {
                self.observers.report(&AnalyzeEvent::Warning(warning));
            }
            Change::None | Change::Outage(_) => {}
        }
    }

    fn skip(&mut self, gap: Gap, topic: Topic) {
        match (topic, &mut self.held) {
            // Events of the partition may have been read ahead. The position must not pass them.
            (Topic::Events, _) => self.lanes.skip(&gap),
            (Topic::Labels, Some(held)) => held.fold.batch.labels.to(gap.partition, gap.to).missing += gap.missing,
            (Topic::Labels, None) => {}
        }
        self.warn(gap.warning);
    }

    /// Assigns the partitions of both topics, where they are not assigned. Returns whether those of the events are.
    fn begin(&mut self) -> Result<bool> {
        if self.labels.topic.next.is_empty() || self.lanes.topic.next.is_empty() {
            // The batch has offsets of the partitions as they were. Written later, they would be taken for those of a
            // topic that was recreated, and its messages before them would be lost.
            self.commit()?;
        }
        let Some(held) = &self.held else { return Ok(false) };
        let epoch = held.epoch;
        if self.labels.topic.next.is_empty() {
            match begin(&mut self.database, &mut self.labels.topic, epoch)? {
                Begun::Yes(warning) => {
                    self.labels.is_missing = false;
                    self.warn(warning);
                }
                Begun::NotYet if self.labels.is_missing => {}
                Begun::NotYet => return Ok(false),
                Begun::Lost => {
                    self.lose();
                    return Ok(false);
                }
            }
        }
        if self.lanes.topic.next.is_empty() {
            match begin(&mut self.database, &mut self.lanes.topic, epoch)? {
                Begun::Yes(warning) => {
                    self.lanes.begin()?;
                    self.warn(warning);
                    self.observers.report(&AnalyzeEvent::Reading);
                }
                Begun::NotYet => return Ok(false),
                Begun::Lost => {
                    self.lose();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn warn(&mut self, warning: Option<Warning>) {
        if let Some(warning) = warning {
            self.observers.report(&AnalyzeEvent::Warning(warning));
        }
    }

    /// Receives the labels that have arrived. Returns whether there were any.
    fn read_labels(&mut self) -> Result<bool> {
        let mut messages = Vec::new();
        let mut change = Change::None;
        if !self.labels.topic.next.is_empty() {
            change = self.labels.fill(&mut messages)?;
        }
        let has_read = self.take_labels(messages)?;
        // The messages came before the change.
        self.take_change(change, Topic::Labels);
        Ok(has_read)
    }

    fn take_labels(&mut self, messages: Vec<Received>) -> Result<bool> {
        let is_at_end = self.labels.is_at_end();
        let ids: Vec<String> = messages
            .iter()
            .filter_map(|message| match message {
                Received::Label(received) => Some(received.label.transaction_id.clone()),
                Received::Invalid { .. } => None,
            })
            .collect();
        let mut context = Context::default();
        if !ids.is_empty() {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let Some(found) = self.ask(async |store| store.context(&ids).await)? else { return Ok(false) };
            context = found;
        }
        let Some(held) = &mut self.held else { return Ok(false) };
        held.has_labels |= is_at_end;
        if messages.is_empty() {
            return Ok(false);
        }
        let mut labels = Vec::new();
        for message in messages {
            match message {
                Received::Label(received) => labels.push(received),
                Received::Invalid { partition, offset, why } => {
                    tracing::debug!(partition, offset, why, "A label is invalid.");
                    held.fold.batch.labels.to(partition, offset + 1).rejected += 1;
                }
            }
        }
        held.fold.receive(labels, &context);
        if held.fold.has_too_many_labels() {
            self.hold_labels(None)?;
        }
        Ok(true)
    }

    /// Folds the events whose turn it is. Returns whether there were any.
    fn read_events(&mut self) -> Result<bool> {
        if !self.held.as_ref().is_some_and(|held| held.has_labels) {
            return Ok(false);
        }
        let change = self.lanes.fill()?;
        self.take_change(change, Topic::Events);
        let mut turns = Vec::new();
        while turns.len() < CHUNK.min(self.config.batch_rows) {
            let Some(turn) = self.lanes.next() else { break };
            turns.push(turn);
        }
        if turns.is_empty() {
            return Ok(false);
        }
        let Some(scored) = self.find_scored(&turns)? else { return Ok(false) };
        for turn in turns {
            self.take(turn, &scored)?;
            if self.held.is_none() {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Returns the ids of events that were scored in an earlier batch.
    fn find_scored(&mut self, turns: &[Turn]) -> Result<Option<HashSet<String>>> {
        let Some(held) = &mut self.held else { return Ok(None) };
        held.committed.clear();
        let id = |turn: &Turn| turn.incoming.event().map(ToOwned::to_owned);
        // A greater id than any before is new.
        let may_be_there = |id: &String| *id <= held.greatest_id;
        let ids: Vec<String> = turns.iter().filter_map(id).filter(may_be_there).collect();
        if ids.is_empty() {
            return Ok(Some(HashSet::new()));
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.ask(async |store| store.find_scored(&ids).await)
    }

    /// Takes one message in, after the labels that are due before it.
    fn take(&mut self, turn: Turn, scored: &HashSet<String>) -> Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let Turn { partition, time, incoming } = turn;
        let to = incoming.offset + 1;
        let (id, seen) = match incoming.what {
            What::Event(id, seen) => (id, seen),
            What::Invalid => {
                held.fold.batch.events.to(partition, to).rejected += 1;
                return Ok(());
            }
            What::Gap { missing } => {
                held.fold.batch.events.to(partition, to).missing += missing;
                return Ok(());
            }
        };
        let is_committed = || held.committed.iter().any(|ids| ids.contains_key(&id));
        if scored.contains(&*id) || held.fold.batch.find(&id).is_some() || is_committed() {
            held.fold.batch.events.to(partition, to).duplicate += 1;
            return Ok(());
        }
        while let Some(after) = self.held.as_ref().and_then(|held| held.fold.lacks_labels(time)) {
            self.hold_labels(Some(after))?;
        }
        while let Some(due) = self.held.as_mut().and_then(|held| held.fold.due(time)) {
            self.apply(due)?;
            // Any number of labels may be due before one event.
            if self.is_full() {
                self.commit()?;
            }
        }
        let Some(held) = &mut self.held else { return Ok(()) };
        if *id > *held.greatest_id {
            held.greatest_id = id.to_string();
        }
        let overdue = held.fold.event(id, &seen, time, (partition, incoming.offset));
        held.fold.batch.events.to(partition, to).accepted += 1;
        for due in overdue {
            self.apply(due)?;
        }
        Ok(())
    }

    /// Holds the first labels in memory of those that are not due, or of those after a time. The others stay in the table
    /// until the events come near their time.
    fn hold_labels(&mut self, after: Option<Micros>) -> Result<()> {
        // Labels of the batch are read from the table, too.
        self.commit()?;
        if self.held.is_none() {
            return Ok(());
        }
        let found = self.ask(async |store| store.waiting_labels(after, super::MAX_LABELS).await)?;
        match (found, &mut self.held) {
            (Some(waiting), Some(held)) => held.fold.hold(after, waiting),
            // The run is stopping, and a label that is due must keep its place.
            (None, held) => *held = None,
            (Some(_), None) => {}
        }
        Ok(())
    }

    fn apply(&mut self, due: Due) -> Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let terminal = match due.known.terminal {
            Some(terminal) if due.has_others => terminal,
            _ => {
                held.fold.apply(due);
                return Ok(());
            }
        };
        // Earlier labels are read from the table, so they must be committed first.
        self.commit()?;
        let Some(held) = &self.held else { return Ok(()) };
        let (before, now) = (held.fold.state.seq() as i64 + 1, due.label.labelled_at);
        let Some(labels) = self.ask(async |store| store.labels_of(terminal, before, now).await)? else {
            // The run is stopping. Nothing that follows this label may be folded without it.
            self.held = None;
            return Ok(());
        };
        if let Some(held) = &mut self.held {
            if labels.iter().any(|(other, _)| other.transaction_id == due.label.transaction_id) {
                held.fold.correct(due, labels);
            } else {
                held.fold.apply(due);
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.fold.batch.len() >= self.config.batch_rows)
    }

    /// Returns whether the batch has to be committed: if it is full, or if it got its first message long enough ago.
    fn is_due(&mut self) -> bool {
        let is_full = self.is_full();
        let Some(held) = self.held.as_mut().filter(|held| !held.fold.batch.is_empty()) else { return false };
        is_full || held.opened.get_or_insert_with(Instant::now).elapsed() >= self.config.linger
    }

    fn has_caught_up(&self) -> bool {
        self.config.until_caught_up
            && self.lanes.is_at_end()
            && self.labels.is_at_end()
            && self.held.as_ref().is_some_and(|held| held.has_labels)
    }

    /// Commits the batch. If that is not possible before the run stops waiting, the lease is lost.
    fn commit(&mut self) -> Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        held.opened = None;
        if held.fold.batch.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let greatest = held.fold.greatest();
        let writes_state = held.snapshot_due <= began;
        let mut batch = held.fold.take_batch(if writes_state { SNAPSHOT_BYTES } else { 0 });
        if !self.write(&batch)? {
            return Ok(());
        }
        if let Some(held) = &mut self.held {
            held.committed.push(batch.take_ids());
            if writes_state {
                held.snapshot_due = Instant::now() + SNAPSHOT_EVERY;
            }
        }
        let (events, labels) = (batch.events.total(), batch.labels.total());
        self.summary.events += events;
        self.summary.labels += labels;
        self.summary.labelled += batch.applied.len() as i64;
        self.summary.late = batch.late;
        let report = AnalyzeReport {
            counted: events,
            labelled: batch.applied.len() as i64,
            greatest,
            summary: self.summary.clone(),
            seq: batch.seq,
            lag: self.lanes.lag(),
            took: began.elapsed(),
        };
        self.observers.report(&AnalyzeEvent::Batch(report));
        Ok(())
    }

    /// Writes a batch. Returns false if the lease is lost, or if the run stops waiting.
    fn write(&mut self, batch: &AnalysisBatch) -> Result<bool> {
        let Some(held) = &self.held else { return Ok(false) };
        let (epoch, number) = (held.epoch, held.number);
        let topics = (self.config.kafka.topic.clone(), self.config.labels_topic.clone());
        // After a stop, a session that waits for PostgreSQL would be abandoned at once, even while it commits.
        self.database.wait_at_most(self.config.drain_limit);
        let written = self.ask(async |store| store.write(epoch, number, (&topics.0, &topics.1), batch).await)?;
        self.database.wait_at_most(Duration::ZERO);
        let active_model = match written {
            Some(Written::Committed { active_model }) => active_model,
            Some(Written::Lost) => {
                self.lose();
                return Ok(false);
            }
            None => {
                self.held = None;
                self.is_abandoned = true;
                return Ok(false);
            }
        };
        let Some(held) = &mut self.held else { return Ok(false) };
        (held.number, held.renewed) = (number + 1, Instant::now());
        if active_model.as_deref().unwrap_or(RULES) != held.active
            && let Some((active, scorer)) = self.active_scorer()?
            && let Some(held) = &mut self.held
        {
            held.active = active;
            if scorer.name() != held.fold.model() {
                self.observers.report(&AnalyzeEvent::Model { name: scorer.name().to_owned() });
                held.fold.set_scorer(scorer);
            }
        }
        Ok(true)
    }

    /// Renews the lease if nothing was committed for a while.
    fn renew(&mut self) -> Result<()> {
        let Some(held) = self.held.as_mut().filter(|held| held.renewed.elapsed() >= RENEW_EVERY) else {
            return Ok(());
        };
        held.renewed = Instant::now();
        let epoch = held.epoch;
        if self.ask(async |store| store.renew(epoch).await)? == Some(false) {
            self.lose();
        }
        Ok(())
    }

    /// Returns how long the loop may sleep, unless a message wakes it.
    fn wait(&self) -> Duration {
        let opened = self.held.as_ref().and_then(|held| held.opened);
        let linger = opened.map(|opened| self.config.linger.saturating_sub(opened.elapsed()));
        [linger, self.lanes.wait()].into_iter().flatten().fold(TICK, Duration::min)
    }
}

/// Names the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Events,
    Labels,
}

/// Tells whether partitions were assigned.
enum Begun {
    Yes(Option<Warning>),
    NotYet,
    Lost,
}

/// Assigns a topic's partitions at the offsets in PostgreSQL.
fn begin(database: &mut Reconnecting<AnalysisStore>, topic: &mut Assigned, epoch: i64) -> Result<Begun> {
    let Some((partitions, origin, shorter)) = topic.origin() else {
        // Polling serves librdkafka's callbacks, and discards messages of an earlier assignment.
        let _ = topic.poll(Duration::ZERO);
        return Ok(Begun::NotYet);
    };
    let name = topic.config.kafka.topic.clone();
    let start = database.by(async |store| store.start(epoch, &name, &partitions, &origin, shorter).await)?;
    match start {
        None => Ok(Begun::NotYet),
        Some(None) => Ok(Begun::Lost),
        Some(Some(AnalysisStart { offsets, restarted })) => Ok(Begun::Yes(topic.begin(offsets, &restarted, false)?)),
    }
}
