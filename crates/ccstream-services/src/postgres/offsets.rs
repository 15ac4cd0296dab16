//! Manages the offset rows, which record up to which offset each partition is stored. They are authoritative rather
//! than Kafka's committed offsets, because they commit in the same transaction as the rows.

use std::collections::BTreeMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Transaction};

use super::statements::Statements;
use super::table::{OwnColumn, Table};
use crate::error::{Error, Result};
use ccstream_core::batch::Advance;

/// The table `kafka_offsets`, with one offset row for each partition of a group's topic.
pub(super) const OFFSETS: Table = Table {
    name: "kafka_offsets",
    comment: "ccstream: the offset up to which each partition of a topic is stored, and counters of its messages",
    columns: &[
        OwnColumn::new("consumer_group", "TEXT NOT NULL"),
        OwnColumn::new("topic", "TEXT NOT NULL"),
        OwnColumn::new("partition", "INTEGER NOT NULL"),
        OwnColumn::new("cluster_id", "TEXT"),
        OwnColumn::new("topic_id", "TEXT"),
        OwnColumn::new("epoch", "BIGINT NOT NULL"),
        OwnColumn::new("next_offset", "BIGINT NOT NULL"),
        // The counters have no defaults, because a lost counter cannot be recounted.
        OwnColumn::new("consumed", "BIGINT NOT NULL"),
        OwnColumn::new("stored", "BIGINT NOT NULL"),
        OwnColumn::new("duplicate", "BIGINT NOT NULL"),
        OwnColumn::new("rejected", "BIGINT NOT NULL"),
        OwnColumn::new("missing", "BIGINT NOT NULL"),
        OwnColumn::new("owner_pid", "INTEGER"),
        OwnColumn::new("owner_start", "TIMESTAMPTZ"),
        OwnColumn::new("updated_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
        OwnColumn::new("deaths", "INTEGER NOT NULL DEFAULT 0").meaning(
            "number of consecutive consumers that ended at the offset died_at without releasing the partition, as if \
             killed",
        ),
        OwnColumn::new("died_at", "BIGINT"),
    ],
    constraints: &[
        "PRIMARY KEY (consumer_group, topic, partition)",
        "CONSTRAINT kafka_offsets_identity CHECK (consumed = stored + duplicate + rejected)",
    ],
    on_start_over: Some(START_OVER_OFFSETS),
    ..Table::USUAL
};

/// Sets every partition back to its beginning, for an `orders` without the rows that were stored: the old offsets would
/// skip them all. The dead letters stay in their table, so they stay counted.
const START_OVER_OFFSETS: &str = "\
UPDATE kafka_offsets SET next_offset = 0, epoch = epoch + 1, consumed = rejected, stored = 0, duplicate = 0,
    missing = 0, updated_at = now();";

/// Counts messages by outcome: `consumed = stored + duplicate + rejected`. A partition's counters include all messages
/// since its first one, or since the last start over, which keeps only `rejected`. The counters of a batch or a run
/// include only its own messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that were read and either stored, recognized as duplicates or rejected.
    pub consumed: i64,
    /// Rows inserted into `orders`.
    pub stored: i64,
    /// Messages whose id was already in `orders`, or came earlier in the same batch.
    pub duplicate: i64,
    /// Messages stored in `rejected_events` as dead letters.
    pub rejected: i64,
    /// Offsets that could not be read: deleted by the topic's retention, or skipped as unreadable.
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

/// A partition's position, as recorded in its offset row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The epoch, which increases at every take-over. The fence refuses a consumer that holds an older epoch.
    pub(crate) epoch: i64,
    pub(crate) next_offset: i64,
    pub(crate) counters: Counters,
}

/// Maps each of a consumer's partitions to its position.
pub(crate) type Positions = BTreeMap<i32, Position>;

/// Identifies a set of offset rows: those of one consumer group for one topic.
#[derive(Debug, Clone)]
pub struct Source {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
}

/// Identifies the topic beyond its name. Another topic of the same name has other messages at the same offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The cluster's id; None if it has none.
    pub(crate) cluster_id: Option<String>,
    /// The topic's id; None if the broker does not report one.
    pub(crate) topic_id: Option<String>,
}

impl Origin {
    /// Returns why a partition must be read from its beginning again; None if it need not be. `before` is the origin
    /// of what is stored, and `shorter` tells whether the partition's log ends before what is stored.
    pub(super) fn restart(&self, before: &Self, shorter: bool) -> Option<Restart> {
        let differs =
            |before: &Option<String>, now: &Option<String>| before.is_some() && now.is_some() && before != now;
        if differs(&before.cluster_id, &self.cluster_id) {
            Some(Restart::Cluster)
        } else if differs(&before.topic_id, &self.topic_id) {
            Some(Restart::Topic)
        } else {
            shorter.then_some(Restart::Shorter)
        }
    }
}

/// The reason why a partition is read from its beginning again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// The cluster's id has changed.
    Cluster,
    /// The topic was deleted and recreated.
    Topic,
    /// The log ends before the next offset.
    Shorter,
}

/// The result of taking partitions over.
#[derive(Debug, Clone, Default)]
pub(crate) struct TakeOver {
    pub(crate) positions: Positions,
    /// Partitions that are read from their beginning again.
    pub(crate) restarted: Vec<(i32, Restart)>,
    /// Process ids of other consumers' sessions that were ended because they held locks on the offset rows.
    pub(crate) ended: Vec<i32>,
    /// For each partition, the number of consecutive owners that ended at the same offset without releasing it, and
    /// that offset. A partition whose owners have all released it is absent.
    pub(crate) deaths: BTreeMap<i32, (i32, i64)>,
}

/// The reason why a batch must not be written: a partition is not where this consumer left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another consumer has taken the partition over.
    TakenOver { partition: i32 },
    /// The partition's offset row has another next offset, or is gone: somebody changed it, or PostgreSQL lost its last
    /// commits.
    Moved { partition: i32 },
}

/// The fence's verdict on a batch.
#[derive(Debug)]
pub(crate) enum FenceVerdict {
    /// Every partition's next offset is the batch's first.
    Ready,
    /// The batch is already committed: only the answer to its COMMIT was lost.
    Committed(Positions),
    Refused(Refusal),
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

/// Takes partitions over for this consumer: increments each one's epoch under its row lock, so that the fence refuses
/// the previous owner from then on.
///
/// A partition without an offset row starts at its beginning. A partition whose cluster or topic has changed starts
/// there again, and with `start_over` every partition does.
pub(crate) async fn take_over(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    source: &Source,
    partitions: &[i32],
    origin: &Origin,
    start_over: bool,
) -> Result<TakeOver> {
    let step = || Error::postgres("taking over the offset rows");
    let mut restarted = Vec::new();
    for (partition, position, before) in lock(transaction, statements, source, partitions).await? {
        if let Some(restart) = origin.restart(&before, start_over)
            && position.next_offset > 0
        {
            restarted.push((partition, restart));
        }
    }
    let over: Vec<i32> = restarted.iter().map(|(partition, _)| *partition).collect();
    let rows = transaction
        .query(
            &format!(
                "INSERT INTO kafka_offsets AS o
                     (consumer_group, topic, partition, cluster_id, topic_id, epoch, next_offset, consumed, stored,
                      duplicate, rejected, missing, owner_pid, owner_start)
                 SELECT $1, $2, p, $4, $5, 1, 0, 0, 0, 0, 0, 0, pg_backend_pid(),
                        (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
                 FROM unnest($3::int[]) AS p ORDER BY p
                 ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET
                     epoch = o.epoch + 1,
                     next_offset = CASE WHEN o.partition = ANY($6) THEN 0 ELSE o.next_offset END,
                     cluster_id = coalesce(excluded.cluster_id, o.cluster_id),
                     topic_id = coalesce(excluded.topic_id, o.topic_id),
                     deaths = CASE WHEN o.owner_pid IS NULL THEN 0
                                   WHEN {IS_ALIVE} THEN CASE WHEN o.died_at = o.next_offset THEN o.deaths ELSE 0 END
                                   WHEN o.died_at = o.next_offset THEN o.deaths + 1
                                   ELSE 1 END,
                     died_at = CASE WHEN o.owner_pid IS NULL OR {IS_ALIVE} THEN o.died_at ELSE o.next_offset END,
                     owner_pid = excluded.owner_pid, owner_start = excluded.owner_start, updated_at = now()
                 RETURNING {COLUMNS}, deaths, died_at"
            ),
            &[&source.group, &source.topic, &partitions, &origin.cluster_id, &origin.topic_id, &over],
        )
        .await
        .map_err(step())?;
    let died = |row: &Row| Some((row.get(0), (row.get(8), row.get::<_, Option<i64>>(9)?)));
    let deaths = rows.iter().filter_map(died).collect();
    Ok(TakeOver { positions: rows.iter().map(position).collect(), restarted, ended: Vec::new(), deaths })
}

/// SQL condition: whether the offset row's owner still has a session. If the role is not allowed to see when that
/// session began, the process id alone decides.
const IS_ALIVE: &str = "EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = o.owner_pid
    AND (a.backend_start = o.owner_start OR a.backend_start IS NULL OR o.owner_start IS NULL))";

/// Releases partitions that this consumer owns under the given epochs, by clearing their owner. If a row still names an
/// owner that has no session, that owner ended without releasing it, for example because it was killed.
pub(crate) async fn release(client: &Client, source: &Source, owned: &BTreeMap<i32, i64>) -> Result<()> {
    let (partitions, epochs): (Vec<i32>, Vec<i64>) = owned.iter().unzip();
    let parameters: [&(dyn ToSql + Sync); 4] = [&source.group, &source.topic, &partitions, &epochs];
    client
        .execute(
            "UPDATE kafka_offsets AS o SET owner_pid = NULL, owner_start = NULL
             FROM unnest($3::int[], $4::bigint[]) AS b (partition, epoch)
             WHERE o.consumer_group = $1 AND o.topic = $2 AND (o.partition, o.epoch) = (b.partition, b.epoch)",
            &parameters,
        )
        .await
        .map_err(Error::postgres("releasing the offset rows"))?;
    Ok(())
}

/// Locks the partitions' offset rows in the order of the partitions. Returns the rows that exist.
async fn lock(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    source: &Source,
    partitions: &[i32],
) -> Result<Vec<(i32, Position, Origin)>> {
    let rows = statements
        .query(
            transaction,
            &format!(
                "SELECT {COLUMNS}, cluster_id, topic_id FROM kafka_offsets
                 WHERE consumer_group = $1 AND topic = $2 AND partition = ANY($3)
                 ORDER BY partition FOR NO KEY UPDATE"
            ),
            &[&source.group, &source.topic, &partitions],
        )
        .await
        .map_err(Error::postgres("locking the offset rows"))?;
    let found = |row: &Row| {
        let (partition, position) = position(row);
        (partition, position, Origin { cluster_id: row.get(8), topic_id: row.get(9) })
    };
    Ok(rows.iter().map(found).collect())
}

/// Runs the fence: locks the batch's offset rows, and checks that this consumer still owns each of them and that its
/// next offset is the batch's first. It is the first step of a batch's transaction.
pub(crate) async fn fence(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    source: &Source,
    advances: &BTreeMap<i32, Advance>,
) -> Result<FenceVerdict> {
    let partitions: Vec<i32> = advances.keys().copied().collect();
    let locked = lock(transaction, statements, source, &partitions).await?;
    Ok(judge(&locked.into_iter().map(|(partition, position, _)| (partition, position)).collect(), advances))
}

fn judge(locked: &Positions, advances: &BTreeMap<i32, Advance>) -> FenceVerdict {
    let mut moved = None;
    let mut committed = true;
    for (partition, advance) in advances {
        let partition = *partition;
        match locked.get(&partition) {
            // Somebody deleted the row. A take-over would have left it.
            None => moved = Some(partition),
            Some(found) if found.epoch != advance.epoch => {
                return FenceVerdict::Refused(Refusal::TakenOver { partition });
            }
            Some(found) if found.next_offset != advance.from => moved = moved.or(Some(partition)),
            Some(_) => {}
        }
        // Nobody else writes under this epoch. So if the next offset is the batch's end, the batch itself was
        // committed.
        committed &=
            advance.to != advance.from && locked.get(&partition).is_some_and(|at| at.next_offset == advance.to);
    }
    match moved {
        Some(_) if committed => FenceVerdict::Committed(locked.clone()),
        Some(partition) => FenceVerdict::Refused(Refusal::Moved { partition }),
        None => FenceVerdict::Ready,
    }
}

/// Advances the offset rows and counters by a batch, and returns the new positions.
pub(crate) async fn advance(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    source: &Source,
    advances: &BTreeMap<i32, Advance>,
) -> Result<Positions> {
    let column = |pick: fn(&Advance) -> i64| advances.values().map(pick).collect::<Vec<i64>>();
    let partitions: Vec<i32> = advances.keys().copied().collect();
    let rows = statements
        .query(
            transaction,
            "UPDATE kafka_offsets AS o SET
                 next_offset = b.next_offset, consumed = o.consumed + b.consumed,
                 stored = o.stored + (b.consumed - b.duplicate - b.rejected),
                 duplicate = o.duplicate + b.duplicate, rejected = o.rejected + b.rejected,
                 missing = o.missing + b.missing, updated_at = now()
             FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
                 AS b (partition, next_offset, consumed, duplicate, rejected, missing)
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
                &column(|advance| advance.missing),
            ],
        )
        .await
        .map_err(Error::postgres("advancing the offset rows"))?;
    Ok(rows.iter().map(position).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(rows: &[(i32, i64, i64)], batch: &[(i32, i64, i64, i64)]) -> &'static str {
        let position = |epoch, next_offset| Position { epoch, next_offset, counters: Counters::default() };
        let locked = rows.iter().map(|(partition, epoch, next)| (*partition, position(*epoch, *next))).collect();
        let advance = |epoch, from, to| Advance { epoch, from, to, consumed: 0, duplicate: 0, rejected: 0, missing: 0 };
        let advances = batch.iter().map(|(partition, epoch, from, to)| (*partition, advance(*epoch, *from, *to)));
        match judge(&locked, &advances.collect()) {
            FenceVerdict::Ready => "ready",
            FenceVerdict::Committed(_) => "committed",
            FenceVerdict::Refused(Refusal::Moved { .. }) => "moved",
            FenceVerdict::Refused(Refusal::TakenOver { .. }) => "taken over",
        }
    }

    #[test]
    fn the_fence() {
        for (rows, batch, expected) in [
            (&[(0, 1, 5)][..], &[(0, 1, 5, 9)][..], "ready"),
            (&[(0, 1, 5), (1, 2, 7)], &[(0, 1, 5, 9), (1, 2, 7, 8)], "ready"),
            (&[(0, 2, 5)], &[(0, 1, 5, 9)], "taken over"),
            // The epoch decides even if the next offset is the batch's end.
            (&[(0, 2, 9)], &[(0, 1, 5, 9)], "taken over"),
            (&[(0, 1, 9)], &[(0, 1, 5, 9)], "committed"),
            (&[(0, 1, 9), (1, 2, 8)], &[(0, 1, 5, 9), (1, 2, 7, 8)], "committed"),
            (&[(0, 1, 9), (1, 2, 7)], &[(0, 1, 5, 9), (1, 2, 7, 8)], "moved"),
            (&[(0, 1, 0)], &[(0, 1, 5, 9)], "moved"),
            (&[], &[(0, 1, 5, 9)], "moved"),
            (&[(0, 1, 9)], &[(0, 1, 5, 9), (1, 2, 7, 8)], "moved"),
            (&[(1, 3, 7)], &[(0, 1, 5, 9), (1, 2, 7, 8)], "taken over"),
        ] {
            assert_eq!(judged(rows, batch), expected, "{rows:?} {batch:?}");
        }
    }
}
