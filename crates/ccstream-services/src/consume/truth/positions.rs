//! This part of the reader decides where the topic of truth is read: it watches the topic and assigns partitions.

use std::time::{Duration, Instant};

use super::reader::Reader;
use crate::consume::topic::{Answer, News, Offsets, judge_offsets};
use crate::consume::unreadable::{Probe, Unreadable};
use crate::consume::warning::{Warning, WarningKind};
use crate::error::Result;
use crate::postgres::truth::TruthStart;
use crate::postgres::{Origin, Restart};

/// Interval at which the number of partitions is queried.
const COUNT_EVERY: Duration = Duration::from_secs(10);

impl Reader {
    /// Requests that the next offsets are compared with the broker's, once the topic's id is confirmed.
    pub(super) fn doubt_offsets(&mut self) {
        self.in_doubt = true;
        self.watch.need();
    }

    /// Asks for the topic's id when that is due, and acts on an answer.
    pub(super) fn watch_topic(&mut self) -> Result<()> {
        if let Some(Answer { news, is_needed, .. }) = self.watch.look() {
            match news {
                News::Missing => {
                    let missing = self.troubles.topic_is_missing(&self.config);
                    self.report_missing(missing);
                    // A topic that does not exist has no messages to wait for.
                    self.report_end();
                }
                News::Changed(_) => {
                    self.troubles.topic_is_there(Instant::now());
                    self.in_doubt = false;
                    self.forget();
                }
                News::Same | News::Silent => {
                    self.troubles.topic_is_there(Instant::now());
                    if is_needed && std::mem::take(&mut self.in_doubt) {
                        self.repair_offsets()?;
                    }
                }
            }
        }
        if !self.next.is_empty() && self.counted.elapsed() >= COUNT_EVERY {
            self.counted = Instant::now();
            if self.member.count_partitions().is_ok_and(|count| count.is_some_and(|count| count > self.next.len())) {
                // The topic has new partitions, so all of them are assigned again.
                self.forget();
            }
        }
        Ok(())
    }

    /// Assigns all partitions at the offsets in PostgreSQL. Returns false while they are not known.
    pub(super) fn begin(&mut self) -> Result<bool> {
        if self.watch.is_needed() {
            return Ok(false);
        }
        let Ok(Some(count)) = self.member.count_partitions() else {
            self.watch.need();
            return Ok(false);
        };
        let partitions: Vec<i32> = (0..count as i32).collect();
        let origin = Origin { cluster_id: self.member.cluster_id(), topic_id: self.watch.id().map(ToOwned::to_owned) };
        let shorter = self.is_shorter;
        let start = self.database.by(async |store| store.start(&partitions, &origin, shorter).await)?;
        let Some(TruthStart { offsets, restarted }) = start else { return Ok(false) };
        self.is_shorter = false;
        self.counted = Instant::now();
        self.warn_of_restart(&restarted);
        self.next = offsets;
        self.assign()?;
        Ok(true)
    }

    fn assign(&self) -> Result<()> {
        self.member.assign(&self.next, &self.next.keys().copied().collect(), false)
    }

    fn warn_of_restart(&self, restarted: &[(i32, Restart)]) {
        let Some((_, why)) = restarted.first() else { return };
        let (kind, why) = match why {
            Restart::Cluster => (WarningKind::ClusterChanged, "the Kafka cluster is a different one"),
            Restart::Topic => (WarningKind::TopicRecreated, "the topic was deleted and created again"),
            Restart::Shorter => (WarningKind::LogTruncated, "the log ends before the next offset"),
        };
        let topic = &self.config.kafka.topic;
        let text = format!(
            "topic {topic:?} is read from its beginning, because {why}; messages that are stored count as duplicates"
        );
        self.warn(Warning::of(kind, restarted.iter().map(|(partition, _)| *partition), text));
    }

    /// Handles next offsets that the broker does not have, although the topic is the same. Messages that retention
    /// deleted are counted as missing. A truncated log is read from its beginning.
    fn repair_offsets(&mut self) -> Result<()> {
        let topic = self.config.kafka.topic.clone();
        let mut found = Vec::new();
        for (partition, next) in &self.next {
            let Ok(bounds) = self.member.bounds(*partition) else {
                self.doubt_offsets();
                return Ok(());
            };
            found.push((*partition, judge_offsets(*next, bounds)));
        }
        if found.iter().any(|(_, offsets)| *offsets == Offsets::Shorter) {
            self.is_shorter = true;
            self.forget();
            return Ok(());
        }
        for (partition, offsets) in found {
            let (Offsets::Gap(to), Some(next)) = (offsets, self.next.get_mut(&partition)) else { continue };
            // Messages that were deleted before the topic was first read do not count as missing.
            let (from, missing) = (*next, if *next == 0 { 0 } else { to - *next });
            self.opened.get_or_insert_with(Instant::now);
            self.batch.skip(partition, next, to, missing);
            if missing > 0 {
                let text = format!(
                    "topic {topic:?}, partition {partition}: offsets {from} to {} were deleted by the topic's \
                     retention before they were read; {missing} are counted as missing",
                    to - 1
                );
                self.warn(Warning::of(WarningKind::Gap, [partition], text));
            }
        }
        self.assign()
    }

    /// Skips a batch that librdkafka cannot decode, whatever `skip_unreadable` is: truth must not end the run.
    pub(super) fn skip_unreadable(&mut self) -> Result<()> {
        let probe = Probe::new(&self.config)?;
        let Some(found) = probe.find(&self.next)? else { return Ok(()) };
        let Unreadable { partition, reason, .. } = &found;
        // If the broker returns an end that is too low, the rest of the batch is found and skipped next.
        let Ok((_, bound)) = self.member.bounds(*partition) else { return Ok(()) };
        let log_end = self.member.group().end(*partition).unwrap_or_default().max(bound);
        let Some(to) = probe.end(&found, log_end)? else { return Ok(()) };
        let Some(next) = self.next.get_mut(partition) else { return Ok(()) };
        let (from, missing) = (*next, to - *next);
        self.opened.get_or_insert_with(Instant::now);
        self.batch.skip(*partition, next, to, missing);
        let text = format!(
            "topic {:?}, partition {partition}: offsets {from} to {} cannot be read ({reason}) and were skipped; \
             {missing} are counted as missing",
            self.config.kafka.topic,
            to - 1
        );
        self.warn(Warning::of(WarningKind::Unreadable, [*partition], text));
        self.assign()
    }
}
