//! Where each partition is read: the poll loop's part that follows the group, watches the topic, and
//! places partitions where PostgreSQL says. The states are those of `state`.

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

/// Owners in a row that ended at one offset, as if killed, of which a person is warned.
const DEATHS: i32 = 2;

impl Poll<'_, '_> {
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
                        "partition {ours:?} was taken away by the group, which heard nothing of this consumer for too \
                         long; what was read here and is not committed is dropped"
                    );
                    self.warn(Warning::of(WarningKind::PartitionsLost, ours.iter().copied(), text));
                }
                self.report_revoked(partitions.iter().copied());
                self.ledger.forget(partitions);
                self.forget_what_was_read();
                if self.ownership.partitions().leaving().is_empty() {
                    self.drain.take_if(|(drain, _)| *drain == Drain::Leaving);
                }
            }
        }
    }

    /// The leaving partitions are given up; with `void`, what was read and is not written is not written any more.
    pub(super) fn let_go(&mut self, void: bool) -> Result<()> {
        if void {
            let leaving = self.ownership.partitions().leaving();
            let text = format!(
                "partition {leaving:?} goes to another consumer before all that was read is committed; it is read again \
                 there"
            );
            self.warn(Warning::of(WarningKind::RevokedUncommitted, leaving.clone(), text));
        }
        let gone = self.ownership.let_go(void);
        if void {
            self.forget_what_was_read();
        } else {
            self.member.show_offsets(self.ledger.committed());
            self.begin_generation();
        }
        self.ledger.forget(gone.iter().copied());
        self.drain = None;
        self.report_revoked(gone.iter().copied());
        self.member.give_up(&gone)
    }

    fn report_revoked(&mut self, partitions: impl IntoIterator<Item = i32>) {
        let partitions: BTreeSet<i32> = partitions.into_iter().collect();
        if !partitions.is_empty() {
            self.observers.report(&ConsumeEvent::Revoked(partitions));
        }
    }

    /// After the generation has grown.
    fn begin_generation(&mut self) {
        self.writer.set_generation(self.ownership.partitions().generation());
        if self.ownership.needs_topic() {
            self.watch.need();
        }
    }

    /// After what was read has become void.
    fn forget_what_was_read(&mut self) {
        self.shares.clear();
        self.begin_generation();
    }

    /// Positions every partition anew: what was read and is not written counts no more.
    pub(super) fn void(&mut self) {
        self.ownership.void();
        self.forget_what_was_read();
    }

    pub(super) fn look_into_offsets(&mut self) {
        if self.ownership.doubt_offsets() {
            self.watch.need();
        }
    }

    pub(super) fn look_after_topic(&mut self) -> Result<()> {
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
                    self.void();
                }
            }
            News::Same | News::Silent => {
                if is_needed && self.ownership.takes_up_doubt() {
                    self.mend_offsets()?;
                }
            }
        }
        Ok(())
    }

    /// It is the same topic, and a partition does not have the offset that is next, or has come out of
    /// order: what retention took is counted as missing, a log that was cut is read from its beginning.
    fn mend_offsets(&mut self) -> Result<()> {
        let reading = self.ownership.partitions().reading().iter();
        let next: BTreeMap<i32, i64> = reading.map(|(partition, cursor)| (*partition, cursor.next)).collect();
        let mut found = Vec::new();
        for (partition, next) in &next {
            match self.member.bounds(*partition) {
                Ok(bounds) => found.push((*partition, judge_offsets(*next, bounds))),
                Err(error) => {
                    tracing::warn!(%error, partition, "The broker did not say where a partition begins; asking again.");
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
                    "partition {partition}: offsets {from} to {} were deleted by the topic's retention before they were \
                     read; {} are counted as missing",
                    to - 1,
                    to - from
                );
                self.warn(Warning::of(WarningKind::Gap, [partition], text));
            }
        }
        if is_shorter {
            self.void();
            return Ok(());
        }
        self.place(&next.into_keys().collect())
    }

    /// A batch cannot be read: it is left out where that is wanted, and else ends the run, after what was read before it
    /// is written.
    pub(super) fn look_into_unreadable(&mut self) -> Result<()> {
        if self.drain.is_some() {
            return Ok(());
        }
        let reading = self.ownership.partitions().reading().iter();
        let next = reading.map(|(partition, cursor)| (*partition, cursor.next)).collect();
        let probe = Probe::new(self.config)?;
        // None: the partition is another consumer's by now, or its leader does not answer; librdkafka complains again.
        let Some(batch) = probe.find(&next)? else { return Ok(()) };
        let (topic, Unreadable { partition, first, reason, .. }) = (&self.config.kafka.topic, &batch);
        let about = format!("topic {topic:?}, partition {partition}: the batch from offset {first} on cannot be read");
        if !self.config.skip_unreadable {
            self.ending = Some(Error::Broker(format!("{about}: {reason}; {}", batch.advice())));
            self.drain = Some((Drain::Stop, Instant::now()));
            return Ok(());
        }
        // Where the broker says too little, the rest of the batch is found next.
        let Ok((_, bound)) = self.member.bounds(*partition) else { return Ok(()) };
        let log_end = self.member.group().end(*partition).unwrap_or_default().max(bound);
        let Some(to) = probe.end(&batch, log_end)? else { return Ok(()) };
        let Some(cursor) = self.ownership.cursor(*partition) else { return Ok(()) };
        let from = cursor.next;
        self.shares.batch_of(*partition).lose(*partition, cursor, to);
        let text = format!(
            "{about} ({reason}), and was left out; offsets {from} to {}, {} of them, are counted as missing",
            to - 1,
            to - from
        );
        self.warn(Warning::of(WarningKind::Unreadable, [*partition], text));
        self.place(&BTreeSet::from([*partition]))
    }

    /// Has the writer take over what arrives, once the topic's id is known.
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

    /// Reads partitions from where PostgreSQL says.
    pub(super) fn begin_reading(&mut self, taken: &TakeOver) -> Result<()> {
        if !taken.ended.is_empty() {
            let text = format!(
                "ended session {:?} of PostgreSQL: a consumer that does not answer kept the partitions locked",
                taken.ended
            );
            self.warn(Warning::new(WarningKind::SessionEnded, text));
        }
        for (partition, (deaths, at)) in taken.deaths.iter().filter(|(_, (deaths, _))| *deaths >= DEATHS) {
            let text = format!(
                "partition {partition}: the last {deaths} consumers were cut off from PostgreSQL at offset {at}, as where \
                 they are killed. Where memory ran out, give this one more than the batch from there on takes unpacked"
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
                    "{}, so partition {partitions:?} is read from the beginning; what is stored already counts as \
                     duplicate",
                    match why {
                        Restart::Cluster => "the cluster is another one than before".to_owned(),
                        Restart::Topic => format!("topic {:?} was deleted and made anew", self.config.kafka.topic),
                        Restart::Shorter => "the log ends before the offset that is next".to_owned(),
                    }
                );
                self.warn(Warning::of(kind, partitions, text));
            }
        }
        let placed = self.ownership.take(taken);
        self.ledger.open(taken.positions.iter().filter(|(partition, _)| placed.contains(partition)));
        if placed.is_empty() {
            return Ok(());
        }
        let reading = self.ownership.partitions().reading();
        let from = placed.iter().map(|partition| (*partition, reading[partition].next)).collect();
        self.observers.report(&ConsumeEvent::Assigned(from));
        self.place(&placed)
    }

    /// Tells librdkafka from where to read. Never from "the beginning", which it remembers of a topic
    /// that was deleted; an offset 0 that is not there is looked into like any other.
    pub(super) fn place(&mut self, changed: &BTreeSet<i32>) -> Result<()> {
        let reading = self.ownership.partitions().reading().iter();
        let offsets = reading.map(|(partition, cursor)| (*partition, cursor.next)).collect();
        self.member.place(&offsets, changed, self.paused)
    }

    /// A batch was dropped by the fence. `current`: it was of what is still read.
    pub(super) fn recover_from(&mut self, refusal: Refusal, current: bool) -> Result<()> {
        if !current {
            // That the partition is gone has been told.
            return Ok(());
        }
        match refusal {
            Refusal::Moved { partition } => {
                let text = format!(
                    "partition {partition} stands elsewhere in PostgreSQL than this consumer left it; reading on from \
                     there"
                );
                self.warn(Warning::of(WarningKind::PositionMoved, [partition], text));
                self.void();
                Ok(())
            }
            Refusal::TakenOver { partition } => {
                let text = format!(
                    "partition {partition} was taken over by another consumer; what was read here and is not committed \
                     is dropped"
                );
                self.warn(Warning::of(WarningKind::TakenOver, [partition], text));
                self.ownership.disown();
                self.forget_what_was_read();
                self.member.rejoin()
            }
        }
    }
}
