//! A hand-over to the writer is split into shares: one batch for each connection. The connections write at the same
//! time.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::postgres::Refusal;
use ccstream_core::batch::Batch;
use ccstream_core::settings::ConsumerConfig;

/// Minimum number of messages before a hand-over is split across connections. Below it, a second transaction's fixed
/// cost exceeds the time saved.
const WORTH_SHARING: usize = 1_000;

/// The part of a hand-over that one connection writes.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// The batch, which is empty if there was nothing to write, or once it is written or refused.
    pub(super) batch: Batch,
    /// Why the fence refused the batch, if it did.
    pub(super) refusal: Option<Refusal>,
}

impl Share {
    /// Returns whether the batch still has to be written.
    pub(super) fn is_due(&self) -> bool {
        !self.batch.is_empty()
    }
}

/// Holds the batches that are filled and written together. A partition is in only one of them, because its offsets must
/// be committed in order.
#[derive(Debug, Default)]
pub(super) struct Shares {
    each: Vec<Share>,
    /// The index of each partition's share.
    places: BTreeMap<i32, usize>,
    /// Whether the previous hand-over was worth splitting, and this one is expected to be, too.
    is_busy: bool,
}

impl Shares {
    /// Creates one empty share for each of the consumer's connections.
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        let each = std::iter::repeat_with(Share::default).take(config.connections).collect();
        Self { each, ..Self::default() }
    }

    /// Returns the batch of a partition. A partition that has none yet is added to the first share while there is
    /// little to write, and otherwise to the share with the fewest messages.
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

    /// Returns the number of messages in all shares, rejected ones included.
    pub(super) fn messages(&self) -> usize {
        self.each.iter().map(|share| share.batch.messages()).sum()
    }

    /// Returns the number of bytes that all shares hold.
    pub(super) fn bytes(&self) -> usize {
        self.each.iter().map(|share| share.batch.bytes()).sum()
    }

    /// Returns when the first message was added.
    pub(super) fn opened(&self) -> Option<Instant> {
        self.each.iter().filter_map(|share| share.batch.opened).min()
    }

    /// Returns whether writing these shares would advance no partition's offset.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Makes the batches ready to be written: see [`Batch::seal`].
    pub(super) fn seal(&mut self) {
        self.each.iter_mut().for_each(|share| share.batch.seal());
    }

    /// Iterates over the shares, in the order of the connections.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Share> {
        self.each.iter_mut()
    }

    /// Returns why a share was refused, if one was. If there are several reasons, [`Refusal::TakenOver`] comes first.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let refusals = || self.each.iter().filter_map(|share| share.refusal);
        refusals().find(|refusal| matches!(refusal, Refusal::TakenOver { .. })).or_else(|| refusals().next())
    }

    /// Empties the shares but keeps their memory.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        for share in &mut self.each {
            share.batch.clear();
            share.refusal = None;
        }
    }

    /// Replaces these shares with empty ones and returns the filled ones. If those were worth splitting, the empty ones
    /// are split from the first message on.
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
    fn few_messages_are_one_batch() {
        let mut shared = shares(3);
        for partition in 0..5 {
            fill(&mut shared, partition, 100);
        }
        assert_eq!(messages(&shared), [500, 0, 0]);
        assert_eq!(shared.iter_mut().map(|share| share.is_due()).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn many_messages_are_split_by_partition() {
        let mut shared = shares(2);
        fill(&mut shared, 0, WORTH_SHARING);
        fill(&mut shared, 1, 700);
        fill(&mut shared, 2, 500);
        fill(&mut shared, 3, 10);
        assert_eq!(messages(&shared), [WORTH_SHARING + 10, 1200]);
        // A partition stays in its share.
        fill(&mut shared, 0, 5_000);
        fill(&mut shared, 1, 1);
        assert_eq!(messages(&shared), [WORTH_SHARING + 5_010, 1201]);
        assert_eq!(shared.messages(), WORTH_SHARING + 6_211);
        assert_eq!(shared.bytes(), shared.messages());
    }

    #[test]
    fn a_hand_over_after_a_large_one_is_split_from_the_start() {
        let mut shared = shares(2);
        fill(&mut shared, 0, WORTH_SHARING);
        let mut full = shared.exchange(shares(2));
        assert_eq!((full.messages(), shared.messages()), (WORTH_SHARING, 0));
        fill(&mut shared, 0, 1);
        fill(&mut shared, 1, 1);
        assert_eq!(messages(&shared), [1, 1]);
        full.clear();
        assert!(full.is_empty() && full.opened().is_none() && !shared.is_empty());
        // A hand-over after a small one is not split from the start.
        shared.exchange(full);
        fill(&mut shared, 0, 1);
        fill(&mut shared, 1, 1);
        assert_eq!(messages(&shared), [2, 0]);
    }

    #[test]
    fn shares_are_as_old_as_their_first_message() {
        let mut shared = shares(2);
        fill(&mut shared, 0, WORTH_SHARING);
        let opened = shared.opened();
        fill(&mut shared, 1, 1);
        assert!(opened.is_some() && shared.opened() == opened);
    }

    #[test]
    fn a_take_over_is_the_first_reason_for_a_refusal() {
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
