//! This module decides which partitions this consumer owns, and what has to happen before each is read. It performs no
//! I/O: the group assigns and revokes partitions, the broker knows the topic and its offsets, and PostgreSQL knows the
//! next offset. The poll loop asks these three, passes their answers on to this module, and does what it returns.

use std::collections::{BTreeMap, BTreeSet};

use ccstream_core::batch::Cursor;

use super::state::Partitions;
use super::topic::Offsets;
use crate::postgres::TakeOver;

/// Requests that partitions be taken over in PostgreSQL, so that this consumer owns them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) generation: u64,
    pub(super) partitions: Vec<i32>,
    /// Whether the partitions are read from their beginning, because their logs end before the next offsets.
    pub(super) start_over: bool,
}

/// Holds this consumer's partitions and the open questions about them.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    partitions: Partitions,
    /// Arriving partitions that were claimed in the current generation.
    claimed: BTreeSet<i32>,
    /// Whether the fence in PostgreSQL has reported that another consumer took over. Nothing is claimed until the group
    /// has assigned partitions again.
    disowned: bool,
    /// Whether the broker may lack a partition's next offset. That is checked once the topic's id is known.
    doubt: bool,
    /// Partitions whose logs end before the next offset.
    shorter: BTreeSet<i32>,
}

impl Ownership {
    /// Returns the partitions, each in its state.
    pub(super) fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// Returns where a partition is read. None means that it is not read.
    pub(super) fn cursor(&mut self, partition: i32) -> Option<&mut Cursor> {
        self.partitions.cursor(partition)
    }

    /// Notes that a partition was read to its end.
    pub(super) fn end(&mut self, partition: i32) {
        self.partitions.end(partition);
    }

    /// Adds partitions that the group has assigned.
    pub(super) fn assign(&mut self, partitions: Vec<i32>) {
        self.disowned = false;
        self.partitions.assign(partitions);
    }

    /// Marks partitions that the group has revoked. They leave once everything that was read is written.
    pub(super) fn revoke(&mut self, partitions: Vec<i32>) {
        self.disowned = false;
        self.partitions.revoke(partitions);
    }

    /// Removes partitions that the group has given to others already. Returns those of them that were this consumer's,
    /// for a warning. If the fence has already reported that another consumer took over, it returns none, so that there
    /// is no second warning.
    pub(super) fn lose(&mut self, partitions: &[i32]) -> Vec<i32> {
        let was_known = std::mem::take(&mut self.disowned);
        let ours = self.partitions.all().filter(|ours| partitions.contains(ours) && !was_known).collect();
        self.partitions.lose(partitions);
        self.claimed.clear();
        ours
    }

    /// Removes the leaving partitions and returns them. With `discard`, also discards what was read from any partition
    /// and is not written yet.
    pub(super) fn let_go(&mut self, discard: bool) -> BTreeSet<i32> {
        if discard {
            self.partitions.reset();
        }
        self.claimed.clear();
        self.partitions.leave()
    }

    /// Discards what was read and is not written. Every partition is claimed again.
    pub(super) fn reset(&mut self) {
        self.partitions.reset();
        self.claimed.clear();
    }

    /// Resets the partitions because the fence has reported that another consumer took over. Nothing is claimed until
    /// the group has assigned partitions again: claiming them earlier would fence out their owner.
    pub(super) fn disown(&mut self) {
        self.disowned = true;
        self.reset();
    }

    /// Returns whether the topic's id is needed for the next step.
    pub(super) fn needs_topic(&self) -> bool {
        self.doubt || !self.partitions.arriving().is_empty()
    }

    /// Notes that the broker may lack a partition's next offset. Returns false if that was noted already.
    pub(super) fn doubt_offsets(&mut self) -> bool {
        !std::mem::replace(&mut self.doubt, true)
    }

    /// Notes that the topic has another id. Returns whether that invalidates partitions that are read or claimed.
    pub(super) fn change_topic(&mut self) -> bool {
        (self.doubt, self.shorter) = (false, BTreeSet::new());
        !self.partitions.reading().is_empty() || !self.claimed.is_empty()
    }

    /// Returns whether the next offsets are to be checked now, and clears the request. While partitions are leaving,
    /// the check is postponed: re-assigning other partitions would answer the pending revocation, and librdkafka would
    /// drop the leaving ones at once.
    pub(super) fn takes_up_doubt(&mut self) -> bool {
        self.partitions.leaving().is_empty() && std::mem::take(&mut self.doubt)
    }

    /// Applies the comparison of the next offsets with the broker's. Returns the partitions with a gap that retention
    /// left, each with the first offset after the gap, and whether any log ends before its next offset. In that case
    /// the caller has to reset, and the partition is then read from its beginning.
    pub(super) fn check_offsets(&mut self, found: &[(i32, Offsets)]) -> (Vec<(i32, i64)>, bool) {
        self.shorter = found.iter().filter(|(_, judged)| *judged == Offsets::Shorter).map(|one| one.0).collect();
        let gap = |(partition, judged): &(i32, Offsets)| match judged {
            Offsets::Gap(to) => Some((*partition, *to)),
            Offsets::Fine | Offsets::Shorter => None,
        };
        (found.iter().filter_map(gap).collect(), !self.shorter.is_empty())
    }

    /// Returns what is to be claimed now. Each partition is claimed once in a generation.
    pub(super) fn claims(&mut self, topic_is_known: bool) -> Vec<Claim> {
        if !topic_is_known || self.disowned || !self.partitions.leaving().is_empty() {
            return Vec::new();
        }
        let arriving = self.partitions.arriving().difference(&self.claimed).copied();
        let (shorter, others): (Vec<i32>, Vec<i32>) = arriving.partition(|partition| self.shorter.contains(partition));
        self.claimed.extend(shorter.iter().chain(&others));
        let generation = self.partitions.generation();
        let claim = |(partitions, start_over)| Claim { generation, partitions, start_over };
        [(shorter, true), (others, false)].into_iter().filter(|(some, _)| !some.is_empty()).map(claim).collect()
    }

    /// Returns whether the answer to a claim still counts. It does not while partitions are leaving; the arriving ones
    /// are claimed again afterwards.
    pub(super) fn awaits(&self, generation: u64) -> bool {
        generation == self.partitions.generation() && self.partitions.leaving().is_empty()
    }

    /// Applies a take-over in PostgreSQL. Returns the partitions that are read from now on.
    pub(super) fn take(&mut self, taken: &TakeOver) -> BTreeSet<i32> {
        let mut cursors = BTreeMap::new();
        for (partition, position) in &taken.positions {
            self.shorter.remove(partition);
            cursors.insert(*partition, Cursor { epoch: position.epoch, next: position.next_offset });
        }
        let positioned = self.partitions.position(cursors);
        self.claimed.retain(|partition| !positioned.contains(partition));
        positioned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{Counters, Position};

    fn set(partitions: &[i32]) -> BTreeSet<i32> {
        partitions.iter().copied().collect()
    }

    fn taken(partitions: &[i32]) -> TakeOver {
        let position = Position { epoch: 3, next_offset: 7, counters: Counters::default() };
        TakeOver { positions: partitions.iter().map(|one| (*one, position)).collect(), ..TakeOver::default() }
    }

    fn claim(generation: u64, partitions: &[i32], start_over: bool) -> Claim {
        Claim { generation, partitions: partitions.to_vec(), start_over }
    }

    /// Returns an ownership that reads these partitions.
    fn reading(partitions: &[i32]) -> Ownership {
        let mut ownership = Ownership::default();
        ownership.assign(partitions.to_vec());
        ownership.claims(true);
        assert_eq!(ownership.take(&taken(partitions)), set(partitions));
        ownership
    }

    #[test]
    fn partitions_are_claimed_once_when_the_topic_is_known() {
        let mut ownership = Ownership::default();
        ownership.assign(vec![0, 1]);
        assert!(ownership.needs_topic());
        assert_eq!(ownership.claims(false), []);
        assert_eq!(ownership.claims(true), [claim(0, &[0, 1], false)]);
        assert_eq!(ownership.claims(true), []);
        ownership.assign(vec![2]);
        assert_eq!(ownership.claims(true), [claim(0, &[2], false)]);
        assert_eq!(ownership.take(&taken(&[0, 2, 9])), set(&[0, 2]), "partition 9 is another consumer's");
        assert_eq!(ownership.cursor(2).map(|cursor| (cursor.epoch, cursor.next)), Some((3, 7)));
        assert_eq!(ownership.partitions().arriving(), &set(&[1]));
    }

    #[test]
    fn nothing_is_claimed_while_partitions_leave() {
        let mut ownership = reading(&[0, 1]);
        ownership.revoke(vec![1]);
        ownership.assign(vec![2]);
        assert_eq!(ownership.claims(true), []);
        assert!(!ownership.awaits(0), "applying an answer would make librdkafka drop partition 1");
        assert_eq!(ownership.let_go(false), set(&[1]));
        assert_eq!(ownership.claims(true), [claim(1, &[2], false)]);
        assert!(ownership.awaits(1) && !ownership.awaits(0));
        assert!(ownership.cursor(0).is_some(), "partition 0 is still read");
    }

    #[test]
    fn giving_up_with_discard_resets_the_remaining_partitions() {
        let mut ownership = reading(&[0, 1]);
        ownership.revoke(vec![1]);
        assert_eq!(ownership.let_go(true), set(&[1]));
        assert!(ownership.cursor(0).is_none());
        assert_eq!(ownership.claims(true), [claim(2, &[0], false)]);
    }

    #[test]
    fn a_loss_is_reported_once() {
        let mut ownership = reading(&[0, 1]);
        assert_eq!(ownership.lose(&[1, 5]), [1]);
        assert_eq!(ownership.claims(true), [claim(1, &[0], false)], "partition 0 is reset, too");
        let mut ownership = reading(&[0, 1]);
        ownership.disown();
        assert_eq!(ownership.claims(true), [], "the group has not assigned them again");
        assert_eq!(ownership.lose(&[0, 1]), [0; 0], "the fence has reported it already");
        ownership.assign(vec![0]);
        assert_eq!(ownership.claims(true), [claim(2, &[0], false)]);
    }

    #[test]
    fn a_shorter_log_is_read_from_the_beginning() {
        let mut ownership = reading(&[0, 1, 2]);
        assert!(ownership.doubt_offsets() && !ownership.doubt_offsets());
        ownership.revoke(vec![2]);
        assert!(!ownership.takes_up_doubt());
        ownership.let_go(false);
        assert!(ownership.needs_topic() && ownership.takes_up_doubt() && !ownership.takes_up_doubt());
        let found = [(0, Offsets::Gap(12)), (1, Offsets::Fine)];
        assert_eq!(ownership.check_offsets(&found), (vec![(0, 12)], false));
        let found = [(0, Offsets::Fine), (1, Offsets::Shorter)];
        assert_eq!(ownership.check_offsets(&found), (vec![], true));
        ownership.reset();
        assert_eq!(ownership.claims(true), [claim(2, &[1], true), claim(2, &[0], false)]);
        ownership.take(&taken(&[0, 1]));
        ownership.reset();
        assert_eq!(ownership.claims(true), [claim(3, &[0, 1], false)], "the log is read from its beginning only once");
    }

    #[test]
    fn a_changed_topic_invalidates_partitions_that_are_read_or_claimed() {
        let mut ownership = Ownership::default();
        assert!(!ownership.change_topic());
        ownership.assign(vec![0]);
        assert!(!ownership.change_topic(), "nothing is claimed yet");
        ownership.claims(true);
        ownership.doubt_offsets();
        assert!(ownership.change_topic());
        assert!(!ownership.takes_up_doubt(), "the doubt was about the previous topic");
        assert!(reading(&[0]).change_topic());
    }
}
