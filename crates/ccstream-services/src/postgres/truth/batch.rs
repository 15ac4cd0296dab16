//! This module collects the messages of the topic of truth that one transaction writes. It is pure.

use std::collections::BTreeMap;

use ccstream_core::truth::Truth;

/// Maximum number of messages of one transaction.
const MAX_MESSAGES: usize = 5000;
/// Maximum number of bytes in memory of the messages of one transaction.
const MAX_BYTES: usize = 4 << 20;

/// Counts what became of messages of the topic of truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TruthCounters {
    /// Number of rows inserted into `truth`.
    pub stored: i64,
    /// Number of messages whose content was in `truth` already.
    pub duplicate: i64,
    /// Number of messages that are invalid, or that PostgreSQL refused.
    pub skipped: i64,
    /// Number of offsets that retention deleted before they were read, or that cannot be read.
    pub missing: i64,
}

impl std::ops::AddAssign for TruthCounters {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.skipped += other.skipped;
        self.missing += other.missing;
    }
}

/// A message that is not stored, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) why: String,
}

/// A message that will be stored.
#[derive(Debug)]
pub(super) struct TruthRow {
    pub(super) id: [u8; 16],
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) truth: Truth,
}

/// The range of offsets by which a batch advances one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Advance {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) missing: i64,
}

/// The result of a transaction: counters by partition, and the messages that it skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TruthOutcome {
    pub(crate) counted: BTreeMap<i32, TruthCounters>,
    pub(crate) skipped: Vec<Skipped>,
}

impl TruthOutcome {
    /// Returns the sum of all partitions.
    pub(crate) fn total(&self) -> TruthCounters {
        self.counted.values().fold(TruthCounters::default(), |mut total, counted| {
            total += *counted;
            total
        })
    }
}

/// The messages of one transaction. Each partition's range begins where its last transaction ended.
#[derive(Debug, Default)]
pub(crate) struct TruthBatch {
    pub(super) rows: Vec<TruthRow>,
    /// The invalid messages.
    pub(super) malformed: Vec<Skipped>,
    pub(super) advances: BTreeMap<i32, Advance>,
    /// The result of the last attempt to commit. It is valid only if that attempt was committed.
    pub(super) attempted: Option<TruthOutcome>,
    bytes: usize,
}

impl TruthBatch {
    /// Adds a message, and advances its partition's `next` offset past it.
    pub(crate) fn push(&mut self, (partition, offset): (i32, i64), next: &mut i64, payload: Option<&[u8]>) {
        match Truth::read(payload) {
            Ok(truth) => {
                self.bytes += truth.weight();
                self.rows.push(TruthRow { id: truth.digest(), partition, offset, truth });
            }
            Err(why) => {
                self.bytes += why.len();
                self.malformed.push(Skipped { partition, offset, why });
            }
        }
        self.advance(partition, *next).to = offset + 1;
        *next = offset + 1;
    }

    /// Advances a partition to offset `to`, because the offsets before it cannot be read. Counts `missing` of them.
    pub(crate) fn skip(&mut self, partition: i32, next: &mut i64, to: i64, missing: i64) {
        let advance = self.advance(partition, *next);
        advance.to = to;
        advance.missing += missing;
        *next = to;
    }

    fn advance(&mut self, partition: i32, next: i64) -> &mut Advance {
        self.advances.entry(partition).or_insert(Advance { from: next, to: next, missing: 0 })
    }

    /// Returns whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.advances.is_empty()
    }

    /// Returns whether the batch has reached its limit of messages or bytes.
    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() + self.malformed.len() >= MAX_MESSAGES || self.bytes >= MAX_BYTES
    }

    /// Returns the result if PostgreSQL inserted all rows except `duplicates` (their number by partition) and
    /// `refused`.
    pub(super) fn outcome(&self, duplicates: &BTreeMap<i32, i64>, refused: Vec<Skipped>) -> TruthOutcome {
        let mut skipped = self.malformed.clone();
        skipped.extend(refused);
        skipped.sort_by_key(|one| (one.partition, one.offset));
        let of = |partition: &i32| {
            let duplicate = duplicates.get(partition).copied().unwrap_or_default();
            let messages = self.rows.iter().filter(|row| row.partition == *partition).count()
                + self.malformed.iter().filter(|one| one.partition == *partition).count();
            let skipped = skipped.iter().filter(|one| one.partition == *partition).count() as i64;
            let missing = self.advances[partition].missing;
            TruthCounters { stored: messages as i64 - duplicate - skipped, duplicate, skipped, missing }
        };
        let counted = self.advances.keys().map(|partition| (*partition, of(partition))).collect();
        TruthOutcome { counted, skipped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: &[u8] = br#"{"kind":"fraud","timestamp":"2026-01-01T00:00:00Z"}"#;

    #[test]
    fn messages_are_counted_by_partition() {
        let mut batch = TruthBatch::default();
        assert!(batch.is_empty());
        let (mut one, mut two) = (7, 0);
        // Compaction removed offset 8, which is not counted.
        batch.push((1, 7), &mut one, Some(TRUTH));
        batch.push((1, 9), &mut one, Some(b"[]"));
        batch.push((1, 10), &mut one, Some(TRUTH));
        batch.push((2, 0), &mut two, None);
        batch.skip(1, &mut one, 15, 4);
        assert_eq!((one, two), (15, 1));
        assert_eq!(batch.advances[&1], Advance { from: 7, to: 15, missing: 4 });
        let refused = Skipped { partition: 1, offset: 7, why: "no".into() };
        let outcome = batch.outcome(&BTreeMap::from([(1, 1)]), vec![refused]);
        let counters = |stored, duplicate, skipped, missing| TruthCounters { stored, duplicate, skipped, missing };
        assert_eq!(outcome.counted, BTreeMap::from([(1, counters(0, 1, 2, 4)), (2, counters(0, 0, 1, 0))]));
        let at: Vec<(i32, i64)> = outcome.skipped.iter().map(|one| (one.partition, one.offset)).collect();
        assert_eq!(at, [(1, 7), (1, 9), (2, 0)]);
        assert_eq!(outcome.total(), counters(0, 1, 3, 4));
    }

    #[test]
    fn it_is_full_by_messages_and_by_bytes() {
        let filled = |payload: &[u8]| {
            let (mut batch, mut next) = (TruthBatch::default(), 0);
            while !batch.is_full() {
                batch.push((0, next), &mut next, Some(payload));
            }
            (next, batch.bytes)
        };
        assert_eq!(filled(TRUTH).0, 5000);
        assert_eq!(filled(b"[]").0, 5000);
        let large = format!(r#"{{"kind":"world","timestamp":"2026-01-01","detail":"{}"}}"#, "é".repeat(4000));
        let (messages, bytes) = filled(large.as_bytes());
        assert!(messages < 600 && bytes < MAX_BYTES + 10_000, "{messages} messages, {bytes} bytes");
    }
}
