//! Messages on their way into one transaction: rows ready for COPY, rejected messages, and how far
//! each partition has come (pure).

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use crate::currency::Currency;
use crate::event::{Cents, Micros, Transaction};
use crate::fields::Place;
use crate::kept::Kept;
use crate::rejection::Rejection;
use crate::table::{ID_AT, encode_row};

/// One row: its places in the batch's buffers.
#[derive(Debug, Clone, Copy)]
struct Row {
    start: u32,
    end: u32,
    id_len: u16,
    /// The message as it came, in [`Batch::raw`]: key (None: no key), then payload.
    raw_start: u32,
    key_len: Option<u32>,
    payload_len: u32,
    /// Place in [`Batch::labels`].
    label: u32,
    partition: i32,
    time: Micros,
    offset: i64,
    cents: i64,
}

/// A message that is kept instead of stored.
#[derive(Debug)]
pub struct RejectedMessage {
    /// The partition that it came from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key.
    pub key: Option<Kept>,
    /// Its payload; None for a tombstone.
    pub payload: Option<Kept>,
    /// Why it is kept.
    pub rejection: Rejection,
}

impl RejectedMessage {
    fn new((partition, offset): (i32, i64), key: Option<&[u8]>, payload: Option<&[u8]>, rejection: Rejection) -> Self {
        Self { partition, offset, key: key.map(Kept::of), payload: payload.map(Kept::of), rejection }
    }

    /// Whether key or payload is kept in part, and so cannot be replayed.
    pub fn is_partial(&self) -> bool {
        self.parts().any(Kept::is_partial)
    }

    fn parts(&self) -> impl Iterator<Item = &Kept> {
        self.key.iter().chain(&self.payload)
    }

    /// Whether a card number was masked in key or payload, which then cannot be replayed.
    pub fn is_masked(&self) -> bool {
        self.parts().any(|part| part.masked)
    }
}

/// Where a partition is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The epoch under which it is this consumer's.
    pub epoch: i64,
    /// The offset that comes next.
    pub next: i64,
}

/// How far one partition comes with this batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The `epoch` that the offset row must have.
    pub epoch: i64,
    /// The `next_offset` that it must have before.
    pub from: i64,
    /// And after.
    pub to: i64,
    /// Messages delivered.
    pub consumed: i64,
    /// Messages whose id was stored already.
    pub duplicate: i64,
    /// Messages kept instead of stored.
    pub rejected: i64,
    /// Offsets that retention took before they were read, or of which nothing can be read.
    pub missing: i64,
}

/// What became of a row in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was inserted.
    Stored,
    /// Its id was there already.
    Duplicate,
    /// PostgreSQL refused it; it is among [`Batch::kept`].
    Refused,
}

/// Looked up once for each message.
type ByText<T> = HashMap<String, T, hashbrown::DefaultHashBuilder>;

/// A row that was inserted: not a duplicate, not refused.
#[derive(Debug, Clone, Copy)]
pub struct StoredRow<'b> {
    batch: &'b Batch,
    row: &'b Row,
}

impl<'b> StoredRow<'b> {
    /// Its id's bytes.
    pub fn id(self) -> &'b [u8] {
        self.batch.id_bytes(self.row)
    }
    /// The partition that it came from.
    pub fn partition(self) -> i32 {
        self.row.partition
    }
    /// Its offset there.
    pub fn offset(self) -> i64 {
        self.row.offset
    }
    /// When it happened.
    pub fn timestamp(self) -> Micros {
        self.row.time
    }
    /// What was paid.
    pub fn value(self) -> Cents {
        Cents(self.row.cents)
    }
    /// The number of its pair of currency and status in this batch: see [`Batch::label_text`].
    pub fn label(self) -> u32 {
        self.row.label
    }
}

/// Messages of one assignment, in the order in which they came.
#[derive(Debug, Default)]
pub struct Batch {
    /// When its first message came.
    pub opened: Option<Instant>,
    /// By partition; without what PostgreSQL makes of the rows.
    read: BTreeMap<i32, Advance>,
    rejected: Vec<RejectedMessage>,
    messages: usize,
    /// Its rows are in the order of [`Batch::seal`].
    sealed: bool,
    rows: Vec<Row>,
    /// Of each row whether the one before has its id, once the batch is sealed.
    repeats: Vec<bool>,
    /// What became of each row, as of the last try to write it.
    fates: Vec<Fate>,
    refused: Vec<RejectedMessage>,
    /// The rows in COPY's form.
    buffer: Vec<u8>,
    /// The rows' messages as they came, for those that PostgreSQL refuses.
    raw: Vec<u8>,
    kept_bytes: usize,
    /// Currency as it is compared and status, "" for none: of every pair as it was sent.
    labels: Vec<(String, String)>,
    /// Their places: by currency, then status.
    label_places: ByText<ByText<u32>>,
}

impl Batch {
    /// Messages in it, of every kind.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.buffer.len() + self.raw.len() + self.kept_bytes
    }

    /// Whether it moves no partition.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Empties it, keeping its memory.
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
        self.kept_bytes = 0;
        self.labels.clear();
        self.label_places.clear();
    }

    /// The partition's share of this batch, which begins where the cursor stands.
    fn advance(&mut self, partition: i32, cursor: Cursor) -> &mut Advance {
        self.opened.get_or_insert_with(Instant::now);
        let (from, to) = (cursor.next, cursor.next);
        let start = Advance { epoch: cursor.epoch, from, to, consumed: 0, duplicate: 0, rejected: 0, missing: 0 };
        self.read.entry(partition).or_insert(start)
    }

    /// Takes one message: counts it, encodes or keeps it, and moves the cursor past it. Offsets that
    /// were never delivered in between (aborted, compacted, a transaction's marks) are not counted.
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
                let kept = RejectedMessage::new((partition, offset), key, payload, rejection);
                self.kept_bytes += kept.parts().map(|part| part.head.len()).sum::<usize>();
                self.rejected.push(kept);
            }
        }
    }

    /// The log begins only at an offset: moves the cursor there. What retention took is missing, but for
    /// a partition that is read from its beginning, which begins wherever its log does.
    pub fn skip(&mut self, partition: i32, cursor: &mut Cursor, to: i64) {
        let missing = if cursor.next == 0 { 0 } else { to - cursor.next };
        self.pass(partition, cursor, to, missing);
    }

    /// The offsets up to one cannot be read: moves the cursor there. All of them are missing.
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

    /// Sorts the rows by id, bytewise; of one id the first by partition and offset comes first, and the
    /// others are duplicates. Sorted keys never deadlock, and a B-tree takes them two to three times faster.
    /// Once is enough, until a message more comes.
    pub fn seal(&mut self) {
        if std::mem::replace(&mut self.sealed, true) {
            return;
        }
        // Compared by their first bytes, which lie together; only where these agree by all.
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

    /// A row as COPY takes it; rows are in the order of [`Batch::seal`].
    pub fn row(&self, index: u32) -> &[u8] {
        let row = &self.rows[index as usize];
        &self.buffer[row.start as usize..row.end as usize]
    }

    /// A row's id.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn id(&self, index: u32) -> &str {
        std::str::from_utf8(self.id_bytes(&self.rows[index as usize]))
            .expect("an id was read from JSON, which is UTF-8")
    }

    /// The partition and offset that a row came from.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn origin(&self, index: u32) -> (i32, i64) {
        let row = &self.rows[index as usize];
        (row.partition, row.offset)
    }

    /// Forgets what an earlier try to write it found: the first of each id is to be stored.
    pub fn begin_writing(&mut self) {
        self.refused.clear();
        self.fates.clear();
        let fate = |repeats: &bool| if *repeats { Fate::Duplicate } else { Fate::Stored };
        self.fates.extend(self.repeats.iter().map(fate));
    }

    /// The rows that are to be stored.
    pub fn to_store(&self) -> Vec<u32> {
        let stored = |(at, fate): (usize, &Fate)| (*fate == Fate::Stored).then_some(at as u32);
        self.fates.iter().enumerate().filter_map(stored).collect()
    }

    /// The next message with the id of a row that was refused: it is to be stored instead.
    pub fn take_repeat(&mut self, index: u32) -> Option<u32> {
        let next = index as usize + 1;
        if !*self.repeats.get(next)? {
            return None;
        }
        self.fates[next] = Fate::Stored;
        Some(next as u32)
    }

    /// These rows, and with each all later messages of its id, which are to be stored where it is refused.
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

    /// The earlier messages with a row's id.
    pub fn earlier_of_its_id(&self, index: u32) -> impl Iterator<Item = u32> {
        (0..index).rev().take_while(|earlier| self.repeats[*earlier as usize + 1])
    }

    /// The row's id was in the table already.
    pub fn mark_duplicate(&mut self, index: u32) {
        self.fates[index as usize] = Fate::Duplicate;
    }

    /// PostgreSQL does not take the row: its message is kept.
    pub fn refuse(&mut self, index: u32, rejection: Rejection) {
        self.fates[index as usize] = Fate::Refused;
        let row = &self.rows[index as usize];
        let key_end = row.raw_start as usize + row.key_len.unwrap_or_default() as usize;
        let key = row.key_len.map(|_| &self.raw[row.raw_start as usize..key_end]);
        let payload = &self.raw[key_end..key_end + row.payload_len as usize];
        self.refused.push(RejectedMessage::new((row.partition, row.offset), key, Some(payload), rejection));
    }

    /// The messages that are kept: not valid, or refused by PostgreSQL.
    pub fn kept(&self) -> impl Iterator<Item = &RejectedMessage> + Clone {
        self.rejected.iter().chain(&self.refused)
    }

    /// How far each partition comes, with what became of its rows.
    ///
    /// # Panics
    /// Never: every row was pushed together with its partition's advance.
    pub fn advances(&self) -> BTreeMap<i32, Advance> {
        let mut advances = self.read.clone();
        for (row, fate) in self.rows.iter().zip(&self.fates) {
            if *fate != Fate::Stored {
                let advance = advances.get_mut(&row.partition).expect("every row's partition has advanced");
                *if *fate == Fate::Duplicate { &mut advance.duplicate } else { &mut advance.rejected } += 1;
            }
        }
        advances
    }

    /// The rows that were really inserted, as of the last try to write: what every derived table is made of.
    pub fn stored(&self) -> impl Iterator<Item = StoredRow<'_>> {
        let stored = self.rows.iter().zip(&self.fates).filter(|(_, fate)| **fate == Fate::Stored);
        stored.map(|(row, _)| StoredRow { batch: self, row })
    }

    /// A label's currency as it is compared and its status, "" for none. Several labels may have the same.
    pub fn label_text(&self, label: u32) -> (&str, &str) {
        let (currency, status) = &self.labels[label as usize];
        (currency, status)
    }
}

#[cfg(test)]
mod tests;
