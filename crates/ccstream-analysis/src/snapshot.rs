//! Writes and reads the state bucket by bucket, and as text.
//!
//! Writing the whole state at once would take too long. A snapshot therefore writes a limited number of bytes: those
//! buckets that have changed, the longest unwritten first. Each bucket is stored with the number of the last event or label
//! that was folded when it was written. A recovery loads all buckets and folds again what comes after [`State::resumes_after`].

use std::fmt::{self, Write};

use crate::bytes::{Number, Reader, Result};
use crate::card::Card;
use crate::features::version_key;
use crate::merchant::Merchant;
use crate::state::{BUCKETS, State};
use crate::table::{Bucket, Entry, Table};
use crate::terminal::Terminal;

pub use crate::bytes::SnapshotError;

/// The first bytes of a bucket's snapshot.
const MAGIC: &[u8; 4] = b"ccsb";

/// Lists what buckets hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Cards in a currency.
    Cards,
    /// Merchants in a currency.
    Merchants,
    /// Terminals, or merchants without terminals.
    Terminals,
}

/// Identifies a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId {
    /// What the bucket holds.
    pub kind: Kind,
    /// The number of the bucket among those of its kind, from 0.
    pub number: u16,
}

impl BucketId {
    /// Returns every bucket's id.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |kind, count: usize| (0..count as u16).map(move |number| Self { kind, number });
        of(Kind::Cards, BUCKETS.0).chain(of(Kind::Merchants, BUCKETS.1)).chain(of(Kind::Terminals, BUCKETS.1))
    }

    /// Returns the place among all buckets, from 0.
    pub fn place(self) -> i32 {
        let before = match self.kind {
            Kind::Cards => 0,
            Kind::Merchants => BUCKETS.0,
            Kind::Terminals => BUCKETS.0 + BUCKETS.1,
        };
        before as i32 + i32::from(self.number)
    }

    /// Returns the bucket that has a place; None if there is none.
    ///
    /// ```
    /// use ccstream_analysis::BucketId;
    /// let last = BucketId::all().last().unwrap();
    /// assert_eq!((BucketId::of(last.place()), BucketId::of(last.place() + 1)), (Some(last), None));
    /// ```
    pub fn of(place: i32) -> Option<Self> {
        Self::all().nth(usize::try_from(place).ok()?)
    }
}

/// Holds parts of the state as of `seq`. They may be stored once everything up to `seq` is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The number of the last event or label that was folded. Every bucket below is true as of it.
    pub seq: u64,
    /// The buckets that have changed, with their bytes.
    pub written: Vec<(BucketId, Vec<u8>)>,
    /// The buckets that have not changed since they were written. Their stored bytes are true as of `seq`, too.
    pub unchanged: Vec<BucketId>,
}

/// An entry that can be written, read and printed.
trait Stored: Entry + Sized {
    const KIND: Kind;
    fn write(&self, out: &mut Vec<u8>);
    fn read(from: &mut Reader<'_>) -> Result<Self>;
}

macro_rules! stored {
    ($($type:ident: $kind:ident),+) => {
        $(impl Stored for $type {
            const KIND: Kind = Kind::$kind;
            fn write(&self, out: &mut Vec<u8>) {
                self.write(out);
            }
            fn read(from: &mut Reader<'_>) -> Result<Self> {
                Self::read(from)
            }
        })+
    };
}

stored!(Card: Cards, Merchant: Merchants, Terminal: Terminals);

fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Cards => 0,
        Kind::Merchants => 1,
        Kind::Terminals => 2,
    }
}

fn write_bucket<T: Stored>(bucket: &mut Bucket<T>, number: u16, seq: u64) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    version_key().push(&mut out);
    kind_byte(T::KIND).push(&mut out);
    number.push(&mut out);
    (bucket.len() as u16).push(&mut out);
    bucket.by_use().for_each(|entry| entry.write(&mut out));
    (bucket.written, bucket.is_changed) = (Some(seq), false);
    out
}

fn read_bucket<T: Stored>(table: &mut Table<T>, number: u16, seq: u64, bytes: &[u8]) -> Result<()> {
    let mut from = Reader(bytes.strip_prefix(MAGIC).ok_or(SnapshotError::Magic)?);
    let version = from.u64()?;
    if version != version_key() {
        return Err(SnapshotError::Version(version));
    }
    if (from.u8()?, from.u16()?) != (kind_byte(T::KIND), number) {
        return Err(SnapshotError::Bucket);
    }
    let mut bucket = Bucket::written_at(seq);
    for _ in 0..from.u16()? {
        let entry = T::read(&mut from)?;
        if table.bucket_of(entry.key()) != usize::from(number) || !table.load(&mut bucket, entry) {
            return Err(SnapshotError::Value("key"));
        }
    }
    if !from.0.is_empty() {
        return Err(SnapshotError::Long);
    }
    *table.buckets.get_mut(usize::from(number)).ok_or(SnapshotError::Bucket)? = bucket;
    Ok(())
}

/// Returns as of which event a bucket was written, or None if it must be written first; and whether it has changed.
fn write_state<T>(bucket: &Bucket<T>) -> (Option<u64>, bool) {
    (bucket.written, bucket.is_changed || bucket.written.is_none())
}

fn dump_table<T: Entry + fmt::Debug>(table: &Table<T>, out: &mut impl Write) -> fmt::Result {
    let mut entries: Vec<&T> = table.buckets.iter().flat_map(Bucket::iter).collect();
    entries.sort_unstable_by_key(|entry| entry.key());
    entries.iter().try_for_each(|entry| writeln!(out, "{entry:?}"))
}

impl State {
    /// Takes a snapshot of at most this number of bytes, but of at least one bucket that has changed.
    ///
    /// What it returns counts as written. If it could not be stored, the state cannot be used any more.
    pub fn snapshot(&mut self, most: usize) -> Snapshot {
        self.snapshot_of_old(most, 0)
    }

    /// Takes a snapshot like [`snapshot`](Self::snapshot), without the buckets that were written less than `age` events
    /// and labels ago. A small state would otherwise be written over and over, and a recovery needs little time for these.
    pub fn snapshot_of_old(&mut self, most: usize, age: u64) -> Snapshot {
        let mut changed = Vec::new();
        let mut snapshot = Snapshot { seq: self.seq, ..Snapshot::default() };
        for id in BucketId::all() {
            match self.written(id) {
                (Some(written), _) if self.seq - written < age => {}
                (_, false) => snapshot.unchanged.push(id),
                (written, true) => changed.push((written, id)),
            }
        }
        changed.sort_unstable();
        let mut bytes = 0;
        for (_, id) in changed {
            // The size of a bucket is known only once it is written, so the limit is checked with the sizes so far.
            let mean = bytes / snapshot.written.len().max(1);
            if bytes + mean > most && !snapshot.written.is_empty() {
                break;
            }
            let written = self.write(id);
            bytes += written.len();
            snapshot.written.push((id, written));
        }
        for id in &snapshot.unchanged {
            *self.written_mut(*id) = Some(self.seq);
        }
        snapshot
    }

    /// Replaces a bucket by what was written when `seq` was the number of the last event or label.
    pub fn load(&mut self, id: BucketId, seq: u64, bytes: &[u8]) -> Result<()> {
        match id.kind {
            Kind::Cards => read_bucket(&mut self.cards, id.number, seq, bytes)?,
            Kind::Merchants => read_bucket(&mut self.merchants, id.number, seq, bytes)?,
            Kind::Terminals => read_bucket(&mut self.terminals, id.number, seq, bytes)?,
        }
        self.seq = self.seq.max(seq);
        Ok(())
    }

    /// Returns the number after which events and labels have to be folded again: that of the oldest bucket; 0 if a bucket
    /// was not loaded.
    pub fn resumes_after(&self) -> u64 {
        let cards = self.cards.buckets.iter().map(|bucket| bucket.seq);
        let merchants = self.merchants.buckets.iter().map(|bucket| bucket.seq);
        let terminals = self.terminals.buckets.iter().map(|bucket| bucket.seq);
        cards.chain(merchants).chain(terminals).min().unwrap_or(0)
    }

    /// Writes the whole state as text, one line for each card, merchant and terminal, sorted by key. Equal states give
    /// equal texts.
    pub fn dump(&self, out: &mut impl Write) -> fmt::Result {
        dump_table(&self.cards, out)?;
        dump_table(&self.merchants, out)?;
        dump_table(&self.terminals, out)
    }

    fn written(&self, id: BucketId) -> (Option<u64>, bool) {
        let number = usize::from(id.number);
        match id.kind {
            Kind::Cards => write_state(&self.cards.buckets[number]),
            Kind::Merchants => write_state(&self.merchants.buckets[number]),
            Kind::Terminals => write_state(&self.terminals.buckets[number]),
        }
    }

    fn written_mut(&mut self, id: BucketId) -> &mut Option<u64> {
        let number = usize::from(id.number);
        match id.kind {
            Kind::Cards => &mut self.cards.buckets[number].written,
            Kind::Merchants => &mut self.merchants.buckets[number].written,
            Kind::Terminals => &mut self.terminals.buckets[number].written,
        }
    }

    fn write(&mut self, id: BucketId) -> Vec<u8> {
        let number = usize::from(id.number);
        match id.kind {
            Kind::Cards => write_bucket(&mut self.cards.buckets[number], id.number, self.seq),
            Kind::Merchants => write_bucket(&mut self.merchants.buckets[number], id.number, self.seq),
            Kind::Terminals => write_bucket(&mut self.terminals.buckets[number], id.number, self.seq),
        }
    }
}
