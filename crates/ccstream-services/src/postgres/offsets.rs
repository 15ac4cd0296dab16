//! The offset rows: how far each partition is stored. They, and not Kafka's own offsets, are the
//! truth, since they commit together with the rows.

use std::collections::BTreeMap;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Transaction};

use super::statements::Statements;
use super::table::{OwnColumn, Table};
use crate::error::{Error, Result};
use ccstream_core::batch::Advance;

/// How far each partition is stored.
pub(super) const OFFSETS: Table = Table {
    name: "kafka_offsets",
    comment: "ccstream: how far each partition of a topic is stored, and what became of its messages",
    columns: &[
        OwnColumn::new("consumer_group", "TEXT NOT NULL"),
        OwnColumn::new("topic", "TEXT NOT NULL"),
        OwnColumn::new("partition", "INTEGER NOT NULL"),
        OwnColumn::new("cluster_id", "TEXT"),
        OwnColumn::new("topic_id", "TEXT"),
        OwnColumn::new("epoch", "BIGINT NOT NULL"),
        OwnColumn::new("next_offset", "BIGINT NOT NULL"),
        // Without defaults: a counter that was lost cannot be counted again.
        OwnColumn::new("consumed", "BIGINT NOT NULL"),
        OwnColumn::new("stored", "BIGINT NOT NULL"),
        OwnColumn::new("duplicate", "BIGINT NOT NULL"),
        OwnColumn::new("rejected", "BIGINT NOT NULL"),
        OwnColumn::new("missing", "BIGINT NOT NULL"),
        OwnColumn::new("owner_pid", "INTEGER"),
        OwnColumn::new("owner_start", "TIMESTAMPTZ"),
        OwnColumn::new("updated_at", "TIMESTAMPTZ NOT NULL DEFAULT now()"),
        OwnColumn::new("deaths", "INTEGER NOT NULL DEFAULT 0").meaning(
            "consumers in a row that ended at the offset died_at without releasing the partition, as if killed",
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

/// With an empty `orders`, offsets of an earlier one would skip every row: back to the
/// beginning. The rejected messages are still kept, and still counted.
const START_OVER_OFFSETS: &str = "\
UPDATE kafka_offsets SET next_offset = 0, epoch = epoch + 1, consumed = rejected, stored = 0, duplicate = 0,
    missing = 0, updated_at = now();";

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
    /// Offsets that retention took before they were read, or of which nothing can be read.
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
pub struct Source {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
}

/// Which topic it is that is read: another of the same name has other messages at the same offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The cluster's id, where it has one.
    pub(crate) cluster_id: Option<String>,
    /// The topic's, where the broker knows it.
    pub(crate) topic_id: Option<String>,
}

/// Why partitions are read from the beginning again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// The cluster is another one than before.
    Cluster,
    /// The topic was deleted and made anew.
    Topic,
    /// The log ends before the offset that is next.
    Shorter,
}

/// Partitions that are this consumer's now.
#[derive(Debug, Clone, Default)]
pub(crate) struct TakeOver {
    pub(crate) positions: Positions,
    /// Those that are read from the beginning again.
    pub(crate) restarted: Vec<(i32, Restart)>,
    /// Sessions of other consumers that were ended, since they kept the rows locked.
    pub(crate) ended: Vec<i32>,
    /// Partitions whose last owners' sessions, this many, ended at this offset without releasing them.
    pub(crate) deaths: BTreeMap<i32, (i32, i64)>,
}

/// A batch that must not be written, since the partition is not where this consumer left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another consumer has taken the partition over.
    TakenOver { partition: i32 },
    /// The partition stands elsewhere: somebody moved it, or PostgreSQL came back without its last commits.
    Moved { partition: i32 },
}

/// What the fence says of a batch.
#[derive(Debug)]
pub(crate) enum FenceVerdict {
    /// Every partition stands where the batch begins.
    Ready,
    /// The batch is committed already: only the answer to its COMMIT was lost.
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

/// Takes partitions over: bumps each one's epoch, under its lock, so that whoever had it before is
/// refused from here on. A partition never seen before starts at its beginning; one whose cluster or
/// topic is another than before, or that is to `start_over`, starts over there.
pub(crate) async fn take_over(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    source: &Source,
    partitions: &[i32],
    origin: &Origin,
    start_over: bool,
) -> Result<TakeOver> {
    let step = || Error::postgres("taking the offset rows over");
    let differs = |before: &Option<String>, now: &Option<String>| before.is_some() && now.is_some() && before != now;
    let mut restarted = Vec::new();
    for (partition, position, before) in lock(transaction, statements, source, partitions).await? {
        let restart = if differs(&before.cluster_id, &origin.cluster_id) {
            Restart::Cluster
        } else if differs(&before.topic_id, &origin.topic_id) {
            Restart::Topic
        } else if start_over {
            Restart::Shorter
        } else {
            continue;
        };
        if position.next_offset > 0 {
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

/// Whether a row's owner has a session. Of other roles' sessions one may not see when they began.
const IS_ALIVE: &str = "EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = o.owner_pid
    AND (a.backend_start = o.owner_start OR a.backend_start IS NULL OR o.owner_start IS NULL))";

/// Releases partitions, by the epochs under which they are this consumer's. An owner that a row still names, and that has
/// no session, ended otherwise: it was killed, say.
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

/// Locks offset rows in order; those that are there, with what was read.
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

/// The fence: locks the batch's offset rows and checks that each stands where the batch begins and
/// still is this consumer's. Nothing else of the transaction comes before it.
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
            // Somebody deleted the row: nobody took it over.
            None => moved = Some(partition),
            Some(found) if found.epoch != advance.epoch => {
                return FenceVerdict::Refused(Refusal::TakenOver { partition });
            }
            Some(found) if found.next_offset != advance.from => moved = moved.or(Some(partition)),
            Some(_) => {}
        }
        // Under this epoch nobody else writes: where the batch would have brought it, the batch did.
        committed &=
            advance.to != advance.from && locked.get(&partition).is_some_and(|at| at.next_offset == advance.to);
    }
    match moved {
        Some(_) if committed => FenceVerdict::Committed(locked.clone()),
        Some(partition) => FenceVerdict::Refused(Refusal::Moved { partition }),
        None => FenceVerdict::Ready,
    }
}

/// Moves the offset rows forward by a batch, and returns where they stand then.
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
        .map_err(Error::postgres("moving the offset rows"))?;
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
            // Its end does not make it ours.
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
