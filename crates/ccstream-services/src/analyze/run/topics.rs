//! This part of the loop watches both topics and assigns their partitions.

use std::time::Duration;

use super::{Run, Topic};
use crate::analyze::report::AnalyzeEvent;
use crate::consume::assigned::{Assigned, Change, Gap};
use crate::consume::{ConsumeEvent, Warning, missing_topic};
use crate::error::Result;
use crate::postgres::Origin;
use crate::postgres::analysis::{AnalysisCounters, AnalysisStart, AnalysisStore};
use crate::postgres::reconnecting::Reconnecting;

impl Run<'_, '_> {
    /// Checks whether the topics are still the same.
    pub(super) fn look(&mut self) -> Result<()> {
        let change = self.lanes.topic.look()?;
        // A topic that is deleted later may be about to be recreated.
        let has_begun = !self.lanes.topic.next.is_empty() || self.summary.events != AnalysisCounters::default();
        if matches!(change, Change::Missing(_)) && self.config.until_caught_up && !has_begun {
            return Err(missing_topic(&self.config.kafka.topic));
        }
        self.take_change(change, Topic::Events);
        let change = self.labels.topic.look()?;
        self.take_change(change, Topic::Labels);
        Ok(())
    }

    /// Acts on a change of a topic.
    pub(super) fn take_change(&mut self, change: Change, topic: Topic) {
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

    pub(super) fn skip(&mut self, gap: Gap, topic: Topic) {
        match (topic, &mut self.held) {
            // Events of the partition may have been read ahead. The position must not pass them.
            (Topic::Events, _) => self.lanes.skip(&gap),
            (Topic::Labels, Some(held)) => held.fold.batch.labels.to(gap.partition, gap.to).missing += gap.missing,
            (Topic::Labels, None) => {}
        }
        self.warn(gap.warning);
    }

    /// Assigns the partitions of both topics, where they are not assigned. Returns whether those of the events are.
    pub(super) fn begin(&mut self) -> Result<bool> {
        if self.labels.topic.next.is_empty() {
            let begun = match origin(&mut self.labels.topic) {
                None => Begun::NotYet,
                Some(origin) => {
                    let Some(epoch) = self.commit_before()? else { return Ok(false) };
                    begin(self.database.free()?, &mut self.labels.topic, epoch, origin)?
                }
            };
            match begun {
                Begun::Yes(warning) => {
                    self.labels.is_missing = false;
                    self.warn(warning);
                }
                Begun::NotYet if self.labels.is_missing => {}
                Begun::NotYet => {
                    // Nothing is taken in meanwhile, and what was is not held back.
                    self.commit_before()?;
                    return Ok(false);
                }
                Begun::Lost => {
                    self.lose();
                    return Ok(false);
                }
            }
        }
        if self.lanes.topic.next.is_empty() {
            let Some(epoch) = self.commit_before()? else { return Ok(false) };
            let begun = match origin(&mut self.lanes.topic) {
                None => Begun::NotYet,
                Some(origin) => begin(self.database.free()?, &mut self.lanes.topic, epoch, origin)?,
            };
            match begun {
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

    /// Commits the batch before partitions are assigned, and returns the epoch; None if the lease is lost. The batch has
    /// offsets of the partitions as they were. Written later, they would be taken for those of a topic that was recreated,
    /// and its messages before them would be lost.
    fn commit_before(&mut self) -> Result<Option<i64>> {
        self.commit()?;
        self.settle()?;
        Ok(self.held.as_ref().map(|held| held.epoch))
    }
}

/// The partitions of a topic, where it comes from, and whether its log is shorter than before.
type Found = (Vec<i32>, Origin, bool);

/// Returns the topic's partitions, if it is there.
fn origin(topic: &mut Assigned) -> Option<Found> {
    let found = topic.origin();
    if found.is_none() {
        // Polling serves librdkafka's callbacks, and discards messages of an earlier assignment.
        let _ = topic.poll(Duration::ZERO);
    }
    found
}

/// Tells whether partitions were assigned.
enum Begun {
    Yes(Option<Warning>),
    NotYet,
    Lost,
}

/// Assigns a topic's partitions at the offsets in PostgreSQL.
fn begin(
    database: &mut Reconnecting<AnalysisStore>,
    topic: &mut Assigned,
    epoch: i64,
    (partitions, origin, shorter): Found,
) -> Result<Begun> {
    let name = topic.config.kafka.topic.clone();
    let start = database.by(async |store| store.start(epoch, &name, &partitions, &origin, shorter).await)?;
    match start {
        None => Ok(Begun::NotYet),
        Some(None) => Ok(Begun::Lost),
        Some(Some(AnalysisStart { offsets, restarted })) => Ok(Begun::Yes(topic.begin(offsets, &restarted, false)?)),
    }
}
