//! What is read for one hand-over: a batch for each connection, which write at the same time.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::postgres::Refusal;
use ccstream_core::batch::Batch;
use ccstream_core::settings::ConsumerConfig;

/// From so many messages on, two transactions are sooner done than one; below, what each costs beside its rows is more
/// than what is won.
const WORTH_SHARING: usize = 1_000;

/// One connection's part.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Empty where there is nothing to write, or nothing any more.
    pub(super) batch: Batch,
    /// Why it was not written.
    pub(super) refusal: Option<Refusal>,
}

impl Share {
    /// Whether it is to be written still.
    pub(super) fn is_due(&self) -> bool {
        !self.batch.is_empty()
    }
}

/// Batches that are filled and written together. A partition is in one of them: its offsets have to come one after the
/// other.
#[derive(Debug, Default)]
pub(super) struct Shares {
    each: Vec<Share>,
    /// Where each partition is.
    places: BTreeMap<i32, usize>,
    /// The ones before were worth sharing, and so these will be.
    is_busy: bool,
}

impl Shares {
    /// One for each of the consumer's connections.
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        let each = std::iter::repeat_with(Share::default).take(config.connections).collect();
        Self { each, ..Self::default() }
    }

    /// The batch of a partition: the first while there is little to write, else for a partition that is new the one with
    /// the fewest messages.
    pub(super) fn batch_of(&mut self, partition: i32) -> &mut Batch {
        let place = *self.places.entry(partition).or_insert_with(|| {
            if !self.is_busy && self.each[0].batch.messages() < WORTH_SHARING {
                return 0;
            }
            let fewest = self.each.iter().enumerate().min_by_key(|(_, share)| share.batch.messages());
            fewest.map_or(0, |(place, _)| place)
        });
        &mut self.each[place].batch
    }

    /// Messages in them, of every kind.
    pub(super) fn messages(&self) -> usize {
        self.each.iter().map(|share| share.batch.messages()).sum()
    }

    /// Bytes that they hold.
    pub(super) fn bytes(&self) -> usize {
        self.each.iter().map(|share| share.batch.bytes()).sum()
    }

    /// When the first message came.
    pub(super) fn opened(&self) -> Option<Instant> {
        self.each.iter().filter_map(|share| share.batch.opened).min()
    }

    /// Whether they move no partition.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Makes them ready to be written: see [`Batch::seal`].
    pub(super) fn seal(&mut self) {
        self.each.iter_mut().for_each(|share| share.batch.seal());
    }

    /// Each connection's.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Share> {
        self.each.iter_mut()
    }

    /// Why one of them was not written. That a partition is another's by now comes before all else.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let refusals = || self.each.iter().filter_map(|share| share.refusal);
        refusals().find(|refusal| matches!(refusal, Refusal::TakenOver { .. })).or_else(|| refusals().next())
    }

    /// Empties them, keeping their memory.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        for share in &mut self.each {
            share.batch.clear();
            share.refusal = None;
        }
    }

    /// These, filled, in exchange for empty ones, which are filled in their turn, and shared from the start if these were
    /// worth it.
    pub(super) fn exchange(&mut self, mut empty: Self) -> Self {
        empty.is_busy = self.messages() >= WORTH_SHARING;
        std::mem::replace(self, empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccstream_core::batch::Cursor;
    use ccstream_core::rejection::{Reason, Rejection};

    fn fill(shares: &mut Shares, partition: i32, messages: usize) {
        let mut cursor = Cursor { epoch: 1, next: 0 };
        for _ in 0..messages {
            let rejection = Rejection::new(Reason::InvalidJson, "");
            let at = (partition, cursor.next);
            shares.batch_of(partition).push(at, &mut cursor, None, Some(b"?"), Err(rejection));
        }
    }

    fn shares(connections: usize) -> Shares {
        Shares::new(&ConsumerConfig { connections, ..ConsumerConfig::default() })
    }

    fn messages(shares: &Shares) -> Vec<usize> {
        shares.each.iter().map(|share| share.batch.messages()).collect()
    }

    #[test]
    fn little_is_one_batch() {
        let mut shared = shares(3);
        for partition in 0..5 {
            fill(&mut shared, partition, 100);
        }
        assert_eq!(messages(&shared), [500, 0, 0]);
        assert_eq!(shared.iter_mut().map(|share| share.is_due()).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn more_is_shared_by_partitions() {
        let mut shared = shares(2);
        fill(&mut shared, 0, WORTH_SHARING);
        fill(&mut shared, 1, 700);
        fill(&mut shared, 2, 500);
        fill(&mut shared, 3, 10);
        assert_eq!(messages(&shared), [WORTH_SHARING + 10, 1200]);
        // Where a partition is, there it stays.
        fill(&mut shared, 0, 5_000);
        fill(&mut shared, 1, 1);
        assert_eq!(messages(&shared), [WORTH_SHARING + 5_010, 1201]);
        assert_eq!(shared.messages(), WORTH_SHARING + 6_211);
        assert_eq!(shared.bytes(), shared.messages());
    }

    #[test]
    fn after_many_they_are_shared_from_the_start() {
        let mut shared = shares(2);
        fill(&mut shared, 0, WORTH_SHARING);
        let mut full = shared.exchange(shares(2));
        assert_eq!((full.messages(), shared.messages()), (WORTH_SHARING, 0));
        fill(&mut shared, 0, 1);
        fill(&mut shared, 1, 1);
        assert_eq!(messages(&shared), [1, 1]);
        full.clear();
        assert!(full.is_empty() && full.opened().is_none() && !shared.is_empty());
        // After few they are not.
        shared.exchange(full);
        fill(&mut shared, 0, 1);
        fill(&mut shared, 1, 1);
        assert_eq!(messages(&shared), [2, 0]);
    }

    #[test]
    fn they_are_as_old_as_their_first_message() {
        let mut shared = shares(2);
        fill(&mut shared, 0, WORTH_SHARING);
        let opened = shared.opened();
        fill(&mut shared, 1, 1);
        assert!(opened.is_some() && shared.opened() == opened);
    }

    #[test]
    fn that_a_partition_is_anothers_comes_first() {
        let (moved, taken) = (Refusal::Moved { partition: 1 }, Refusal::TakenOver { partition: 0 });
        for (first, second, expected) in [
            (None, None, None),
            (None, Some(moved), Some(moved)),
            (Some(moved), Some(taken), Some(taken)),
            (Some(taken), Some(moved), Some(taken)),
        ] {
            let mut shared = shares(2);
            (shared.each[0].refusal, shared.each[1].refusal) = (first, second);
            assert_eq!(shared.refusal(), expected);
            shared.clear();
            assert_eq!(shared.refusal(), None);
        }
    }
}
