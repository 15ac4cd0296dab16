//! Which partitions are this consumer's, and what has to happen before each is read (pure): the group assigns and
//! revokes, the broker knows the topic and its offsets, PostgreSQL knows the next offset. The poll loop asks these
//! three, passes their answers on to here, and does what is returned.

use std::collections::{BTreeMap, BTreeSet};

use ccstream_core::batch::Cursor;

use super::state::Partitions;
use super::topic::Offsets;
use crate::postgres::TakeOver;

/// Partitions that PostgreSQL is to make this consumer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) generation: u64,
    pub(super) partitions: Vec<i32>,
    /// They are read from the beginning: their log ends before the offset that is next.
    pub(super) start_over: bool,
}

/// This consumer's partitions, with the questions about them that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    partitions: Partitions,
    /// Arriving partitions that are claimed, under this generation.
    claimed: BTreeSet<i32>,
    /// PostgreSQL says that the partitions are another consumer's; the group is asked whose they are.
    disowned: bool,
    /// The broker does not have an offset that is next; checked once the topic's id is known.
    doubt: bool,
    /// Partitions whose log ends before the offset that is next.
    shorter: BTreeSet<i32>,
}

impl Ownership {
    /// The partitions, each in its state.
    pub(super) fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// Where a partition is read; None where it is not.
    pub(super) fn cursor(&mut self, partition: i32) -> Option<&mut Cursor> {
        self.partitions.cursor(partition)
    }

    /// A partition was read to its end.
    pub(super) fn end(&mut self, partition: i32) {
        self.partitions.end(partition);
    }

    /// The group assigns partitions.
    pub(super) fn assign(&mut self, partitions: Vec<i32>) {
        self.disowned = false;
        self.partitions.assign(partitions);
    }

    /// The group revokes partitions; they leave once all that was read is written.
    pub(super) fn revoke(&mut self, partitions: Vec<i32>) {
        self.disowned = false;
        self.partitions.revoke(partitions);
    }

    /// Partitions are another's already. Returned are those that were this consumer's, unless PostgreSQL has
    /// refused them before: that was reported then.
    pub(super) fn lose(&mut self, partitions: &[i32]) -> Vec<i32> {
        let was_known = std::mem::take(&mut self.disowned);
        let ours = self.partitions.all().filter(|ours| partitions.contains(ours) && !was_known).collect();
        self.partitions.lose(partitions);
        self.claimed.clear();
        ours
    }

    /// The leaving partitions leave; `void`: with what was read of all partitions and is not written.
    pub(super) fn let_go(&mut self, void: bool) -> BTreeSet<i32> {
        if void {
            self.partitions.void();
        }
        self.claimed.clear();
        self.partitions.leave()
    }

    /// What was read and is not written counts no more: every partition is claimed again.
    pub(super) fn void(&mut self) {
        self.partitions.void();
        self.claimed.clear();
    }

    /// The same, because PostgreSQL says that another consumer has them. Nothing is claimed before the group has
    /// assigned them again: that would fence out their owner.
    pub(super) fn disown(&mut self) {
        self.disowned = true;
        self.void();
    }

    /// Whether the topic's id has to be known before it goes on.
    pub(super) fn needs_topic(&self) -> bool {
        self.doubt || !self.partitions.arriving().is_empty()
    }

    /// The broker does not have an offset that is next. False where that was known.
    pub(super) fn doubt_offsets(&mut self) -> bool {
        !std::mem::replace(&mut self.doubt, true)
    }

    /// The topic has another id. True where that makes void what was read, or what is claimed.
    pub(super) fn change_topic(&mut self) -> bool {
        (self.doubt, self.shorter) = (false, BTreeSet::new());
        !self.partitions.reading().is_empty() || !self.claimed.is_empty()
    }

    /// Whether offsets are to be checked now: while partitions leave, moving others would make them leave at once.
    pub(super) fn takes_up_doubt(&mut self) -> bool {
        self.partitions.leaving().is_empty() && std::mem::take(&mut self.doubt)
    }

    /// What the broker has of the offsets that are next. Returned are the gaps that retention left, each with the offset
    /// after it. True where a log is shorter: then everything read is void, and that partition is read from the beginning.
    pub(super) fn check_offsets(&mut self, found: &[(i32, Offsets)]) -> (Vec<(i32, i64)>, bool) {
        self.shorter = found.iter().filter(|(_, judged)| *judged == Offsets::Shorter).map(|one| one.0).collect();
        let gap = |(partition, judged): &(i32, Offsets)| match judged {
            Offsets::Gap(to) => Some((*partition, *to)),
            Offsets::Fine | Offsets::Shorter => None,
        };
        (found.iter().filter_map(gap).collect(), !self.shorter.is_empty())
    }

    /// What is to be claimed now, each once.
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

    /// Whether the answer to a claim still counts. While partitions leave it does not; they are claimed again after.
    pub(super) fn awaits(&self, generation: u64) -> bool {
        generation == self.partitions.generation() && self.partitions.leaving().is_empty()
    }

    /// PostgreSQL has made partitions this consumer's. Returned are those that are read from here on.
    pub(super) fn take(&mut self, taken: &TakeOver) -> BTreeSet<i32> {
        let mut cursors = BTreeMap::new();
        for (partition, position) in &taken.positions {
            self.shorter.remove(partition);
            cursors.insert(*partition, Cursor { epoch: position.epoch, next: position.next_offset });
        }
        let placed = self.partitions.place(cursors);
        self.claimed.retain(|partition| !placed.contains(partition));
        placed
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

    /// Of partitions that are read.
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
        assert_eq!(ownership.take(&taken(&[0, 2, 9])), set(&[0, 2]), "9 is another's");
        assert_eq!(ownership.cursor(2).map(|cursor| (cursor.epoch, cursor.next)), Some((3, 7)));
        assert_eq!(ownership.partitions().arriving(), &set(&[1]));
    }

    #[test]
    fn nothing_is_claimed_while_partitions_leave() {
        let mut ownership = reading(&[0, 1]);
        ownership.revoke(vec![1]);
        ownership.assign(vec![2]);
        assert_eq!(ownership.claims(true), []);
        assert!(!ownership.awaits(0), "an answer would make 1 leave");
        assert_eq!(ownership.let_go(false), set(&[1]));
        assert_eq!(ownership.claims(true), [claim(1, &[2], false)]);
        assert!(ownership.awaits(1) && !ownership.awaits(0));
        assert!(ownership.cursor(0).is_some(), "0 is read on");
    }

    #[test]
    fn what_leaves_in_haste_makes_all_that_was_read_void() {
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
        assert_eq!(ownership.claims(true), [claim(1, &[0], false)], "what was read of 0 is void, too");
        let mut ownership = reading(&[0, 1]);
        ownership.disown();
        assert_eq!(ownership.claims(true), [], "before the group has assigned them");
        assert_eq!(ownership.lose(&[0, 1]), [0; 0], "PostgreSQL has refused them");
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
        ownership.void();
        assert_eq!(ownership.claims(true), [claim(2, &[1], true), claim(2, &[0], false)]);
        ownership.take(&taken(&[0, 1]));
        ownership.void();
        assert_eq!(ownership.claims(true), [claim(3, &[0, 1], false)], "that was for once");
    }

    #[test]
    fn another_topic_makes_void_what_is_read_or_claimed() {
        let mut ownership = Ownership::default();
        assert!(!ownership.change_topic());
        ownership.assign(vec![0]);
        assert!(!ownership.change_topic(), "nothing is claimed yet");
        ownership.claims(true);
        ownership.doubt_offsets();
        assert!(ownership.change_topic());
        assert!(!ownership.takes_up_doubt(), "the doubt was about the topic before");
        assert!(reading(&[0]).change_topic());
    }
}
