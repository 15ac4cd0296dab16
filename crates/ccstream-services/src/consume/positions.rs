//! This part of the poll loop decides where each partition is read. It follows the group's rebalances, watches the
//! topic and assigns partitions at the offsets that PostgreSQL has. `state` explains the states of a partition.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::group::Rebalance;
use super::ownership::Claim;
use super::poll::Poll;
use super::report::ConsumeEvent;
use super::state::Drain;
use super::topic::{Answer, News, judge_offsets};
use super::unreadable::{Probe, Unreadable};
use super::warning::{Warning, WarningKind};
use super::writer::Command;
use crate::error::{Error, Result};
use crate::postgres::{Origin, Refusal, Restart, TakeOver};

/// Number of consecutive owners after which the user is warned, if all of them ended at the same offset without
/// releasing the partition.
const DEATHS: i32 = 2;

impl Poll<'_, '_> {
    /// Applies a rebalance of the group.
    pub(super) fn follow(&mut self, rebalance: Rebalance) {
        self.troubles.group_answered();
        match rebalance {
            Rebalance::Assigned(partitions) => {
                self.ownership.assign(partitions);
                self.watch.need();
            }
            Rebalance::Revoked(partitions) => {
                self.ownership.revoke(partitions);
                self.drain.get_or_insert_with(|| (Drain::Leaving, Instant::now()));
            }
            Rebalance::Lost(partitions) => {
                let ours = self.ownership.lose(&partitions);
                if !ours.is_empty() {
                    let text = format!(
                        "the group gave partitions {ours:?} to other consumers, because this one did not respond in \
                         time; their new owners read again what this one had not committed. Check whether this \
                         process was suspended or this machine overloaded"
                    );
                    self.warn(Warning::of(WarningKind::PartitionsLost, ours.iter().copied(), text));
                }
                self.report_revoked(partitions.iter().copied());
                self.ledger.forget(partitions);
                self.discard_unwritten();
                if self.ownership.partitions().leaving().is_empty() {
                    self.drain.take_if(|(drain, _)| *drain == Drain::Leaving);
                }
            }
        }
    }

    /// Unassigns the leaving partitions, which returns them to the group. With `discard`, also discards what was read
    /// from any partition and is not written yet.
    pub(super) fn let_go(&mut self, discard: bool) -> Result<()> {
        if discard {
            let leaving = self.ownership.partitions().leaving();
            let text = format!(
                "partitions {leaving:?} were revoked before everything that was read from them was committed; their \
                 next owner reads the rest again"
            );
            self.warn(Warning::of(WarningKind::RevokedUncommitted, leaving.clone(), text));
        }
        let gone = self.ownership.let_go(discard);
        if discard {
            self.discard_unwritten();
        } else {
            self.member.show_offsets(self.ledger.committed());
            self.begin_generation();
        }
        self.ledger.forget(gone.iter().copied());
        self.drain = None;
        self.report_revoked(gone.iter().copied());
        self.member.unassign(&gone)
    }

    fn report_revoked(&mut self, partitions: impl IntoIterator<Item = i32>) {
        let partitions: BTreeSet<i32> = partitions.into_iter().collect();
        if !partitions.is_empty() {
            self.observers.report(&ConsumeEvent::Revoked(partitions));
        }
    }

    /// Tells the writer the new generation. Must be called each time the generation has grown.
    fn begin_generation(&mut self) {
        self.writer.set_generation(self.ownership.partitions().generation());
        if self.ownership.needs_topic() {
            self.watch.need();
        }
    }

    /// Empties the shares, after the ownership has been reset.
    fn discard_unwritten(&mut self) {
        self.shares.clear();
        self.begin_generation();
    }

    /// Discards what was read and is not written, and takes every partition over again.
    pub(super) fn reset(&mut self) {
        self.ownership.reset();
        self.discard_unwritten();
    }

    /// Requests that the next offsets be compared with the broker's, once the topic's id is confirmed.
    pub(super) fn look_into_offsets(&mut self) {
        if self.ownership.doubt_offsets() {
            self.watch.need();
        }
    }

    /// Queries the topic's id when that is due, and acts on an answer.
    pub(super) fn watch_topic(&mut self) -> Result<()> {
        let Some(Answer { news, is_needed, asked }) = self.watch.look() else { return Ok(()) };
        if matches!(news, News::Same | News::Changed(_)) {
            self.troubles.topic_is_there(Instant::now());
        }
        if news != News::Silent {
            let recovered = self.troubles.kafka_answered(asked);
            if recovered.is_some() {
                self.member.group().log.forget_refusal();
            }
            self.report(recovered);
        }
        match news {
            News::Missing => {
                let missing = self.troubles.topic_is_missing(self.config);
                self.report(missing);
            }
            News::Changed(_) => {
                if self.ownership.change_topic() {
                    self.reset();
                }
            }
            News::Same | News::Silent => {
                if is_needed && self.ownership.takes_up_doubt() {
                    self.repair_offsets()?;
                }
            }
        }
        Ok(())
    }

    /// Handles next offsets that the broker does not have, or that came out of order, although the topic is the same.
    /// Messages that retention deleted are counted as missing. A truncated log is read from its beginning.
    fn repair_offsets(&mut self) -> Result<()> {
        let reading = self.ownership.partitions().reading().iter();
        let next: BTreeMap<i32, i64> = reading.map(|(partition, cursor)| (*partition, cursor.next)).collect();
        let mut found = Vec::new();
        for (partition, next) in &next {
            match self.member.bounds(*partition) {
                Ok(bounds) => found.push((*partition, judge_offsets(*next, bounds))),
                Err(error) => {
                    tracing::warn!(%error, partition, "The broker did not return a partition's bounds; querying again.");
                    self.look_into_offsets();
                    return Ok(());
                }
            }
        }
        let (gaps, is_shorter) = self.ownership.check_offsets(&found);
        for (partition, to) in gaps {
            let Some(cursor) = self.ownership.cursor(partition) else { continue };
            self.shares.batch_of(partition).skip(partition, cursor, to);
            let from = next[&partition];
            if from > 0 {
                let text = format!(
                    "partition {partition}: offsets {from} to {} were deleted by the topic's retention before they \
                     were read; {} are counted as missing",
                    to - 1,
                    to - from
                );
                self.warn(Warning::of(WarningKind::Gap, [partition], text));
            }
        }
        if is_shorter {
            self.reset();
            return Ok(());
        }
        self.assign(&next.into_keys().collect())
    }

    /// Handles a batch that cannot be read. With `skip_unreadable` the batch is skipped. Without it, the run ends with
    /// an error, once everything that was read before is written.
    pub(super) fn look_into_unreadable(&mut self) -> Result<()> {
        if self.drain.is_some() {
            return Ok(());
        }
        let reading = self.ownership.partitions().reading().iter();
        let next = reading.map(|(partition, cursor)| (*partition, cursor.next)).collect();
        let probe = Probe::new(self.config)?;
        // None means that another consumer owns the partition by now, or that its leader does not answer. librdkafka
        // then reports the error again where it still applies.
        let Some(batch) = probe.find(&next)? else { return Ok(()) };
        let (topic, Unreadable { partition, first, reason, .. }) = (&self.config.kafka.topic, &batch);
        let about = format!("topic {topic:?}, partition {partition}: the batch from offset {first} on cannot be read");
        if !self.config.skip_unreadable {
            self.ending = Some(Error::Broker(format!("{about}: {reason}; {}", batch.advice())));
            self.drain = Some((Drain::Stop, Instant::now()));
            return Ok(());
        }
        // If the broker returns an end that is too low, the rest of the batch is found and skipped next.
        let Ok((_, bound)) = self.member.bounds(*partition) else { return Ok(()) };
        let log_end = self.member.group().end(*partition).unwrap_or_default().max(bound);
        let Some(to) = probe.end(&batch, log_end)? else { return Ok(()) };
        let Some(cursor) = self.ownership.cursor(*partition) else { return Ok(()) };
        let from = cursor.next;
        self.shares.batch_of(*partition).lose(*partition, cursor, to);
        let text = format!(
            "{about} ({reason}) and was skipped; its offsets from {from} to {} ({} offsets) are counted as missing",
            to - 1,
            to - from
        );
        self.warn(Warning::of(WarningKind::Unreadable, [*partition], text));
        self.assign(&BTreeSet::from([*partition]))
    }

    /// Has the writer take over the arriving partitions in PostgreSQL, once the topic's id is known.
    pub(super) fn take_over(&mut self) {
        let claims = self.ownership.claims(!self.watch.is_needed());
        if claims.is_empty() {
            return;
        }
        let origin = Origin { cluster_id: self.member.cluster_id(), topic_id: self.watch.id().map(ToOwned::to_owned) };
        for Claim { generation, partitions, start_over } in claims {
            self.writer.send(Command::TakeOver { generation, partitions, origin: origin.clone(), start_over });
        }
    }

    /// Starts reading partitions at the offsets that PostgreSQL has.
    pub(super) fn begin_reading(&mut self, taken: &TakeOver) -> Result<()> {
        if !taken.ended.is_empty() {
            let text = format!(
                "ended the PostgreSQL sessions {:?} of other consumers, which kept the partitions' rows in \
                 kafka_offsets locked, as a suspended consumer does",
                taken.ended
            );
            self.warn(Warning::new(WarningKind::SessionEnded, text));
        }
        for (partition, (deaths, at)) in taken.deaths.iter().filter(|(_, (deaths, _))| *deaths >= DEATHS) {
            let text = format!(
                "partition {partition}: the last {deaths} consumers were cut off from PostgreSQL at offset {at}, as \
                 happens when they are killed. If they ran out of memory, the batch at that offset is large once \
                 decompressed: give this consumer more memory"
            );
            self.warn(Warning::of(WarningKind::OwnersKilled, [*partition], text));
        }
        for (why, kind) in [
            (Restart::Cluster, WarningKind::ClusterChanged),
            (Restart::Topic, WarningKind::TopicRecreated),
            (Restart::Shorter, WarningKind::LogTruncated),
        ] {
            let partitions: Vec<i32> = taken
                .restarted
                .iter()
                .filter(|(_, restart)| *restart == why)
                .map(|(partition, _)| *partition)
                .collect();
            if !partitions.is_empty() {
                let text = format!(
                    "{}, so partitions {partitions:?} are read from their beginning; messages that are already stored \
                     count as duplicates",
                    match why {
                        Restart::Cluster => "the Kafka cluster is a different one".to_owned(),
                        Restart::Topic => format!("topic {:?} was deleted and created again", self.config.kafka.topic),
                        Restart::Shorter => "the log ends before the next offset".to_owned(),
                    }
                );
                self.warn(Warning::of(kind, partitions, text));
            }
        }
        let positioned = self.ownership.take(taken);
        self.ledger.open(taken.positions.iter().filter(|(partition, _)| positioned.contains(partition)));
        if positioned.is_empty() {
            return Ok(());
        }
        let reading = self.ownership.partitions().reading();
        let from = positioned.iter().map(|partition| (*partition, reading[partition].next)).collect();
        self.observers.report(&ConsumeEvent::Assigned(from));
        self.assign(&positioned)
    }

    /// Assigns partitions in librdkafka at explicit offsets, never at `Offset::Beginning`: librdkafka remembers the
    /// beginning of a topic that was deleted since. If offset 0 does not exist, it is handled like any other offset
    /// that the broker does not have.
    pub(super) fn assign(&mut self, changed: &BTreeSet<i32>) -> Result<()> {
        let reading = self.ownership.partitions().reading().iter();
        let offsets = reading.map(|(partition, cursor)| (*partition, cursor.next)).collect();
        self.member.assign(&offsets, changed, self.paused)
    }

    /// Handles a batch that the fence in PostgreSQL refused. `current` tells whether the batch is of the current
    /// generation.
    pub(super) fn recover_from(&mut self, refusal: Refusal, current: bool) -> Result<()> {
        if !current {
            // Whatever ended the batch's generation has its own warning, so do not warn again.
            return Ok(());
        }
        match refusal {
            Refusal::Moved { partition } => {
                let text = format!(
                    "the next offset of partition {partition} in PostgreSQL is not the one that this consumer \
                     committed last; reading continues at PostgreSQL's offset. Check who changed kafka_offsets, or \
                     whether PostgreSQL lost its last commits"
                );
                self.warn(Warning::of(WarningKind::PositionMoved, [partition], text));
                self.reset();
                Ok(())
            }
            Refusal::TakenOver { partition } => {
                let text = format!(
                    "partition {partition} was taken over by another consumer, which reads again what this one had not \
                     committed. Check whether this process was suspended or this machine overloaded"
                );
                self.warn(Warning::of(WarningKind::TakenOver, [partition], text));
                self.ownership.disown();
                self.discard_unwritten();
                self.member.rejoin()
            }
        }
    }
}
