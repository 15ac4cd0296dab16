//! The offset rows: how far each partition is stored. They, and not Kafka's own offsets, are the
//! truth, since they commit together with the rows.

use std::collections::BTreeMap;

use tokio_postgres::{Row, Transaction};

use crate::batch::Advance;
use crate::error::{Error, Result};

/// What became of a partition's messages, ever. `consumed = stored + duplicate + rejected`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages delivered to the consumer and dealt with.
    pub consumed: i64,
    /// Rows inserted into `orders`.
    pub stored: i64,
    /// Messages whose id was there already.
    pub duplicate: i64,
    /// Messages kept in `rejected_events`.
    pub rejected: i64,
    /// Messages that the broker deleted before they were read.
    pub missing: i64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.consumed += other.consumed;
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.missing += other.missing;
    }
}

impl std::ops::Sub for Counters {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            consumed: self.consumed - other.consumed,
            stored: self.stored - other.stored,
            duplicate: self.duplicate - other.duplicate,
            rejected: self.rejected - other.rejected,
            missing: self.missing - other.missing,
        }
    }
}

/// Where a partition stands, as its offset row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bumped at every assignment: who holds an older one is refused.
    pub(crate) epoch: i64,
    pub(crate) next_offset: i64,
    pub(crate) counters: Counters,
}

/// The positions of a consumer's partitions.
pub(crate) type Positions = BTreeMap<i32, Position>;

/// Whose offsets: a group's of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) group: String,
    pub(crate) topic: String,
}

/// A batch that must not be written, since the partition is not where this consumer left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another consumer has taken the partition over.
    TakenOver { partition: i32 },
    /// The partition stands elsewhere: the last transaction's outcome was unknown, and is known now.
    Moved { partition: i32 },
}

const COLUMNS: &str = "partition, epoch, next_offset, consumed, stored, duplicate, rejected, missing";

fn position(row: &Row) -> (i32, Position) {
    let counters = Counters {
        consumed: row.get(3),
        stored: row.get(4),
        duplicate: row.get(5),
        rejected: row.get(6),
        missing: row.get(7),
    };
    (row.get(0), Position { epoch: row.get(1), next_offset: row.get(2), counters })
}

/// Takes partitions over: bumps each one's epoch, under its lock, so that whoever had it before is
/// refused from here on. A partition never seen before starts at its beginning; one whose cluster
/// is another than before starts over there, and is named in the second list.
///
/// Later: the same for a topic made anew (by its topic id), and ending the backend of a stopped
/// process that keeps the lock.
pub(crate) async fn take_over(
    transaction: &Transaction<'_>,
    source: &Source,
    partitions: &[i32],
    cluster_id: Option<&str>,
) -> Result<(Positions, Vec<i32>)> {
    let step = || Error::postgres("taking the offset rows over");
    let mut elsewhere = Vec::new();
    for (partition, position, cluster) in lock(transaction, source, partitions).await? {
        if position.next_offset > 0 && cluster.is_some() && cluster_id.is_some() && cluster.as_deref() != cluster_id {
            elsewhere.push(partition);
        }
    }
    let rows = transaction
        .query(
            &format!(
                "INSERT INTO kafka_offsets AS o
                     (consumer_group, topic, partition, cluster_id, epoch, next_offset, owner_pid, owner_start)
                 SELECT $1, $2, p, $4, 1, 0, pg_backend_pid(),
                        (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
                 FROM unnest($3::int[]) AS p ORDER BY p
                 ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET
                     epoch = o.epoch + 1,
                     next_offset = CASE WHEN o.partition = ANY($5) THEN 0 ELSE o.next_offset END,
                     cluster_id = coalesce(excluded.cluster_id, o.cluster_id),
                     owner_pid = excluded.owner_pid, owner_start = excluded.owner_start, updated_at = now()
                 RETURNING {COLUMNS}"
            ),
            &[&source.group, &source.topic, &partitions, &cluster_id, &elsewhere],
        )
        .await
        .map_err(step())?;
    Ok((rows.iter().map(position).collect(), elsewhere))
}

/// Locks offset rows in order; those that are there, with the cluster each was read from.
async fn lock(
    transaction: &Transaction<'_>,
    source: &Source,
    partitions: &[i32],
) -> Result<Vec<(i32, Position, Option<String>)>> {
    let rows = transaction
        .query(
            &format!(
                "SELECT {COLUMNS}, cluster_id FROM kafka_offsets
                 WHERE consumer_group = $1 AND topic = $2 AND partition = ANY($3)
                 ORDER BY partition FOR NO KEY UPDATE"
            ),
            &[&source.group, &source.topic, &partitions],
        )
        .await
        .map_err(Error::postgres("locking the offset rows"))?;
    Ok(rows.iter().map(|row| (position(row).0, position(row).1, row.get(8))).collect())
}

/// The fence: locks the batch's offset rows and checks that each stands where the batch begins and
/// still is this consumer's. Nothing else of the transaction comes before it.
pub(crate) async fn fence(
    transaction: &Transaction<'_>,
    source: &Source,
    positions: &Positions,
    advances: &BTreeMap<i32, Advance>,
) -> Result<Option<Refusal>> {
    let partitions: Vec<i32> = advances.keys().copied().collect();
    let locked = lock(transaction, source, &partitions).await?;
    let locked: BTreeMap<i32, Position> =
        locked.into_iter().map(|(partition, position, _)| (partition, position)).collect();
    for (partition, advance) in advances {
        let partition = *partition;
        let expected = positions.get(&partition);
        match (locked.get(&partition), expected) {
            (Some(found), Some(expected)) if found.epoch == expected.epoch => {
                if found.next_offset != advance.from {
                    return Ok(Some(Refusal::Moved { partition }));
                }
            }
            _ => return Ok(Some(Refusal::TakenOver { partition })),
        }
    }
    Ok(None)
}

/// Reads positions again, after an unknown outcome; only the partitions that are still ours.
pub(crate) async fn reread(transaction: &Transaction<'_>, source: &Source, positions: &Positions) -> Result<Positions> {
    let partitions: Vec<i32> = positions.keys().copied().collect();
    let locked = lock(transaction, source, &partitions).await?;
    let ours =
        |partition: &i32, position: &Position| positions.get(partition).is_some_and(|old| old.epoch == position.epoch);
    Ok(locked
        .into_iter()
        .map(|(partition, position, _)| (partition, position))
        .filter(|(partition, position)| ours(partition, position))
        .collect())
}

/// Moves the offset rows forward by a batch, and returns where they stand then.
pub(crate) async fn advance(
    transaction: &Transaction<'_>,
    source: &Source,
    advances: &BTreeMap<i32, Advance>,
) -> Result<Positions> {
    let column = |pick: fn(&Advance) -> i64| advances.values().map(pick).collect::<Vec<i64>>();
    let partitions: Vec<i32> = advances.keys().copied().collect();
    let rows = transaction
        .query(
            "UPDATE kafka_offsets AS o SET
                 next_offset = b.next_offset, consumed = o.consumed + b.consumed,
                 stored = o.stored + (b.consumed - b.duplicate - b.rejected),
                 duplicate = o.duplicate + b.duplicate, rejected = o.rejected + b.rejected, updated_at = now()
             FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
                 AS b (partition, next_offset, consumed, duplicate, rejected)
             WHERE o.consumer_group = $1 AND o.topic = $2 AND o.partition = b.partition
             RETURNING o.partition, o.epoch, o.next_offset, o.consumed, o.stored, o.duplicate, o.rejected, o.missing",
            &[
                &source.group,
                &source.topic,
                &partitions,
                &column(|advance| advance.to),
                &column(|advance| advance.consumed),
                &column(|advance| advance.duplicate),
                &column(|advance| advance.rejected),
            ],
        )
        .await
        .map_err(Error::postgres("moving the offset rows"))?;
    Ok(rows.iter().map(position).collect())
}
