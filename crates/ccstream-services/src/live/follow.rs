//! The follower reads `orders` into columns and then follows the table, one snapshot of PostgreSQL at a time.
//!
//! The first reading goes backwards through the table's pages, so that the newest rows are available first. Later, the
//! offset rows in `kafka_offsets` tell how many rows were stored since the last snapshot. The follower searches for
//! them in the pages where new rows are likely, by `ctid` ranges, which need no index and so do not slow ingest down.
//! If it finds fewer rows than were stored, it searches further pages, and finally the whole table. If the numbers
//! still differ, somebody has changed the table, and everything is read again.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use flate2::Crc;
use futures_util::StreamExt;
use tokio_postgres::Transaction;

use super::search::Spots;
use super::seen::Seen;
use super::snapshot::{Identity, Snapshot, changed, look};
use crate::error::{Error, Result};
use crate::postgres::reading::{PAGE_LIMIT, Reader};
use crate::postgres::tables::Tables;
use ccstream_kpi::rows::columns::Columns;
use ccstream_kpi::rows::decode::{Decoder, LocatedRow, selection, strange};

/// Number of pages in the first piece of a full reading. It is small, so that the newest rows are available soon.
const FIRST_PIECE: u32 = 2_048;
/// Number of pages in each further piece.
const PIECE: u32 = 16_384;
/// Maximum number of new rows that queries see all at once. More are added in pieces while they are read.
const ATOMIC_ROWS: i64 = 200_000;
/// Number of the last known pages that are compared with the table at the first refresh over a new connection. A server
/// that crashed may have lost its last commits, and may have other rows there now.
const COMPARED: u32 = 4_096;
/// Minimum time from one full reading to the next because of changed rows, as a multiple of how long the reading took.
/// If rows are changed all the time, the engine spends at most a twentieth of the time on reading the table again.
const SELDOM: u32 = 20;

/// Describes what has been read so far.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The table that was read.
    pub(crate) identity: Identity,
    /// Number of rows that had been deleted or changed, from the statistics.
    pub(crate) changed: i64,
    /// Number of rows that the consumers had stored.
    pub(crate) stored: i64,
    /// The snapshot's oldest open transaction: see [`Snapshot::horizon`].
    pub(crate) horizon: i64,
    /// The page after the last one from which a row was read.
    pub(crate) pages: u32,
    pub(crate) page_bytes: usize,
    pub(crate) seen: Seen,
    pub(crate) spots: Spots,
    /// Number of rows that another program has inserted.
    pub(crate) foreign: u64,
    /// Number of rows whose amount is NaN, or too large for cents in 64 bits.
    pub(crate) odd_amounts: u64,
}

impl Known {
    fn new(snapshot: &Snapshot) -> Self {
        Self {
            identity: snapshot.identity.clone(),
            changed: snapshot.changed,
            stored: snapshot.stored(),
            horizon: snapshot.horizon,
            pages: 0,
            page_bytes: snapshot.page_bytes as usize,
            seen: Seen::new(snapshot.page_bytes as usize),
            spots: Spots::default(),
            foreign: 0,
            odd_amounts: 0,
        }
    }

    /// Adds a row, unless it was added before. Returns whether it was new.
    fn take(&mut self, found: &LocatedRow<'_>, columns: &mut Columns) -> Result<bool> {
        if !self.seen.insert(found.page, found.place, sum(found)) {
            return Ok(false);
        }
        columns.push(&found.row).map_err(|_| strange("a text is not UTF-8"))?;
        self.pages = self.pages.max(found.page + 1);
        self.foreign += u64::from(!found.ours);
        self.odd_amounts += u64::from(found.odd_amount);
        Ok(true)
    }
}

/// Returns a checksum of a row, which another row is unlikely to have.
fn sum(found: &LocatedRow<'_>) -> u32 {
    let mut crc = Crc::new();
    crc.update(found.raw);
    crc.sum()
}

/// Tells why the whole table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The table is read for the first time.
    First,
    /// The table was recreated, emptied or rewritten.
    OtherTable,
    /// Rows that were read are no longer in their places: the server has lost its last commits.
    OtherRows,
    /// Rows were deleted or changed.
    RowsChanged,
    /// The number of rows in the table differs from what the consumers have counted.
    CountDiffers,
}

impl Reload {
    /// Returns the reason in words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::First => "read for the first time",
            Self::OtherTable => "the table was recreated, emptied or rewritten",
            Self::OtherRows => "the server had lost its last commits",
            Self::RowsChanged => "rows were deleted or changed",
            Self::CountDiffers => "the table's rows and the consumers' count did not agree",
        }
    }
}

/// Receives rows. A query sees a change of the columns as a whole or not at all.
pub(crate) trait Sink {
    /// Removes all rows, because the table is read from the beginning.
    fn restart(&mut self);
    /// Changes the columns while no query reads them. If the change completes the columns for a snapshot, `at` is that
    /// snapshot's time, in microseconds since 1970 UTC; otherwise None.
    fn write(&mut self, at: Option<i64>, change: &mut dyn FnMut(&mut Columns) -> Result<()>) -> Result<()>;
    /// Reports which share of the table a full reading has read, from 0 to 1. Returns whether there is room for more
    /// rows.
    fn progress(&mut self, snapshot: &Snapshot, share: f64) -> bool;
    /// Reports which share of many new rows has been read, from 0 to 1.
    fn catching_up(&mut self, share: f64);
}

/// Follows one table over one connection.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) reader: Reader,
    /// The version of the table's row in the catalogue when the table's shape was last checked.
    checked: Option<String>,
    /// Whether the rows from before this connection have been compared with the table.
    compared: bool,
    /// When the whole table was last read, and how long that took.
    read_all: Option<(Instant, Duration)>,
}

/// Holds the result of a refresh.
#[derive(Debug)]
pub(crate) struct Refreshed {
    pub(crate) snapshot: Snapshot,
    /// Why the whole table was read, if it was.
    pub(crate) reload: Option<Reload>,
    /// Whether rows were changed or deleted in the table, but it is too soon to read the whole table again.
    pub(crate) outdated: bool,
    /// The role with whose privileges the table was read, if it is not the login's own.
    pub(crate) role: Option<String>,
}

impl Follower {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader, checked: None, compared: false, read_all: None }
    }

    /// Brings the columns up to date with a new snapshot.
    pub(crate) async fn refresh(&mut self, known: &mut Option<Known>, sink: &mut dyn Sink) -> Result<Refreshed> {
        let changed = changed(&self.reader.client).await?;
        let reading = self.reader.begin(PAGE_LIMIT).await?;
        let definition = definition(&reading.transaction).await?;
        if definition.is_none() || definition != self.checked {
            // Figures need no derived table. One that is missing is reported when it is queried.
            reading.check_tables(&Tables::without_derived()).await?;
            self.checked = definition;
        }
        let transaction = &reading.transaction;
        let snapshot = look(transaction, changed).await?;
        let mut reload = reason(known.as_ref(), &snapshot);
        let too_soon = self.read_all.is_some_and(|(at, took)| at.elapsed() < took * SELDOM);
        let outdated = reload == Some(Reload::RowsChanged) && too_soon;
        if outdated {
            reload = None;
        }
        if let (None, Some(known)) = (reload, known.as_ref())
            && !self.compared
            && !is_there_still(transaction, known).await?
        {
            reload = Some(Reload::OtherRows);
        }
        self.compared = true;
        if let (None, Some(known)) = (reload, known.as_mut()) {
            reload = follow(transaction, &snapshot, known, sink).await?;
        }
        if let Some(why) = reload {
            if why != Reload::First {
                tracing::warn!(?why, "Reading orders from the beginning.");
            }
            let began = Instant::now();
            sink.restart();
            *known = None;
            *known = Some(load(transaction, &snapshot, sink).await?);
            self.read_all = Some((Instant::now(), began.elapsed()));
        }
        let role = reading.role.clone();
        reading.end().await?;
        Ok(Refreshed { snapshot, reload, outdated, role })
    }
}

/// Returns the version of the table's row in the catalogue; None if the table does not exist. The version changes when
/// the table's kind, its rules or its row-level security change.
async fn definition(transaction: &Transaction<'_>) -> Result<Option<String>> {
    let sql = "SELECT xmin::text FROM pg_class WHERE oid = to_regclass('orders')";
    let row =
        transaction.query_typed_opt(sql, &[]).await.map_err(Error::postgres("querying the definition of orders"))?;
    Ok(row.map(|row| row.get(0)))
}

/// Returns why the whole table must be read; None if what is known can be continued.
fn reason(known: Option<&Known>, snapshot: &Snapshot) -> Option<Reload> {
    let Some(known) = known else { return Some(Reload::First) };
    if known.identity != snapshot.identity {
        return Some(Reload::OtherTable);
    }
    // The number also differs after a crash, which clears the statistics.
    if snapshot.changed != known.changed {
        return Some(Reload::RowsChanged);
    }
    (snapshot.stored() < known.stored).then_some(Reload::CountDiffers)
}

/// Reads the whole table, the newest pages first.
pub(super) async fn load(transaction: &Transaction<'_>, snapshot: &Snapshot, sink: &mut dyn Sink) -> Result<Known> {
    let mut known = Known::new(snapshot);
    let (mut end, mut piece) = (snapshot.pages, FIRST_PIECE);
    while end > 0 {
        let begin = if snapshot.seeks { end.saturating_sub(piece) } else { 0 };
        // The table may have grown since its size was queried, so the range of its last pages has no end.
        let until = if end < snapshot.pages { format!(" AND ctid < '({end},0)'::tid") } else { String::new() };
        read(transaction, &[format!("ctid >= '({begin},0)'::tid{until}")], |decoder, bytes| {
            sink.write(None, &mut |columns| decoder.feed(bytes, |found| known.take(&found, columns).map(drop)))
        })
        .await?;
        let share = f64::from(snapshot.pages - begin) / f64::from(snapshot.pages);
        if !sink.progress(snapshot, share) {
            let last = last_time_before(transaction, begin, snapshot.at).await?;
            sink.write(None, &mut |columns| {
                columns.dropped_until = columns.dropped_until.max(last);
                Ok(())
            })?;
            break;
        }
        (end, piece) = (begin, PIECE);
    }
    Ok(known)
}

/// Returns the latest time of a row before this page, in microseconds since 1970 UTC. Times after `now` are ignored.
async fn last_time_before(transaction: &Transaction<'_>, page: u32, now: i64) -> Result<Option<i64>> {
    let step = || Error::postgres("querying the latest time of the rows that are not read");
    transaction.batch_execute("SET LOCAL statement_timeout = '10min'").await.map_err(step())?;
    let last = format!(
        "SELECT (extract(epoch FROM max(timestamp)) * 1000000)::bigint FROM orders
         WHERE ctid < '({page},0)'::tid AND timestamp <= to_timestamp({now} / 1000000.0) AT TIME ZONE 'UTC'"
    );
    Ok(transaction.query_typed_one(&last, &[]).await.map_err(step())?.get(0))
}

/// Returns whether the last rows that are known are still in their places.
async fn is_there_still(transaction: &Transaction<'_>, known: &Known) -> Result<bool> {
    let begin = known.pages.saturating_sub(COMPARED);
    let mut sums = vec![0u32; (known.pages - begin) as usize];
    let range = format!("ctid >= '({begin},0)'::tid AND ctid < '({},0)'::tid", known.pages);
    read(transaction, &[range], |decoder, bytes| {
        decoder.feed(bytes, |found| {
            if known.seen.contains(found.page, found.place) {
                let page = &mut sums[(found.page - begin) as usize];
                *page = page.wrapping_add(sum(&found));
            }
            Ok(())
        })
    })
    .await?;
    Ok((begin..known.pages).zip(&sums).all(|(page, sum)| known.seen.sum(page) == *sum))
}

/// Reads the rows that were stored since the last snapshot. Returns why the whole table must be read, if it must.
async fn follow(
    transaction: &Transaction<'_>,
    snapshot: &Snapshot,
    known: &mut Known,
    sink: &mut dyn Sink,
) -> Result<Option<Reload>> {
    let wanted = snapshot.stored() - known.stored;
    let (mut taken, mut gathered, mut places) = (0, Vec::new(), Seen::new(known.page_bytes));
    let end = known.pages;
    for step in known.spots.steps(known.pages, known.horizon, snapshot) {
        if taken >= wanted {
            break;
        }
        // A query must see all rows of a commit or none, so up to `ATOMIC_ROWS` rows are gathered until all are found.
        read(transaction, &step, |decoder, bytes| {
            if wanted <= ATOMIC_ROWS {
                return decoder.feed(bytes, |found| {
                    let is_new = !known.seen.contains(found.page, found.place);
                    if is_new && places.insert(found.page, found.place, 0) {
                        gathered.extend_from_slice(found.raw);
                        taken += 1;
                    }
                    Ok(())
                });
            }
            sink.catching_up((taken as f64 / wanted as f64).min(0.999));
            sink.write(None, &mut |columns| {
                decoder.feed(bytes, |found| {
                    taken += i64::from(known.take(&found, columns)?);
                    Ok(())
                })
            })
        })
        .await?;
    }
    if taken != wanted {
        return Ok(Some(Reload::CountDiffers));
    }
    sink.write(Some(snapshot.at), &mut |columns| {
        Decoder::of_rows().feed(&gathered, |found| {
            known.spots.note(found.page, end);
            known.take(&found, columns).map(drop)
        })
    })?;
    (known.stored, known.horizon) = (snapshot.stored(), snapshot.horizon);
    Ok(None)
}

/// Reads the rows that meet each condition; a row that meets several is read several times. Passes the bytes to `take`
/// in pieces, with the decoder for them.
async fn read(
    transaction: &Transaction<'_>,
    conditions: &[String],
    mut take: impl FnMut(&mut Decoder, &[u8]) -> Result<()>,
) -> Result<()> {
    /// Number of bytes that are gathered before they are decoded. It is no more than the sockets can buffer during the
    /// decoding, so that PostgreSQL can go on sending.
    const GATHERED: usize = 1 << 17;
    let step = || Error::postgres("reading orders");
    if conditions.is_empty() {
        return Ok(());
    }
    let selection = selection();
    let parts: Vec<_> =
        conditions.iter().map(|condition| format!("SELECT {selection} FROM orders WHERE {condition}")).collect();
    let statement = format!("COPY ({}) TO STDOUT (FORMAT binary)", parts.join(" UNION ALL "));
    let stream = transaction.copy_out(&statement).await.map_err(step())?;
    let mut stream = pin!(stream);
    let mut decoder = Decoder::default();
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(piece) = stream.next().await.transpose().map_err(step())? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > GATHERED {
            take(&mut decoder, &bytes)?;
            bytes.clear();
        }
    }
    take(&mut decoder, &bytes)
}

/// Waits for `work`, but returns None as soon as `stop` is cancelled.
pub(crate) async fn or_stop<T>(work: impl Future<Output = T>, stop: &tokio_util::sync::CancellationToken) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}
