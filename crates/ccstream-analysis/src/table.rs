//! Keeps a bounded number of entries by key, in buckets. A bucket evicts its least recently used entry once it is full.
//!
//! What happens in a bucket depends on its own keys alone. A recovery can therefore load buckets that are true for
//! different events and bring each up to date by itself, and evicts what was evicted before.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Found;

use crate::key::Key;

/// Marks the end of the list of entries by last use.
const NONE: u16 = u16::MAX;
/// The maximum number of entries of a bucket, whose places are numbers of 16 bits.
const MOST: usize = 60_000;

/// Something that is kept by key.
pub(crate) trait Entry {
    fn new(key: Key) -> Self;
    fn key(&self) -> Key;
}

#[derive(Debug)]
struct Slot<T> {
    entry: T,
    /// The place of the entry that was used before this one; NONE for the least recently used.
    older: u16,
    newer: u16,
}

/// Holds the entries whose keys belong to one bucket.
#[derive(Debug)]
pub(crate) struct Bucket<T> {
    /// The places of the entries in `slots`, by key.
    places: HashTable<u16>,
    slots: Vec<Slot<T>>,
    oldest: u16,
    newest: u16,
    /// The number of the last event or label that the bucket was loaded with; 0 for a bucket that was not loaded.
    pub(crate) seq: u64,
    /// The number as of which the bucket was written last; None if it was never written.
    pub(crate) written: Option<u64>,
    /// Whether the bucket has changed since it was written.
    pub(crate) is_changed: bool,
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self {
            places: HashTable::new(),
            slots: Vec::new(),
            oldest: NONE,
            newest: NONE,
            seq: 0,
            written: None,
            is_changed: false,
        }
    }
}

impl<T: Entry> Bucket<T> {
    /// Creates a bucket that is to be filled with what was written as of `seq`.
    pub(crate) fn written_at(seq: u64) -> Self {
        Self { seq, written: Some(seq), ..Self::default() }
    }

    fn find(&self, key: Key) -> Option<u16> {
        self.places.find(key, |place| self.slots[usize::from(*place)].entry.key() == key).copied()
    }

    fn detach(&mut self, place: u16) {
        let Slot { older, newer, .. } = self.slots[usize::from(place)];
        match newer {
            NONE => self.newest = older,
            newer => self.slots[usize::from(newer)].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.slots[usize::from(older)].newer = newer,
        }
    }

    fn attach(&mut self, place: u16) {
        let newest = std::mem::replace(&mut self.newest, place);
        let slot = &mut self.slots[usize::from(place)];
        (slot.older, slot.newer) = (newest, NONE);
        match newest {
            NONE => self.oldest = place,
            newest => self.slots[usize::from(newest)].newer = place,
        }
    }

    /// Returns the entry of a key as the most recently used, and whether another one was evicted for it.
    fn touch(&mut self, key: Key, capacity: usize) -> (&mut T, bool) {
        if let Some(place) = self.find(key) {
            if self.newest != place {
                self.detach(place);
                self.attach(place);
            }
            return (&mut self.slots[usize::from(place)].entry, false);
        }
        self.insert(T::new(key), capacity)
    }

    /// Adds an entry, whose key must be new, as the most recently used.
    fn insert(&mut self, entry: T, capacity: usize) -> (&mut T, bool) {
        let key = entry.key();
        let is_full = self.slots.len() >= capacity;
        let place = if is_full {
            let place = self.oldest;
            self.detach(place);
            let evicted = self.slots[usize::from(place)].entry.key();
            if let Ok(found) = self.places.find_entry(evicted, |other| *other == place) {
                found.remove();
            }
            self.slots[usize::from(place)].entry = entry;
            place
        } else {
            self.slots.push(Slot { entry, older: NONE, newer: NONE });
            (self.slots.len() - 1) as u16
        };
        self.attach(place);
        let slots = &self.slots;
        self.places.insert_unique(key, place, |place| slots[usize::from(*place)].entry.key());
        (&mut self.slots[usize::from(place)].entry, is_full)
    }

    /// Returns the entries, the least recently used first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(usize::from(next))?;
            next = slot.newer;
            Some(&slot.entry)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

/// Holds all buckets of one kind of entry.
#[derive(Debug)]
pub(crate) struct Table<T> {
    pub(crate) buckets: Vec<Bucket<T>>,
    capacity: usize,
    pub(crate) evicted: u64,
}

impl<T: Entry> Table<T> {
    /// Creates a table of a number of buckets, a power of two, that keeps about `most` entries.
    ///
    /// Hashing fills buckets unevenly. Each bucket may therefore exceed its share by four standard deviations, so that
    /// `most` entries fit although some buckets have more than others.
    pub(crate) fn new(buckets: usize, most: usize) -> Self {
        let share = most.div_ceil(buckets);
        let capacity = (share + 4 * share.isqrt() + 4).min(MOST);
        Self { buckets: (0..buckets).map(|_| Bucket::default()).collect(), capacity, evicted: 0 }
    }

    /// Returns the number of a key's bucket. The table of a bucket uses the lowest and the highest bits of the key.
    pub(crate) fn bucket_of(&self, key: Key) -> usize {
        (key >> 40) as usize & (self.buckets.len() - 1)
    }

    /// Returns the entry of a key, which becomes the most recently used. A new one may evict another one.
    pub(crate) fn touch(&mut self, key: Key) -> &mut T {
        let at = self.bucket_of(key);
        let bucket = &mut self.buckets[at];
        bucket.is_changed = true;
        let (entry, has_evicted) = bucket.touch(key, self.capacity);
        self.evicted += u64::from(has_evicted);
        entry
    }

    /// Returns the entry of a key, if there is one, to be changed without being used.
    pub(crate) fn find(&mut self, key: Key) -> Option<&mut T> {
        let at = self.bucket_of(key);
        let bucket = &mut self.buckets[at];
        let place = bucket.find(key)?;
        bucket.is_changed = true;
        Some(&mut bucket.slots[usize::from(place)].entry)
    }

    /// Returns whether what has this number is in a key's bucket, because the bucket was loaded with it.
    pub(crate) fn has_folded(&self, key: Key, seq: u64) -> bool {
        self.buckets[self.bucket_of(key)].seq >= seq
    }

    /// Adds an entry that was read, as the most recently used of a new bucket. Returns false if its key is not new.
    pub(crate) fn load(&self, bucket: &mut Bucket<T>, entry: T) -> bool {
        if let Found::Occupied(_) = bucket.places.entry(
            entry.key(),
            |place| bucket.slots[usize::from(*place)].entry.key() == entry.key(),
            |place| bucket.slots[usize::from(*place)].entry.key(),
        ) {
            return false;
        }
        bucket.insert(entry, self.capacity);
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.iter().map(Bucket::len).sum()
    }
}
