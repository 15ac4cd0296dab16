//! This part of the loop folds the messages of both topics, in their order.

use std::collections::HashSet;

use super::{Run, Topic};
use crate::analyze::MAX_LABELS;
use crate::analyze::default_model;
use crate::analyze::fold::Due;
use crate::analyze::labels::Received;
use crate::analyze::lanes::{Turn, What};
use crate::consume::assigned::Change;
use crate::error::Result;
use crate::postgres::analysis::Context;
use ccstream_core::event::Micros;

/// Maximum number of events between two searches for duplicates.
const CHUNK: usize = 8_192;

impl Run<'_, '_> {
    /// Receives the labels that have arrived. Returns whether there were any.
    pub(super) fn read_labels(&mut self) -> Result<bool> {
        if let Some(held) = self.held.as_mut().filter(|held| held.has_verdicts) {
            held.has_verdicts = false;
            held.fold.relabel(held.verdicts.iter().map(|(id, _)| id.clone()));
            self.hold_labels(None)?;
        }
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

    pub(super) fn take_labels(&mut self, messages: Vec<Received>) -> Result<bool> {
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
    pub(super) fn read_events(&mut self) -> Result<bool> {
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
        if self.held.as_ref().is_some_and(|held| held.fold.state.seq() == 0)
            && !self.choose_default(turns[0].partition)?
        {
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

    /// Makes the default model of the simulated world active, before the first event of the analysis, if the first message
    /// of its partition names such a world and no model was ever added. Returns false if the run lost the lease or stops.
    fn choose_default(&mut self, partition: i32) -> Result<bool> {
        let model = self.lanes.world(partition).filter(|_| !self.config.no_default_model).and_then(default_model::of);
        let Some(model) = model else { return Ok(true) };
        let (Some(has_models), Some(held)) = (self.ask(async |store| store.has_models().await)?, &self.held) else {
            return Ok(false);
        };
        if has_models {
            return Ok(true);
        }
        let epoch = held.epoch;
        // Labels that were received are in the batch, which names the model that scores.
        self.commit()?;
        match self.ask(async |store| store.activate(epoch, &model).await)? {
            Some(Some(_)) => self.change_models()?,
            Some(None) if self.held.is_some() => self.lose(),
            Some(None) => {}
            None => self.held = None,
        }
        Ok(self.held.is_some())
    }

    /// Returns the ids of events that were scored in an earlier batch.
    pub(super) fn find_scored(&mut self, turns: &[Turn]) -> Result<Option<HashSet<String>>> {
        let Some(held) = &mut self.held else { return Ok(None) };
        held.committed.clear();
        // A greater id than any before is new.
        let may_be_there = |id: &&str| *id <= held.greatest_id.as_str();
        let ids: Vec<&str> = turns.iter().filter_map(|turn| turn.incoming.event()).filter(may_be_there).collect();
        if ids.is_empty() {
            return Ok(Some(HashSet::new()));
        }
        self.ask(async |store| store.find_scored(&ids).await)
    }

    /// Takes one message in, after the labels that are due before it.
    pub(super) fn take(&mut self, turn: Turn, scored: &HashSet<String>) -> Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let Turn { partition, time, incoming } = turn;
        let to = incoming.offset + 1;
        let (id, seen, mut facts) = match incoming.what {
            What::Event(id, seen, facts) => (id, seen, facts),
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
            held.greatest_id.clear();
            held.greatest_id.push_str(&id);
        }
        let overdue = held.fold.event(id, (&seen, facts.as_mut()), time, (partition, incoming.offset));
        held.fold.batch.events.to(partition, to).accepted += 1;
        for due in overdue {
            self.apply(due)?;
        }
        Ok(())
    }

    /// Holds the first labels in memory of those that are not due, or of those after a time. The others stay in the table
    /// until the events come near their time.
    pub(super) fn hold_labels(&mut self, after: Option<Micros>) -> Result<()> {
        // Labels of the batch are read from the table, too.
        self.commit()?;
        if self.held.is_none() {
            return Ok(());
        }
        let found = self.ask(async |store| store.waiting_labels(after, MAX_LABELS).await)?;
        match (found, &mut self.held) {
            (Some(waiting), Some(held)) => held.fold.hold(after, waiting),
            // The run is stopping, and a label that is due must keep its place.
            (None, held) => *held = None,
            (Some(_), None) => {}
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, due: Due) -> Result<()> {
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
}
