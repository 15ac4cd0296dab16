//! This part of the loop decides when a batch is committed, and commits it.

use std::time::{Duration, Instant};

use super::Run;
use crate::analyze::report::{AnalyzeEvent, AnalyzeReport};
use crate::error::Result;
use crate::postgres::analysis::{AnalysisBatch, Written};

/// Minimum time between two transactions that write parts of the state, and the maximum size of those parts.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(250);
const SNAPSHOT_BYTES: usize = 1 << 20;

impl Run<'_, '_> {
    pub(super) fn is_full(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.fold.batch.len() >= self.config.batch_rows)
    }

    /// Returns whether the batch has to be committed: if it is full, or if it got its first message long enough ago.
    pub(super) fn is_due(&mut self) -> bool {
        let is_full = self.is_full();
        let Some(held) = self.held.as_mut().filter(|held| !held.fold.batch.is_empty()) else { return false };
        is_full || held.opened.get_or_insert_with(Instant::now).elapsed() >= self.config.linger
    }

    /// Commits the batch. If that is not possible before the run stops waiting, the lease is lost.
    pub(super) fn commit(&mut self) -> Result<()> {
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
            self.summary.late += batch.late - std::mem::replace(&mut held.late, batch.late);
            self.summary.forgotten = held.fold.forgotten();
            held.committed.push(batch.take_ids());
            if writes_state {
                held.snapshot_due = Instant::now() + SNAPSHOT_EVERY;
            }
        }
        let (events, labels) = (batch.events.total(), batch.labels.total());
        self.summary.events += events;
        self.summary.labels += labels;
        self.summary.labelled += batch.applied.len() as i64;
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
    pub(super) fn write(&mut self, batch: &AnalysisBatch) -> Result<bool> {
        let Some(held) = &self.held else { return Ok(false) };
        let (epoch, number) = (held.epoch, held.number);
        let topics = (self.config.kafka.topic.clone(), self.config.labels_topic.clone());
        // After a stop, a session that waits for PostgreSQL would be abandoned at once, even while it commits.
        self.database.wait_at_most(self.config.drain_limit);
        let written = self.ask(async |store| store.write(epoch, number, (&topics.0, &topics.1), batch).await)?;
        self.database.wait_at_most(Duration::ZERO);
        let (scoring, floors) = match written {
            Some(Written::Committed { scoring, floors }) => (scoring, floors),
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
        held.fold.set_floors(floors);
        if scoring != held.scoring {
            self.change_models()?;
        }
        Ok(true)
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

    /// Writes all parts of the state that have changed, so that the next run can begin at once.
    pub(super) fn write_state(&mut self) -> Result<()> {
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
}
