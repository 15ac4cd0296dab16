//! Reads `orders` into columns and follows it, one snapshot of PostgreSQL's at a time.
//!
//! The first reading goes backwards through the table's pages, so that the newest rows are there first. From then
//! on the offset rows say how many rows each commit stored; these are looked for at the table's end, by their
//! place (a `ctid` range, which needs no index and so costs ingest nothing), and counted. Where the count is not
//! what the offset rows promise, the search goes further back, at last through the whole table; if even that
//! does not agree, somebody changed the table, and everything is read again.

use std::future::Future;
use std::pin::pin;

use futures_util::StreamExt;
use tokio_postgres::{Client, IsolationLevel, Row as SqlRow, Transaction};

use super::columns::Columns;
use super::decode::{Decoder, Found, READ};
use super::seen::Seen;
use crate::config::DatabaseUrl;
use crate::error::{Error, Result};
use crate::store::Counters;
use crate::store::connect::connect;
use crate::store::schema::READER;

/// Pages of the first piece that is read, of the others, and how much further back each search goes.
const FIRST_PIECE: u32 = 2_048;
const PIECE: u32 = 16_384;
const FURTHER: u32 = 16;
/// Pages before the end of the table as it was last seen that are searched at once.
const MARGIN: u32 = 64;
/// More new rows than this are handed over in pieces: readers see them come.
const ATOMIC_ROWS: i64 = 200_000;

/// A partition as its offset row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The offset that is read next.
    pub next_offset: i64,
    /// What became of its messages.
    pub counters: Counters,
    /// When it was last committed, microseconds since 1970 UTC.
    pub updated_at: i64,
}

/// Which table this is; another one is read from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Of the server, where it tells.
    pub(crate) system: Option<i64>,
    pub(crate) database: u32,
    pub(crate) table: u32,
    /// New after TRUNCATE, VACUUM FULL or CLUSTER, when places mean something else.
    pub(crate) file: u32,
}

/// One moment of the database.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// Microseconds since 1970 UTC, by PostgreSQL's clock.
    pub(crate) at: i64,
    pub(crate) identity: Identity,
    pub(crate) pages: u32,
    pub(crate) page_bytes: i32,
    /// Rows deleted or changed, as the statistics count.
    pub(crate) changed: i64,
    pub(crate) partitions: Vec<PartitionState>,
    /// Consumers with a session.
    pub(crate) consumers: i64,
    /// Before version 14 a range of places is searched by reading the whole table.
    pub(crate) seeks: bool,
}

impl Snapshot {
    pub(crate) fn stored(&self) -> i64 {
        self.partitions.iter().map(|partition| partition.counters.stored).sum()
    }
}

/// What has been read so far.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) changed: i64,
    pub(crate) stored: i64,
    /// Pages whose rows are all read, but for those of transactions that were open.
    pub(crate) pages: u32,
    pub(crate) page_bytes: usize,
    pub(crate) seen: Seen,
    /// Rows of another program's.
    pub(crate) foreign: u64,
    pub(crate) odd_amounts: u64,
}

/// Why everything is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// It is the first time.
    First,
    /// The table was made anew, emptied or rewritten.
    OtherTable,
    /// Rows were deleted or changed.
    RowsChanged,
    /// The offset rows and the table's rows do not agree with what was read.
    CountDiffers,
}

impl Reload {
    /// For a person.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::First => "read for the first time",
            Self::OtherTable => "the table was made anew, emptied or rewritten",
            Self::RowsChanged => "rows were deleted or changed",
            Self::CountDiffers => "the table's rows and the consumers' count did not agree",
        }
    }
}

/// Takes rows in: each piece is all that readers see of it at once.
pub(crate) trait Sink {
    /// Forgets all rows: they are read again.
    fn restart(&mut self);
    /// Changes the columns while nobody reads them.
    fn write(&mut self, change: &mut dyn FnMut(&mut Columns) -> Result<()>) -> Result<()>;
    /// How far the first reading is, of 1; says whether to go on.
    fn progress(&mut self, snapshot: &Snapshot, share: f64) -> Progress;
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    GoOn,
    /// There is no room for more.
    Full,
    /// The engine is being closed.
    Stop,
}

/// A session that reads.
#[derive(Debug)]
pub(crate) struct Follower {
    client: Client,
    /// The role whose rights it has, where the schema step could make one.
    pub(crate) role: Option<String>,
}

impl Follower {
    /// Connects for reading only, with the reading role's rights where there is one.
    pub(crate) async fn connect(url: &DatabaseUrl) -> Result<Self> {
        let step = || Error::postgres("setting up the connection");
        let client = connect(url).await?;
        client
            .batch_execute(
                "SET default_transaction_read_only = on; SET statement_timeout = '60s'; SET timezone = 'UTC';
                 SET idle_in_transaction_session_timeout = '60s'; SET client_encoding = 'UTF8'",
            )
            .await
            .map_err(step())?;
        let role = client
            .query_opt(
                "SELECT rolname::text FROM pg_roles WHERE rolname = $1 AND pg_has_role(oid, 'MEMBER')",
                &[&READER],
            )
            .await
            .map_err(step())?;
        let role: Option<String> = role.map(|row| row.get(0));
        if role.is_some() {
            client.batch_execute(&format!("SET ROLE {READER}")).await.map_err(step())?;
        }
        Ok(Self { client, role })
    }

    /// Brings the columns up to a new snapshot; that, and whether everything had to be read again.
    pub(crate) async fn refresh(
        &mut self,
        known: &mut Option<Known>,
        sink: &mut dyn Sink,
    ) -> Result<(Snapshot, Option<Reload>)> {
        let step = || Error::postgres("beginning a snapshot");
        let transaction = self
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(step())?;
        let snapshot = look(&transaction).await?;
        let mut reload = reason(known.as_ref(), &snapshot);
        if reload.is_none()
            && let Some(known) = known
        {
            reload = follow(&transaction, &snapshot, known, sink).await?;
        }
        if let Some(why) = reload {
            if why != Reload::First {
                tracing::warn!(?why, "Reading orders from the beginning.");
            }
            sink.restart();
            *known = None;
            *known = Some(load(&transaction, &snapshot, sink).await?);
        }
        transaction.commit().await.map_err(step())?;
        Ok((snapshot, reload))
    }

    /// Rows of a small question, in a transaction of its own.
    pub(crate) async fn query(&self, what: &str, sql: &str) -> Result<Vec<SqlRow>> {
        self.client.query(sql, &[]).await.map_err(Error::postgres(what))
    }
}

/// The snapshot's own figures.
pub(super) async fn look(transaction: &Transaction<'_>) -> Result<Snapshot> {
    let step = || Error::postgres("looking at orders and kafka_offsets");
    let there = transaction
        .query_one("SELECT to_regclass('orders') IS NOT NULL AND to_regclass('kafka_offsets') IS NOT NULL", &[])
        .await
        .map_err(step())?;
    if !there.get::<_, bool>(0) {
        return Err(Error::Schema("there is no table orders yet; start the consumer once".into()));
    }
    let row = transaction
        .query_one(
            "SELECT (extract(epoch FROM now()) * 1000000)::bigint,
                    CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
                         THEN (SELECT system_identifier FROM pg_control_system()) END,
                    (SELECT oid FROM pg_database WHERE datname = current_database()), c.oid,
                    coalesce(pg_relation_filenode(c.oid), 0::oid),
                    (pg_relation_size(c.oid) / current_setting('block_size')::int)::int,
                    current_setting('block_size')::int,
                    coalesce(pg_stat_get_tuples_deleted(c.oid) + pg_stat_get_tuples_updated(c.oid), 0),
                    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
                         AND classid::bigint = $1::bigint >> 32 AND objid::bigint = $1::bigint & 4294967295
                         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
                    current_setting('server_version_num')::int >= 140000
             FROM pg_class c WHERE c.oid = to_regclass('orders')",
            &[&crate::store::MARK],
        )
        .await
        .map_err(step())?;
    let partitions = transaction
        .query(
            "SELECT consumer_group, topic, partition, next_offset, consumed, stored, duplicate, rejected, missing,
                    (extract(epoch FROM updated_at) * 1000000)::bigint
             FROM kafka_offsets ORDER BY 1, 2, 3",
            &[],
        )
        .await
        .map_err(step())?;
    let partition = |row: &SqlRow| PartitionState {
        group: row.get(0),
        topic: row.get(1),
        partition: row.get(2),
        next_offset: row.get(3),
        counters: Counters {
            consumed: row.get(4),
            stored: row.get(5),
            duplicate: row.get(6),
            rejected: row.get(7),
            missing: row.get(8),
        },
        updated_at: row.get(9),
    };
    Ok(Snapshot {
        at: row.get(0),
        identity: Identity { system: row.get(1), database: row.get(2), table: row.get(3), file: row.get(4) },
        pages: row.get::<_, i32>(5) as u32,
        page_bytes: row.get(6),
        changed: row.get(7),
        partitions: partitions.iter().map(partition).collect(),
        consumers: row.get(8),
        seeks: row.get(9),
    })
}

/// Whether what is known is of no use any more.
fn reason(known: Option<&Known>, snapshot: &Snapshot) -> Option<Reload> {
    let Some(known) = known else { return Some(Reload::First) };
    if known.identity != snapshot.identity {
        return Some(Reload::OtherTable);
    }
    if snapshot.changed > known.changed {
        return Some(Reload::RowsChanged);
    }
    (snapshot.stored() < known.stored).then_some(Reload::CountDiffers)
}

/// Reads all of it, the newest pages first.
pub(super) async fn load(transaction: &Transaction<'_>, snapshot: &Snapshot, sink: &mut dyn Sink) -> Result<Known> {
    let mut known = Known {
        identity: snapshot.identity.clone(),
        changed: snapshot.changed,
        stored: snapshot.stored(),
        pages: snapshot.pages,
        page_bytes: snapshot.page_bytes as usize,
        seen: Seen::new(snapshot.page_bytes as usize),
        foreign: 0,
        odd_amounts: 0,
    };
    let (mut end, mut piece) = (snapshot.pages, FIRST_PIECE);
    while end > 0 {
        let begin = if snapshot.seeks { end.saturating_sub(piece) } else { 0 };
        // The last piece of the table may have grown since its size was asked: its end is left open.
        let until = (end < snapshot.pages).then_some(end);
        take_new(transaction, begin, until, true, &mut known, sink, i64::MAX).await?;
        let share = f64::from(snapshot.pages - begin) / f64::from(snapshot.pages);
        match sink.progress(snapshot, share) {
            Progress::GoOn => {}
            Progress::Stop => break,
            Progress::Full => {
                let last = last_time_before(transaction, begin).await?;
                sink.write(&mut |columns| {
                    columns.dropped_until = columns.dropped_until.max(last);
                    Ok(())
                })?;
                break;
            }
        }
        (end, piece) = (begin, PIECE);
    }
    Ok(known)
}

/// The latest time in the pages before this one, in microseconds since 1970 UTC.
async fn last_time_before(transaction: &Transaction<'_>, page: u32) -> Result<Option<i64>> {
    let step = || Error::postgres("looking for the last time that is not read");
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await.map_err(step())?;
    let last = format!(
        "SELECT (extract(epoch FROM max(timestamp)) * 1000000)::bigint FROM orders WHERE ctid < '({page},0)'::tid"
    );
    Ok(transaction.query_one(&last, &[]).await.map_err(step())?.get(0))
}

/// Reads what was stored since; why everything must be read again, if it must.
async fn follow(
    transaction: &Transaction<'_>,
    snapshot: &Snapshot,
    known: &mut Known,
    sink: &mut dyn Sink,
) -> Result<Option<Reload>> {
    let wanted = snapshot.stored() - known.stored;
    let (mut found, mut end, mut further) = (0, None, MARGIN);
    while found < wanted {
        let begin = known.pages.saturating_sub(further);
        if end == Some(begin) {
            return Ok(Some(Reload::CountDiffers));
        }
        found += take_new(transaction, begin, end, false, known, sink, wanted).await?;
        // All that is new is mostly there; else the transactions of others took long, or filled gaps.
        (end, further) = (Some(begin), further.saturating_mul(FURTHER));
    }
    if found > wanted {
        return Ok(Some(Reload::CountDiffers));
    }
    (known.stored, known.pages, known.changed) = (snapshot.stored(), snapshot.pages, snapshot.changed);
    Ok(None)
}

/// Reads the rows in a range of pages that have not been read; how many.
async fn take_new(
    transaction: &Transaction<'_>,
    begin: u32,
    end: Option<u32>,
    foreign_too: bool,
    known: &mut Known,
    sink: &mut dyn Sink,
    wanted: i64,
) -> Result<i64> {
    /// So many bytes are gathered before they are handed over, if they need not come at once: as few as the sockets
    /// hold meanwhile, so that PostgreSQL goes on sending.
    const GATHERED: usize = 1 << 17;
    let step = || Error::postgres("reading orders");
    let until = end.map_or(String::new(), |end| format!(" AND ctid < '({end},0)'::tid"));
    let own = if foreign_too { "" } else { " AND kafka_partition IS NOT NULL" };
    let statement = format!(
        "COPY (SELECT {READ} FROM orders WHERE ctid >= '({begin},0)'::tid{until}{own}) TO STDOUT (FORMAT binary)"
    );
    let stream = transaction.copy_out(&statement).await.map_err(step())?;
    let mut stream = pin!(stream);
    let mut decoder = Decoder::default();
    let mut taken = 0;
    let mut bytes: Vec<u8> = Vec::new();
    let at_once = !foreign_too && wanted <= ATOMIC_ROWS;
    loop {
        let piece = stream.next().await.transpose().map_err(step())?;
        let done = piece.is_none();
        if let Some(piece) = piece {
            bytes.extend_from_slice(&piece);
        }
        if done || !at_once && bytes.len() > GATHERED {
            sink.write(&mut |columns| {
                decoder.feed(&bytes, |found: Found<'_>| {
                    if known.seen.insert(found.page, found.place) {
                        columns.push(&found.row);
                        taken += 1;
                        known.foreign += u64::from(!found.ours);
                        known.odd_amounts += u64::from(found.odd_amount);
                    }
                    Ok(())
                })
            })?;
            bytes.clear();
        }
        if done {
            return Ok(taken);
        }
    }
}

/// Ends a wait early when asked to.
pub(crate) async fn or_stop<T>(work: impl Future<Output = T>, stop: &tokio_util::sync::CancellationToken) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}
