//! Keeps a bounded number of entries by key, in buckets. A bucket evicts its least recently used entry once it is full.
//!
//! What happens in a bucket depends on its own keys alone. A recovery can therefore load buckets that are true for
//! different events and bring each up to date by itself, and evicts what was evicted before.

use hashbrown::HashTable;

use crate::key::Key;

/// The maximum number of entries of a bucket, whose places are numbers of 16 bits.
const MOST: usize = 60_000;

/// The number of entries for which a bucket has room at first.
const SMALL: usize = 32;
/// A bucket of at most this capacity grows to it at once.
const LARGE: usize = 4_096;

/// Something that is kept by key.
pub(crate) trait Entry {
    fn new(key: Key) -> Self;
    fn key(&self) -> Key;
}

/// Holds the entries whose keys belong to one bucket.
#[derive(Debug)]
pub(crate) struct Bucket<T> {
    /// The places of the entries in `entries`, by key.
    places: HashTable<u16>,
    entries: Vec<T>,
    /// When each entry was used last, by the bucket's own clock. Only an eviction and a snapshot read this.
    used: Vec<u32>,
    clock: u32,
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
            entries: Vec::new(),
            used: Vec::new(),
            clock: 0,
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

    fn find(&self, key: Key) -> Option<usize> {
        let found = self.places.find(key, |place| self.entries[usize::from(*place)].key() == key);
        found.map(|place| usize::from(*place))
    }

    /// Adds an entry, whose key must be new, as the most recently used. Returns its place, and whether another entry was
    /// evicted for it.
    fn insert(&mut self, entry: T, capacity: usize) -> (usize, bool) {
        self.tick();
        let key = entry.key();
        let is_full = self.entries.len() >= capacity;
        let place = if is_full {
            let oldest = self.used.iter().enumerate().min_by_key(|(_, used)| **used).map_or(0, |(place, _)| place);
            let evicted = self.entries[oldest].key();
            if let Ok(found) = self.places.find_entry(evicted, |place| usize::from(*place) == oldest) {
                found.remove();
            }
            self.entries[oldest] = entry;
            self.used[oldest] = self.clock;
            oldest
        } else {
            self.reserve(capacity);
            self.entries.push(entry);
            self.used.push(self.clock);
            self.entries.len() - 1
        };
        let entries = &self.entries;
        self.places.insert_unique(key, place as u16, |place| entries[usize::from(*place)].key());
        (place, is_full)
    }

    /// Advances the bucket's clock. Before it overflows, all uses are numbered from 1 again, in their order.
    fn tick(&mut self) {
        if self.clock == u32::MAX {
            for (use_number, place) in (1..).zip(self.order()) {
                self.used[place] = use_number;
            }
            self.clock = self.used.len() as u32;
        }
        self.clock += 1;
    }

    /// Returns the places of the entries, the least recently used first.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_unstable_by_key(|place| self.used[*place]);
        order
    }

    /// Makes room for an entry. Buckets grow at the same time, so what a bucket leaves when it grows is of no use to the
    /// others: with a million cards, doubling would waste a sixth of the memory. A bucket therefore grows only once,
    /// unless it is very large. Memory that was never written is not resident.
    fn reserve(&mut self, capacity: usize) {
        let len = self.entries.len();
        if len < self.entries.capacity() {
            return;
        }
        let room = match len {
            ..SMALL => SMALL,
            _ if capacity <= LARGE => capacity,
            _ => capacity.min(2 * len),
        };
        self.entries.reserve_exact(room - len);
        self.used.reserve_exact(room - len);
    }

    /// Returns the entries, the least recently used first.
    pub(crate) fn by_use(&self) -> impl Iterator<Item = &T> {
        self.order().into_iter().map(|place| &self.entries[place])
    }

    /// Returns the entries in any order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Says where an entry is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    number: usize,
    place: usize,
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

    /// Returns where the entry of a key is. It becomes the most recently used. A new one may evict another one.
    pub(crate) fn touch(&mut self, key: Key) -> At {
        let number = self.bucket_of(key);
        let bucket = &mut self.buckets[number];
        bucket.is_changed = true;
        if let Some(place) = bucket.find(key) {
            bucket.tick();
            bucket.used[place] = bucket.clock;
            return At { number, place };
        }
        let (place, has_evicted) = bucket.insert(T::new(key), self.capacity);
        self.evicted += u64::from(has_evicted);
        At { number, place }
    }

    /// Returns the entry at a place that `touch` has returned. Until it is called again, the place is valid.
    pub(crate) fn at(&mut self, at: At) -> &mut T {
        &mut self.buckets[at.number].entries[at.place]
    }

    /// Returns the entry of a key, if there is one, to be changed without being used.
    pub(crate) fn find(&mut self, key: Key) -> Option<&mut T> {
        let number = self.bucket_of(key);
        let bucket = &mut self.buckets[number];
        let place = bucket.find(key)?;
        bucket.is_changed = true;
        Some(&mut bucket.entries[place])
    }

    /// Returns whether what has this number is in a key's bucket, because the bucket was loaded with it.
    pub(crate) fn has_folded(&self, key: Key, seq: u64) -> bool {
        self.buckets[self.bucket_of(key)].seq >= seq
    }

    /// Adds an entry that was read to a new bucket, as the most recently used. Returns false if its key is not new.
    pub(crate) fn load(&self, bucket: &mut Bucket<T>, entry: T) -> bool {
        let is_new = bucket.find(entry.key()).is_none();
        if is_new {
            bucket.insert(entry, self.capacity);
        }
        is_new
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.iter().map(Bucket::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct One(Key);

    impl Entry for One {
        fn new(key: Key) -> Self {
            Self(key)
        }

        fn key(&self) -> Key {
            self.0
        }
    }

    #[test]
    fn the_order_of_use_outlives_the_clock() {
        let mut table: Table<One> = Table::new(1, 100);
        for key in [5, 3, 9, 3] {
            table.touch(key);
        }
        table.buckets[0].clock = u32::MAX;
        for key in [4, 9, 4] {
            table.touch(key);
        }
        let keys: Vec<Key> = table.buckets[0].by_use().map(Entry::key).collect();
        assert_eq!(keys, [5, 3, 9, 4]);
        assert!(table.buckets[0].clock < 10);
    }

    #[test]
    fn a_large_bucket_grows_in_steps() {
        let mut table: Table<One> = Table::new(1, 20_000);
        for key in 0..20_000 {
            table.touch(key);
        }
        assert_eq!((table.len(), table.evicted), (20_000, 0));
        assert!(table.buckets[0].entries.capacity() <= table.capacity);
    }
}
