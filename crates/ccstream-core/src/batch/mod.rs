//! Collects the messages of one database transaction: rows encoded for COPY, dead letters, and the progress of each
//! partition. It does no I/O.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use crate::currency::Currency;
use crate::event::{Cents, Micros, Transaction};
use crate::fields::Place;
use crate::kept::Kept;
use crate::rejection::Rejection;
use crate::table::{ID_AT, encode_row};

/// Locates one row in the batch's buffers.
#[derive(Debug, Clone, Copy)]
struct Row {
    start: u32,
    end: u32,
    id_len: u16,
    /// Start of the original message in [`Batch::raw`]: the key, then the payload.
    raw_start: u32,
    /// None if the message has no key.
    key_len: Option<u32>,
    payload_len: u32,
    /// Index into [`Batch::labels`].
    label: u32,
    partition: i32,
    time: Micros,
    offset: i64,
    cents: i64,
}

/// Holds a dead letter: a message that is not stored as a row, and the reason.
#[derive(Debug)]
pub struct RejectedMessage {
    /// The partition of the message.
    pub partition: i32,
    /// The message's offset in that partition.
    pub offset: i64,
    /// The key; None if the message has none.
    pub key: Option<Kept>,
    /// The payload; None for a tombstone.
    pub payload: Option<Kept>,
    /// The reason for the rejection.
    pub rejection: Rejection,
}

impl RejectedMessage {
    fn new((partition, offset): (i32, i64), key: Option<&[u8]>, payload: Option<&[u8]>, rejection: Rejection) -> Self {
        Self { partition, offset, key: key.map(Kept::of), payload: payload.map(Kept::of), rejection }
    }

    /// Returns whether the key or the payload is truncated, so that the message cannot be replayed.
    pub fn is_partial(&self) -> bool {
        self.parts().any(Kept::is_partial)
    }

    fn parts(&self) -> impl Iterator<Item = &Kept> {
        self.key.iter().chain(&self.payload)
    }

    /// Returns whether a card number is masked in the key or the payload, so that the message cannot be replayed.
    pub fn is_masked(&self) -> bool {
        self.parts().any(|part| part.masked)
    }
}

/// Holds the position at which a partition is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The epoch under which this consumer owns the partition.
    pub epoch: i64,
    /// The offset of the next message.
    pub next: i64,
}

/// Describes how far a batch advances one partition, and what became of the partition's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The `epoch` that the partition's row in `kafka_offsets` must have when the batch is committed.
    pub epoch: i64,
    /// The `next_offset` that the row must have before the commit.
    pub from: i64,
    /// The `next_offset` that the row has after the commit.
    pub to: i64,
    /// Number of messages delivered to the consumer.
    pub consumed: i64,
    /// Number of messages whose id was already stored.
    pub duplicate: i64,
    /// Number of messages that became dead letters.
    pub rejected: i64,
    /// Number of offsets that retention deleted before they were read, or that are unreadable.
    pub missing: i64,
}

/// Describes what became of a row in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The row was inserted.
    Stored,
    /// The row's id was already stored.
    Duplicate,
    /// PostgreSQL refused the row; the message is among [`Batch::kept`].
    Refused,
}

/// Maps texts to values. It uses hashbrown's hasher, which is faster than std's: every message needs a lookup.
type ByText<T> = HashMap<String, T, hashbrown::DefaultHashBuilder>;

/// Gives access to a row that was inserted, so neither a duplicate nor refused.
#[derive(Debug, Clone, Copy)]
pub struct StoredRow<'b> {
    batch: &'b Batch,
    row: &'b Row,
}

impl<'b> StoredRow<'b> {
    /// Returns the bytes of the row's id.
    pub fn id(self) -> &'b [u8] {
        self.batch.id_bytes(self.row)
    }
    /// Returns the partition of the row's message.
    pub fn partition(self) -> i32 {
        self.row.partition
    }
    /// Returns the message's offset in that partition.
    pub fn offset(self) -> i64 {
        self.row.offset
    }
    /// Returns the time of the transaction.
    pub fn timestamp(self) -> Micros {
        self.row.time
    }
    /// Returns the amount that was paid.
    pub fn value(self) -> Cents {
        Cents(self.row.cents)
    }
    /// Returns the number of the row's pair of currency and status, valid in this batch: see [`Batch::label_text`].
    pub fn label(self) -> u32 {
        self.row.label
    }
}

/// Collects messages of one assignment in the order of their arrival.
#[derive(Debug, Default)]
pub struct Batch {
    /// The time of the first addition; None while the batch is empty.
    pub opened: Option<Instant>,
    /// Progress of each partition. It does not yet count the rows that PostgreSQL refuses or finds to be duplicates.
    read: BTreeMap<i32, Advance>,
    rejected: Vec<RejectedMessage>,
    messages: usize,
    /// Whether the rows are sorted, as [`Batch::seal`] does it.
    sealed: bool,
    rows: Vec<Row>,
    /// For each row of a sealed batch, whether the previous row has an equal id.
    repeats: Vec<bool>,
    /// What became of each row at the most recent attempt to write the batch.
    fates: Vec<Fate>,
    refused: Vec<RejectedMessage>,
    /// The rows, encoded for binary COPY.
    buffer: Vec<u8>,
    /// The original messages of all rows. If PostgreSQL refuses a row, its message becomes a dead letter.
    raw: Vec<u8>,
    dead_letter_bytes: usize,
    /// A currency ([`Currency`]) and a status for each pair of texts that was sent; "" if there is none.
    labels: Vec<(String, String)>,
    /// The indices of the labels, by the currency and then the status that was sent.
    label_places: ByText<ByText<u32>>,
}

impl Batch {
    /// Returns the number of messages in the batch, dead letters included.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Returns the number of bytes in the batch: encoded rows, their messages, and dead letters.
    pub fn bytes(&self) -> usize {
        self.buffer.len() + self.raw.len() + self.dead_letter_bytes
    }

    /// Returns whether the batch advances no partition. A batch without messages may still advance one: see
    /// [`Batch::skip`].
    pub fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Empties the batch but keeps its memory.
    pub fn clear(&mut self) {
        self.opened = None;
        self.messages = 0;
        self.sealed = false;
        self.read.clear();
        self.rejected.clear();
        self.rows.clear();
        self.repeats.clear();
        self.fates.clear();
        self.refused.clear();
        self.buffer.clear();
        self.raw.clear();
        self.dead_letter_bytes = 0;
        self.labels.clear();
        self.label_places.clear();
    }

    /// Returns the partition's progress in this batch, which begins at the cursor.
    fn advance(&mut self, partition: i32, cursor: Cursor) -> &mut Advance {
        self.opened.get_or_insert_with(Instant::now);
        let (from, to) = (cursor.next, cursor.next);
        let start = Advance { epoch: cursor.epoch, from, to, consumed: 0, duplicate: 0, rejected: 0, missing: 0 };
        self.read.entry(partition).or_insert(start)
    }

    /// Adds one message: counts it, encodes its row or adds it to the dead letters, and moves the cursor past it. Offsets
    /// that Kafka never delivers (of aborted transactions, compacted messages and transaction markers) are not counted.
    pub fn push(
        &mut self,
        (partition, offset): (i32, i64),
        cursor: &mut Cursor,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        verdict: Result<Transaction<'_>, Rejection>,
    ) {
        self.messages += 1;
        self.sealed = false;
        let advance = self.advance(partition, *cursor);
        advance.to = offset + 1;
        advance.consumed += 1;
        cursor.next = offset + 1;
        match verdict {
            Ok(transaction) => self.push_row(&transaction, (partition, offset), key, payload.unwrap_or_default()),
            Err(rejection) => {
                advance.rejected += 1;
                let dead_letter = RejectedMessage::new((partition, offset), key, payload, rejection);
                self.dead_letter_bytes += dead_letter.parts().map(|part| part.head.len()).sum::<usize>();
                self.rejected.push(dead_letter);
            }
        }
    }

    /// Moves the cursor to the beginning of the partition's log, because retention deleted the offsets before it. These
    /// offsets are counted as missing, unless the cursor is at 0: then nothing of the partition was read before, so
    /// nothing is missing.
    pub fn skip(&mut self, partition: i32, cursor: &mut Cursor, to: i64) {
        let missing = if cursor.next == 0 { 0 } else { to - cursor.next };
        self.pass(partition, cursor, to, missing);
    }

    /// Moves the cursor past offsets that are unreadable and counts all of them as missing.
    pub fn lose(&mut self, partition: i32, cursor: &mut Cursor, to: i64) {
        self.pass(partition, cursor, to, to - cursor.next);
    }

    fn pass(&mut self, partition: i32, cursor: &mut Cursor, to: i64, missing: i64) {
        let advance = self.advance(partition, *cursor);
        advance.missing += missing;
        advance.to = to;
        cursor.next = to;
    }

    fn push_row(
        &mut self,
        transaction: &Transaction<'_>,
        (partition, offset): (i32, i64),
        key: Option<&[u8]>,
        payload: &[u8],
    ) {
        let (start, raw_start) = (self.buffer.len() as u32, self.raw.len() as u32);
        encode_row(transaction, partition, offset, &mut self.buffer);
        self.raw.extend_from_slice(key.unwrap_or_default());
        self.raw.extend_from_slice(payload);
        let row = Row {
            start,
            end: self.buffer.len() as u32,
            id_len: transaction.order_id.len() as u16,
            raw_start,
            key_len: key.map(|key| key.len() as u32),
            payload_len: payload.len() as u32,
            label: self.label(transaction),
            partition,
            time: transaction.timestamp,
            offset,
            cents: transaction.value.0,
        };
        self.rows.push(row);
    }

    fn label(&mut self, transaction: &Transaction<'_>) -> u32 {
        let currency = transaction.text(Place::CURRENCY).unwrap_or_default();
        let status = transaction.text(Place::STATUS).unwrap_or_default();
        if let Some(place) = self.label_places.get(currency).and_then(|by_status| by_status.get(status)) {
            return *place;
        }
        let place = self.labels.len() as u32;
        let compared = Currency::read(currency);
        self.labels.push((compared.as_ref().map_or("", Currency::as_str).to_owned(), status.to_owned()));
        self.label_places.entry(currency.to_owned()).or_default().insert(status.to_owned(), place);
        place
    }

    fn id_bytes(&self, row: &Row) -> &[u8] {
        let start = row.start as usize + ID_AT;
        &self.buffer[start..start + row.id_len as usize]
    }

    /// Sorts the rows by the bytes of their ids. Rows with equal ids are sorted by partition and offset; the first is
    /// to be stored and the others are duplicates. Batches with sorted keys cannot deadlock each other, and inserting
    /// them into a B-tree is two to three times faster. Another call does nothing unless messages were added since.
    pub fn seal(&mut self) {
        if std::mem::replace(&mut self.sealed, true) {
            return;
        }
        // Comparing the first 16 bytes, which are contiguous in memory, decides nearly always. Whole ids are compared
        // only if these are equal.
        let head = |id: &[u8]| {
            let mut head = [0; 16];
            let len = id.len().min(head.len());
            head[..len].copy_from_slice(&id[..len]);
            u128::from_be_bytes(head)
        };
        let rows = std::mem::take(&mut self.rows);
        let mut order: Vec<(u128, u32)> = (0..).zip(&rows).map(|(at, row)| (head(self.id_bytes(row)), at)).collect();
        let row = |at: u32| &rows[at as usize];
        order.sort_by(|one, two| {
            one.0.cmp(&two.0).then_with(|| {
                let (one, two) = (row(one.1), row(two.1));
                let ids = self.id_bytes(one).cmp(self.id_bytes(two));
                ids.then_with(|| (one.partition, one.offset).cmp(&(two.partition, two.offset)))
            })
        });
        let is_same = |one: &(u128, u32), two: &(u128, u32)| {
            one.0 == two.0 && self.id_bytes(row(one.1)) == self.id_bytes(row(two.1))
        };
        self.repeats = (0..order.len()).map(|at| at > 0 && is_same(&order[at - 1], &order[at])).collect();
        self.rows = order.iter().map(|(_, at)| *row(*at)).collect();
        self.begin_writing();
    }

    /// Returns a row, encoded for binary COPY. Rows are numbered in the order of [`Batch::seal`].
    pub fn row(&self, index: u32) -> &[u8] {
        let row = &self.rows[index as usize];
        &self.buffer[row.start as usize..row.end as usize]
    }

    /// Returns a row's id.
    ///
    /// # Panics
    /// Panics if there is no such row.
    pub fn id(&self, index: u32) -> &str {
        std::str::from_utf8(self.id_bytes(&self.rows[index as usize]))
            .expect("the id comes from a JSON text, which is UTF-8")
    }

    /// Returns the partition and the offset of a row's message.
    ///
    /// # Panics
    /// Panics if there is no such row.
    pub fn origin(&self, index: u32) -> (i32, i64) {
        let row = &self.rows[index as usize];
        (row.partition, row.offset)
    }

    /// Discards the results of an earlier attempt to write the batch: again the first row of each id is to be stored.
    pub fn begin_writing(&mut self) {
        self.refused.clear();
        self.fates.clear();
        let fate = |repeats: &bool| if *repeats { Fate::Duplicate } else { Fate::Stored };
        self.fates.extend(self.repeats.iter().map(fate));
    }

    /// Returns the indices of the rows that are to be stored.
    pub fn to_store(&self) -> Vec<u32> {
        let stored = |(at, fate): (usize, &Fate)| (*fate == Fate::Stored).then_some(at as u32);
        self.fates.iter().enumerate().filter_map(stored).collect()
    }

    /// Returns the next duplicate of a row that was refused, and marks the duplicate as the one to be stored.
    pub fn take_repeat(&mut self, index: u32) -> Option<u32> {
        let next = index as usize + 1;
        if !*self.repeats.get(next)? {
            return None;
        }
        self.fates[next] = Fate::Stored;
        Some(next as u32)
    }

    /// Returns the given rows, each followed by all of its duplicates, which are to be stored if the row is refused.
    pub fn with_repeats(&mut self, rows: &[u32]) -> Vec<u32> {
        let mut all = Vec::with_capacity(rows.len());
        for index in rows {
            all.push(*index);
            while let Some(repeat) = all.last().and_then(|last| self.take_repeat(*last)) {
                all.push(repeat);
            }
        }
        all
    }

    /// Returns the rows before a row that have the same id.
    pub fn earlier_of_its_id(&self, index: u32) -> impl Iterator<Item = u32> {
        (0..index).rev().take_while(|earlier| self.repeats[*earlier as usize + 1])
    }

    /// Notes that a row's id was already in the table.
    pub fn mark_duplicate(&mut self, index: u32) {
        self.fates[index as usize] = Fate::Duplicate;
    }

    /// Notes that PostgreSQL refused a row, and adds its message to the dead letters.
    pub fn refuse(&mut self, index: u32, rejection: Rejection) {
        self.fates[index as usize] = Fate::Refused;
        let row = &self.rows[index as usize];
        let key_end = row.raw_start as usize + row.key_len.unwrap_or_default() as usize;
        let key = row.key_len.map(|_| &self.raw[row.raw_start as usize..key_end]);
        let payload = &self.raw[key_end..key_end + row.payload_len as usize];
        self.refused.push(RejectedMessage::new((row.partition, row.offset), key, Some(payload), rejection));
    }

    /// Returns the dead letters: messages that are invalid or were refused by PostgreSQL.
    pub fn kept(&self) -> impl Iterator<Item = &RejectedMessage> + Clone {
        self.rejected.iter().chain(&self.refused)
    }

    /// Returns each partition's progress, including what became of its rows at the most recent attempt to write them.
    ///
    /// # Panics
    /// Does not panic: every row was added together with its partition's progress.
    pub fn advances(&self) -> BTreeMap<i32, Advance> {
        let mut advances = self.read.clone();
        for (row, fate) in self.rows.iter().zip(&self.fates) {
            if *fate != Fate::Stored {
                let advance = advances.get_mut(&row.partition).expect("a row is added with its partition's progress");
                *if *fate == Fate::Duplicate { &mut advance.duplicate } else { &mut advance.rejected } += 1;
            }
        }
        advances
    }

    /// Returns the rows that were inserted by the most recent attempt to write. Derived tables are computed from these.
    pub fn stored(&self) -> impl Iterator<Item = StoredRow<'_>> {
        let stored = self.rows.iter().zip(&self.fates).filter(|(_, fate)| **fate == Fate::Stored);
        stored.map(|(row, _)| StoredRow { batch: self, row })
    }

    /// Returns a label's currency, in the form in which currencies are compared ([`Currency`]), and its status; "" if
    /// there is none. Several labels may have equal texts.
    pub fn label_text(&self, label: u32) -> (&str, &str) {
        let (currency, status) = &self.labels[label as usize];
        (currency, status)
    }
}

#[cfg(test)]
mod tests;
