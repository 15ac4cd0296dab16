//! Counts the transactions of a window, and hands over what its table and its state get.

use super::bucket::{Bucket, Entry, Missed, WindowRow};
use super::cell::Totals;
use super::definition::Definition;
use super::facts::{Facts, Fields};
use crate::bytes::SnapshotError;
use crate::key::Key;

/// The number of buckets of a window. Keys are spread over them.
pub const BUCKETS: usize = 32;

/// A transaction in the order of the analysis.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its place in the order.
    pub seq: u64,
    /// Its time.
    pub time: i64,
    /// The greatest time of a transaction before it; None for the first one.
    pub reached: Option<i64>,
    /// What windows need of it.
    pub facts: &'a Facts,
    /// Its score, if it has one.
    pub score: Option<f64>,
}

/// What changes in the table of a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flushed {
    /// Rows that are new or have changed.
    pub rows: Vec<WindowRow>,
    /// The starts and keys of rows that are no longer valid, if the table has them. They are deleted before the rows are
    /// written.
    pub gone: Vec<(i64, Key)>,
}

impl Flushed {
    /// Returns whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.gone.is_empty()
    }
}

/// A bucket as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The number of the bucket.
    pub part: usize,
    /// Its contents; empty for a bucket that has nothing.
    pub data: Vec<u8>,
}

/// Counts transactions in windows of one definition.
#[derive(Debug, Clone)]
pub struct Window {
    definition: Definition,
    /// The numbers of the dimensions among the fields that are taken from transactions.
    dimensions: Vec<usize>,
    buckets: Vec<Bucket>,
    /// The place in the order up to which each bucket was complete when it was loaded.
    loaded: Vec<u64>,
    /// The place in the order at which each bucket was last written.
    written: Vec<u64>,
}

impl Window {
    /// Creates a window that has seen nothing. The fields must have its dimensions.
    pub fn new(definition: Definition, fields: &Fields) -> Self {
        Self {
            dimensions: definition.by.iter().filter_map(|one| fields.number(*one)).collect(),
            definition,
            buckets: vec![Bucket::default(); BUCKETS],
            loaded: vec![0; BUCKETS],
            written: vec![0; BUCKETS],
        }
    }

    /// Returns the definition.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Loads a bucket that is complete up to a place in the order. All of its rows count as changed.
    ///
    /// Errors: the bytes were not written by [`snapshot`](Self::snapshot).
    pub fn load(&mut self, part: usize, seq: u64, data: &[u8]) -> Result<(), SnapshotError> {
        let bucket = self.buckets.get_mut(part).ok_or(SnapshotError::Bucket)?;
        *bucket = if data.is_empty() { Bucket::default() } else { Bucket::read(data)? };
        (self.loaded[part], self.written[part]) = (seq, seq);
        Ok(())
    }

    /// Returns the place in the order after which transactions must be added again, once all buckets are loaded.
    pub fn resumes_after(&self) -> u64 {
        self.loaded.iter().copied().min().unwrap_or_default()
    }

    /// Adds a transaction, unless its bucket has it. Returns in how many windows it was not counted.
    pub fn add(&mut self, event: &Event<'_>) -> Missed {
        let key = event.facts.key(&self.dimensions);
        let at = (key % BUCKETS as u64) as usize;
        if event.seq <= self.loaded[at] {
            return Missed::default();
        }
        let is_late = event.reached.is_some_and(|reached| event.time < reached);
        let entry = Entry {
            time: event.time,
            watermark: self.watermark(event.reached),
            key,
            dimensions: &self.dimensions,
            facts: event.facts,
            totals: Totals::of(event.facts, event.score, self.definition.high, is_late),
        };
        self.buckets[at].add(&self.definition, &entry)
    }

    fn watermark(&self, reached: Option<i64>) -> i64 {
        reached.map_or(i64::MIN, |reached| reached - self.definition.lateness)
    }

    /// Closes what ended up to the watermark, and returns what changes in the table. `reached` is the greatest time of a
    /// transaction so far. After loading, the table already has the rows as of the last flush, so the place in the order
    /// must have come as far again.
    pub fn flush(&mut self, reached: Option<i64>) -> Flushed {
        let watermark = self.watermark(reached);
        let mut flushed = Flushed::default();
        for bucket in &mut self.buckets {
            bucket.close(&self.definition, watermark);
            bucket.flush(&self.definition, &mut flushed.rows, &mut flushed.gone);
        }
        flushed
    }

    /// Closes what ended up to the watermark, and returns the rows that were closed since they were last returned.
    pub fn take_closed(&mut self, reached: Option<i64>) -> Vec<WindowRow> {
        let watermark = self.watermark(reached);
        let mut rows = Vec::new();
        for bucket in &mut self.buckets {
            bucket.close(&self.definition, watermark);
            rows.append(&mut bucket.closed);
        }
        rows
    }

    /// Returns the buckets that have changed since they were last written, the longest unwritten first, up to a number of
    /// bytes and at least one. Also returns the numbers of those that have not changed, and are true as of `seq`, too.
    /// [`flush`](Self::flush) must come before, and both must be written at once.
    pub fn snapshot(&mut self, seq: u64, most: usize) -> (Vec<Part>, Vec<usize>) {
        let (mut changed, unchanged): (Vec<usize>, Vec<usize>) =
            (0..BUCKETS).partition(|at| self.buckets[*at].is_changed);
        changed.sort_by_key(|at| self.written[*at]);
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for part in changed {
            if bytes >= most {
                break;
            }
            let data = self.buckets[part].write();
            bytes += data.len();
            self.buckets[part].is_changed = false;
            self.written[part] = seq;
            parts.push(Part { part, data });
        }
        (parts, unchanged)
    }
}
