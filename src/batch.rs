//! Messages on their way into one transaction: rows ready for COPY, rejected messages, and how far
//! each partition has come (pure).

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use crate::card_number;
use crate::columns::{ID_AT, encode_row};
use crate::event::{TextField, Transaction};
use crate::rejection::Rejection;

/// One row in the batch's buffer.
#[derive(Debug, Clone, Copy)]
struct Row {
    start: u32,
    end: u32,
    id_len: u16,
    /// Place in [`Batch::labels`].
    label: u32,
    partition: i32,
    minute: i32,
    offset: i64,
    cents: i64,
}

/// A message that is kept instead of stored.
#[derive(Debug)]
pub(crate) struct RejectedMessage {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    /// Whether a card number was masked in key or payload, which then cannot be sent again.
    pub(crate) masked: bool,
    pub(crate) rejection: Rejection,
}

/// How far one partition comes with this batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    /// The `next_offset` that the offset row must have before.
    pub(crate) from: i64,
    /// And after.
    pub(crate) to: i64,
    pub(crate) consumed: i64,
    pub(crate) duplicate: i64,
    pub(crate) rejected: i64,
}

/// The key of a cell of `kpi_minute`: minute, place in the batch's labels, partition.
type CellKey = (i32, u32, i32);

/// One cell's share of a batch, in cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) count: i64,
    pub(crate) sum: i64,
    pub(crate) min: i64,
    pub(crate) max: i64,
}

/// Messages of one assignment, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// When its first message came.
    pub(crate) opened: Option<Instant>,
    /// By partition.
    pub(crate) advances: BTreeMap<i32, Advance>,
    pub(crate) rejected: Vec<RejectedMessage>,
    messages: usize,
    rows: Vec<Row>,
    buffer: Vec<u8>,
    kept_bytes: usize,
    /// Currency and status, "" for absent: every pair in this batch once.
    labels: Vec<(String, String)>,
    /// Their places: by currency, then status.
    label_places: HashMap<String, HashMap<String, u32>>,
}

impl Batch {
    /// Messages in it, of every kind.
    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len() + self.kept_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Empties it, keeping its memory.
    pub(crate) fn clear(&mut self) {
        self.opened = None;
        self.messages = 0;
        self.advances.clear();
        self.rejected.clear();
        self.rows.clear();
        self.buffer.clear();
        self.kept_bytes = 0;
        self.labels.clear();
        self.label_places.clear();
    }

    /// Takes one message: counts it, and encodes or keeps it. `expected` is the partition's next
    /// offset before it; offsets that were never delivered in between are not counted.
    pub(crate) fn push(
        &mut self,
        (partition, offset, expected): (i32, i64, i64),
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        verdict: Result<Transaction<'_>, Rejection>,
    ) {
        self.opened.get_or_insert_with(Instant::now);
        self.messages += 1;
        let start = Advance { from: expected, to: expected, consumed: 0, duplicate: 0, rejected: 0 };
        let advance = self.advances.entry(partition).or_insert(start);
        advance.to = offset + 1;
        advance.consumed += 1;
        match verdict {
            Ok(transaction) => self.push_row(&transaction, partition, offset),
            Err(rejection) => {
                advance.rejected += 1;
                self.push_rejected(partition, offset, key, payload, rejection);
            }
        }
    }

    fn push_row(&mut self, transaction: &Transaction<'_>, partition: i32, offset: i64) {
        let start = self.buffer.len();
        encode_row(transaction, partition, offset, &mut self.buffer);
        let row = Row {
            start: start as u32,
            end: self.buffer.len() as u32,
            id_len: transaction.order_id.len() as u16,
            label: self.label(transaction),
            partition,
            minute: transaction.timestamp.minute(),
            offset,
            cents: transaction.value.0,
        };
        self.rows.push(row);
    }

    fn label(&mut self, transaction: &Transaction<'_>) -> u32 {
        let currency = transaction.text(TextField::Currency).unwrap_or_default();
        let status = transaction.text(TextField::Status).unwrap_or_default();
        if let Some(place) = self.label_places.get(currency).and_then(|by_status| by_status.get(status)) {
            return *place;
        }
        let place = self.labels.len() as u32;
        self.labels.push((currency.to_owned(), status.to_owned()));
        self.label_places.entry(currency.to_owned()).or_default().insert(status.to_owned(), place);
        place
    }

    fn push_rejected(
        &mut self,
        partition: i32,
        offset: i64,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        rejection: Rejection,
    ) {
        let mut masked = false;
        let mut keep = |bytes: &[u8]| {
            let kept = card_number::mask(bytes);
            masked |= matches!(kept, std::borrow::Cow::Owned(_));
            kept.into_owned()
        };
        let (key, payload) = (key.map(&mut keep), payload.map(&mut keep));
        self.kept_bytes += key.as_ref().map_or(0, Vec::len) + payload.as_ref().map_or(0, Vec::len);
        self.rejected.push(RejectedMessage { partition, offset, key, payload, masked, rejection });
    }

    fn id(&self, row: &Row) -> &[u8] {
        let start = row.start as usize + ID_AT;
        &self.buffer[start..start + row.id_len as usize]
    }

    /// Sorts the rows by id, bytewise, and drops repeats of one id: the first by partition and
    /// offset stays, the others are counted as duplicates. Sorted keys never deadlock, and a B-tree
    /// takes them two to three times faster.
    pub(crate) fn seal(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|one, two| {
            self.id(one).cmp(self.id(two)).then_with(|| (one.partition, one.offset).cmp(&(two.partition, two.offset)))
        });
        let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
        for row in rows {
            if kept.last().is_some_and(|last| self.id(last) == self.id(&row)) {
                let advance = self.advances.get_mut(&row.partition).expect("every row's partition has advanced");
                advance.duplicate += 1;
            } else {
                kept.push(row);
            }
        }
        self.rows = kept;
    }

    /// The rows as COPY takes them, in the order of [`Batch::seal`].
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.rows.iter().map(|row| &self.buffer[row.start as usize..row.end as usize])
    }

    /// Keeps only the rows that `stored` names, in the rows' order; the others were in the table
    /// already and are counted as duplicates.
    pub(crate) fn retain_stored(&mut self, mut stored: impl FnMut(i32, i64) -> bool) {
        let advances = &mut self.advances;
        self.rows.retain(|row| {
            let stored = stored(row.partition, row.offset);
            if !stored {
                advances.get_mut(&row.partition).expect("every row's partition has advanced").duplicate += 1;
            }
            stored
        });
    }

    /// The rows' totals by minute, currency, status and partition, in that order of keys.
    pub(crate) fn cells(&self) -> BTreeMap<CellKey, Cell> {
        let mut cells: BTreeMap<CellKey, Cell> = BTreeMap::new();
        for row in &self.rows {
            let cell = cells.entry((row.minute, row.label, row.partition));
            let cell = cell.or_insert(Cell { count: 0, sum: 0, min: row.cents, max: row.cents });
            cell.count += 1;
            cell.sum += row.cents;
            cell.min = cell.min.min(row.cents);
            cell.max = cell.max.max(row.cents);
        }
        cells
    }

    /// A cell's currency and status.
    pub(crate) fn label_text(&self, label: u32) -> (&str, &str) {
        let (currency, status) = &self.labels[label as usize];
        (currency, status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cents, Micros};
    use crate::rejection::Reason;
    use crate::validate::validate;

    fn transaction(id: &str, cents: i64) -> Transaction<'_> {
        let mut transaction = Transaction {
            order_id: id.into(),
            value: Cents(cents),
            timestamp: Micros(61_000_000),
            ..Transaction::default()
        };
        transaction.texts[TextField::Currency as usize] = Some("EUR".into());
        transaction
    }

    fn batch(rows: &[(&'static str, i32, i64)]) -> Batch {
        let mut batch = Batch::default();
        for (id, partition, offset) in rows {
            batch.push((*partition, *offset, *offset), None, None, Ok(transaction(id, offset * 100)));
        }
        batch.seal();
        batch
    }

    fn places(batch: &Batch) -> Vec<(i32, i64)> {
        batch.rows.iter().map(|row| (row.partition, row.offset)).collect()
    }

    #[test]
    fn rows_are_sorted_and_the_first_of_an_id_stays() {
        let batch = batch(&[("b", 1, 7), ("a", 1, 8), ("b", 0, 9), ("b", 0, 10), ("é", 0, 11), ("z", 0, 12)]);
        assert_eq!(places(&batch), [(1, 8), (0, 9), (0, 12), (0, 11)]);
        assert_eq!((batch.advances[&0].duplicate, batch.advances[&1].duplicate), (1, 1));
        assert_eq!((batch.advances[&0].from, batch.advances[&0].to), (9, 13));
        assert_eq!(batch.messages(), 6);
    }

    #[test]
    fn totals_are_of_stored_rows() {
        let mut batch = batch(&[("a", 0, 1), ("b", 0, 2), ("c", 0, 3)]);
        batch.retain_stored(|_, offset| offset != 2);
        assert_eq!(batch.advances[&0].duplicate, 1);
        let cells = batch.cells();
        assert_eq!(cells.len(), 1);
        let ((minute, label, partition), cell) = cells.first_key_value().unwrap();
        assert_eq!((*minute, batch.label_text(*label), *partition), (1, ("EUR", ""), 0));
        assert_eq!(*cell, Cell { count: 2, sum: 400, min: 100, max: 300 });
    }

    #[test]
    fn kept_messages_are_masked() {
        let payload = br#"{"merchant":"4111111111111111"}"#;
        let mut batch = Batch::default();
        batch.push((0, 5, 5), Some(b"key"), Some(payload), validate(Some(payload)));
        batch.push((0, 9, 6), None, None, validate(None));
        let [first, second] = &batch.rejected[..] else { panic!("two messages") };
        assert_eq!(first.payload.as_deref(), Some(br#"{"merchant":"************1111"}"#.as_slice()));
        assert!(first.masked && !second.masked);
        assert_eq!((second.rejection.reason, &second.payload), (Reason::Tombstone, &None));
        let advance = batch.advances[&0];
        assert_eq!((advance.from, advance.to, advance.consumed, advance.rejected), (5, 10, 2, 2));
    }

    #[test]
    fn a_cleared_batch_is_as_new() {
        let mut batch = batch(&[("a", 0, 1)]);
        batch.push((0, 2, 2), None, Some(b""), validate(Some(b"")));
        batch.clear();
        assert!(batch.is_empty() && batch.bytes() == 0 && batch.rows().len() == 0 && batch.rejected.is_empty());
    }
}
