//! Reads `orders` into columns and follows it, one snapshot of PostgreSQL's at a time.
//!
//! The first reading goes backwards through the table's pages, so that the newest rows are there first. From then
//! on the offset rows say how many rows each commit stored; these are looked for where they may lie, by their place
//! (`ctid` ranges, which need no index and so cost ingest nothing), and counted. Where the count is not what the
//! offset rows promise, the search goes further, at last through the whole table; if even that does not agree,
//! somebody changed the table, and everything is read again.

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

/// Pages of the first piece that is read, and of the others.
const FIRST_PIECE: u32 = 2_048;
const PIECE: u32 = 16_384;
/// More new rows than this are handed over in pieces: readers see them come.
const ATOMIC_ROWS: i64 = 200_000;
/// Pages at the end of what is known that are compared with the table after a connection was lost: a server that
/// crashed may have lost its last commits, and have other rows there now.
const COMPARED: u32 = 4_096;
/// Where rows are changed all the time, the table is read again for a twentieth of the time at most.
const SELDOM: u32 = 20;

/// What has been read so far.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) identity: Identity,
    pub(crate) changed: i64,
    pub(crate) stored: i64,
    pub(crate) horizon: i64,
    /// The page after the last that a row was read from.
    pub(crate) pages: u32,
    pub(crate) page_bytes: usize,
    pub(crate) seen: Seen,
    pub(crate) spots: Spots,
    /// Rows of another program's.
    pub(crate) foreign: u64,
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

    /// Adds a row, unless it is there; whether it was new.
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

/// A number that another row would hardly have.
fn sum(found: &LocatedRow<'_>) -> u32 {
    let mut crc = Crc::new();
    crc.update(found.raw);
    crc.sum()
}

/// Why everything is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// It is the first time.
    First,
    /// The table was made anew, emptied or rewritten.
    OtherTable,
    /// Other rows lie where rows were read: the server lost commits.
    OtherRows,
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
            Self::OtherRows => "the server had lost its last commits",
            Self::RowsChanged => "rows were deleted or changed",
            Self::CountDiffers => "the table's rows and the consumers' count did not agree",
        }
    }
}

/// Takes rows in: each piece is all that readers see of it at once.
pub(crate) trait Sink {
    /// Forgets all rows: they are read again.
    fn restart(&mut self);
    /// Changes the columns while nobody reads them; `at` is the moment that they are then complete for.
    fn write(&mut self, at: Option<i64>, change: &mut dyn FnMut(&mut Columns) -> Result<()>) -> Result<()>;
    /// How far the first reading is, of 1; whether there is room for more.
    fn progress(&mut self, snapshot: &Snapshot, share: f64) -> bool;
    /// How far a long reading of new rows is, of 1.
    fn catching_up(&mut self, share: f64);
}

/// Follows one table over one connection.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) reader: Reader,
    /// The version of the table's row in the catalogue for which its shape was checked.
    checked: Option<String>,
    /// Whether what is known from an earlier session is known to be there still.
    compared: bool,
    /// When everything was last read, and how long that took.
    read_all: Option<(Instant, Duration)>,
}

/// What a look at the database came to.
#[derive(Debug)]
pub(crate) struct Refreshed {
    pub(crate) snapshot: Snapshot,
    /// Why everything was read again, if it was.
    pub(crate) reload: Option<Reload>,
    /// Rows were changed or deleted that are still here as they were: it is too soon to read all again.
    pub(crate) outdated: bool,
    /// The reading role, where its rights were those that it was read with.
    pub(crate) role: Option<String>,
}

impl Follower {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader, checked: None, compared: false, read_all: None }
    }

    /// Brings the columns up to a new snapshot.
    pub(crate) async fn refresh(&mut self, known: &mut Option<Known>, sink: &mut dyn Sink) -> Result<Refreshed> {
        let changed = changed(&self.reader.client).await?;
        let reading = self.reader.begin(PAGE_LIMIT).await?;
        let definition = definition(&reading.transaction).await?;
        if definition.is_none() || definition != self.checked {
            reading.check_tables(&Tables::default()).await?;
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

/// The version of the table's row in the catalogue, which is new with its kind, its rules and its row level security.
async fn definition(transaction: &Transaction<'_>) -> Result<Option<String>> {
    let sql = "SELECT xmin::text FROM pg_class WHERE oid = to_regclass('orders')";
    let row = transaction.query_typed_opt(sql, &[]).await.map_err(Error::postgres("looking for orders"))?;
    Ok(row.map(|row| row.get(0)))
}

/// Whether what is known is of no use any more.
fn reason(known: Option<&Known>, snapshot: &Snapshot) -> Option<Reload> {
    let Some(known) = known else { return Some(Reload::First) };
    if known.identity != snapshot.identity {
        return Some(Reload::OtherTable);
    }
    // Less than before: a crash has cleared the statistics.
    if snapshot.changed != known.changed {
        return Some(Reload::RowsChanged);
    }
    (snapshot.stored() < known.stored).then_some(Reload::CountDiffers)
}

/// Reads all of it, the newest pages first.
pub(super) async fn load(transaction: &Transaction<'_>, snapshot: &Snapshot, sink: &mut dyn Sink) -> Result<Known> {
    let mut known = Known::new(snapshot);
    let (mut end, mut piece) = (snapshot.pages, FIRST_PIECE);
    while end > 0 {
        let begin = if snapshot.seeks { end.saturating_sub(piece) } else { 0 };
        // The last piece of the table may have grown since its size was asked: its end is left open.
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

/// The latest time in the pages before this one, in microseconds since 1970 UTC; at most `now`.
async fn last_time_before(transaction: &Transaction<'_>, page: u32, now: i64) -> Result<Option<i64>> {
    let step = || Error::postgres("looking for the last time that is not read");
    transaction.batch_execute("SET LOCAL statement_timeout = '10min'").await.map_err(step())?;
    let last = format!(
        "SELECT (extract(epoch FROM max(timestamp)) * 1000000)::bigint FROM orders
         WHERE ctid < '({page},0)'::tid AND timestamp <= to_timestamp({now} / 1000000.0) AT TIME ZONE 'UTC'"
    );
    Ok(transaction.query_typed_one(&last, &[]).await.map_err(step())?.get(0))
}

/// Whether the last rows that are known lie where they did.
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

/// Reads what was stored since; why everything must be read again, if it must.
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
        // Readers are to see all of a commit or nothing, so that rows are gathered until all are found.
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

/// Reads rows that meet one of the conditions, for each of them; their bytes are handed over in pieces, with what
/// decodes them.
async fn read(
    transaction: &Transaction<'_>,
    conditions: &[String],
    mut take: impl FnMut(&mut Decoder, &[u8]) -> Result<()>,
) -> Result<()> {
    /// So many bytes are gathered before they are handed over: as few as the sockets hold meanwhile, so that
    /// PostgreSQL goes on sending.
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

/// Ends a wait early when asked to.
pub(crate) async fn or_stop<T>(work: impl Future<Output = T>, stop: &tokio_util::sync::CancellationToken) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}
