//! This part of the loop decides when a batch is committed, and commits it.

use std::time::{Duration, Instant};

use super::{Done, LastWaiting, Run, Sent};
use crate::analyze::report::{AnalyzeEvent, AnalyzeReport};
use crate::error::Result;
use crate::postgres::analysis::{AnalysisBatch, AnalysisStore, Written};
use ccstream_analysis::alerts::Change;

/// How much longer than usual a batch waits until it is full while the run is behind.
const LONGER: Duration = Duration::from_millis(500);

impl Run<'_, '_> {
    pub(super) fn is_full(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.fold.batch.len() >= self.config.batch_rows)
    }

    /// Returns whether the batch has to be committed: if it is full, or if it got its first message long enough ago. While
    /// the run is behind by more than a batch, nobody waits for the first message, and larger batches cost less.
    pub(super) fn is_due(&mut self) -> bool {
        let is_full = self.is_full();
        let Some(held) = self.held.as_mut().filter(|held| !held.fold.batch.is_empty()) else { return false };
        let waited = held.opened.get_or_insert_with(Instant::now).elapsed();
        let Some(longer) = waited.checked_sub(self.config.linger) else { return is_full };
        // Until the batch before is committed, this one grows.
        let is_enough = longer >= LONGER || self.lanes.lag() <= self.config.batch_rows as i64;
        is_full || is_enough && self.database.is_free()
    }

    /// Begins to commit the batch, once the batch before it is committed. If that is not possible before the run stops
    /// waiting, the lease is lost.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.settle()?;
        let Some(held) = &mut self.held else { return Ok(()) };
        held.opened = None;
        if held.fold.batch.is_empty() {
            return Ok(());
        }
        let (greatest, forgotten) = (held.fold.greatest(), held.fold.forgotten());
        let mut batch = held.fold.take_batch();
        held.committed.push(batch.take_ids());
        held.sent = Some(Sent { greatest, forgotten });
        let is_outdated = std::mem::take(&mut held.is_outdated);
        self.take_snapshot();
        self.write(batch)?;
        if is_outdated {
            self.change_models()?;
        }
        Ok(())
    }

    /// Begins to write a batch.
    pub(super) fn write(&mut self, batch: AnalysisBatch) -> Result<()> {
        let Some(held) = &self.held else { return Ok(()) };
        let (epoch, number, grace) = (held.epoch, held.number, self.grace());
        let (events, labels) = (self.config.kafka.topic.clone(), self.config.labels_topic.clone());
        self.database.begin("ccstream-scores", move |writer| {
            let work = async |store: &mut AnalysisStore| store.write(epoch, number, (&events, &labels), &batch).await;
            let began = Instant::now();
            let written = writer.write(grace, work);
            Done { batch, written, took: began.elapsed() }
        })
    }

    /// Passes on what the threads that write have reported, and notes what became of the batch and of the snapshot if
    /// they are done.
    pub(super) fn look_at_writes(&mut self) -> Result<()> {
        let Self { database, state, observers, waiting, .. } = self;
        database.reported().chain(state.reported()).for_each(|reported| waiting.report(reported, observers));
        if self.state.is_done() {
            self.settle_snapshot()?;
        }
        if self.database.is_done() { self.settle() } else { Ok(()) }
    }

    /// Waits until the batch that is being written is committed, and reports it. If it cannot be, everything that was
    /// folded since is discarded.
    pub(super) fn settle(&mut self) -> Result<()> {
        let Self { database, observers, waiting, .. } = self;
        let Some(Done { batch, written, took }) = database.wait(|reported| waiting.report(reported, observers)) else {
            return Ok(());
        };
        let (scoring, floors, verdicts) = match written.inspect_err(|_| self.held = None)? {
            Some(Written::Committed { scoring, floors, verdicts }) => (scoring, floors, verdicts),
            Some(Written::Lost) => {
                self.lose();
                return Ok(());
            }
            None => {
                self.held = None;
                self.is_abandoned = true;
                return Ok(());
            }
        };
        let Some(held) = &mut self.held else { return Ok(()) };
        (held.number, held.renewed) = (held.number + 1, Instant::now());
        held.fold.set_floors(floors);
        held.has_verdicts |= verdicts.iter().any(|one| !held.verdicts.contains(one));
        held.verdicts = verdicts;
        // What the other thread has reported is over, too.
        self.state.reported().for_each(|reported| self.waiting.report(reported, self.observers));
        self.waiting = LastWaiting::default();
        let late = batch.late - std::mem::replace(&mut held.late, batch.late);
        for change in &batch.alerts.changes {
            if let Change::Opened(alert) = change {
                self.observers.report(&AnalyzeEvent::Alert(alert.clone()));
            }
        }
        if !batch.alerts.changes.is_empty() {
            self.notifier.wake();
        }
        let is_outdated = scoring != held.scoring;
        if let Some(sent) = held.sent.take() {
            self.report(&batch, late, took, sent);
        }
        self.begin_snapshot()?;
        // A batch has the scores of one model, so another one scores from the next batch on.
        match &mut self.held {
            Some(held) if is_outdated && !held.fold.batch.is_empty() => held.is_outdated = true,
            Some(_) if is_outdated => self.change_models()?,
            _ => {}
        }
        Ok(())
    }

    /// Counts and reports a committed batch.
    fn report(&mut self, batch: &AnalysisBatch, late: i64, took: Duration, Sent { greatest, forgotten }: Sent) {
        let (events, labels) = (batch.events.total(), batch.labels.total());
        self.summary.late += late;
        self.summary.forgotten = forgotten;
        self.summary.events += events;
        self.summary.labels += labels;
        self.summary.labelled += batch.applied.len() as i64;
        let report = AnalyzeReport {
            counted: events,
            labelled: batch.applied.len() as i64,
            greatest,
            summary: self.summary.clone(),
            seq: batch.seq,
            lag: self.lanes.lag() + self.held.as_ref().map_or(0, |held| held.fold.batch.events.total().messages()),
            took,
        };
        self.observers.report(&AnalyzeEvent::Batch(report));
    }

    /// Scores by the models that are chosen now. The batch must be empty.
    pub(super) fn change_models(&mut self) -> Result<()> {
        let Some((scoring, scorer, shadow)) = self.scorers()? else { return Ok(()) };
        let Some(held) = &mut self.held else { return Ok(()) };
        held.scoring = scoring;
        if scorer.name() != held.fold.model() {
            self.observers.report(&AnalyzeEvent::Model { name: scorer.name().to_owned() });
        }
        held.fold.set_scorers(scorer, shadow);
        Ok(())
    }
}
