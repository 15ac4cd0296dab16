//! Knows the segment of each merchant, as a run of `ccstream segment` has assigned it.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::key::{self, Key};

/// The segments of merchants after a run. A merchant takes about 35 bytes.
///
/// ```
/// use ccstream_analysis::segments::Segments;
/// let segments: Segments = [("Alder Books", "rare, large"), ("Birch Cafe", "frequent")].into_iter().collect();
/// assert_eq!((segments.len(), segments.of("Alder Books"), segments.of("Cedar Tyres")), (2, Some("rare, large"), None));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Segments {
    /// The names, each with its key.
    names: Vec<(Arc<str>, Key)>,
    /// The number of the name of each merchant.
    of: HashMap<Key, u16>,
}

impl Segments {
    /// The maximum number of merchants.
    pub const MOST: usize = 1_000_000;

    /// Adds a merchant.
    pub fn add(&mut self, merchant: &str, name: &str) {
        let at = self.names.iter().position(|(one, _)| **one == *name).unwrap_or_else(|| {
            self.names.push((name.into(), key::of(name)));
            self.names.len() - 1
        });
        self.of.insert(key::of(merchant), at as u16);
    }

    /// Returns the number of merchants.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Returns whether no merchant has a segment.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Returns the name of the segment of a merchant; None if it has none.
    pub fn of(&self, merchant: &str) -> Option<&str> {
        self.find(key::of(merchant)).map(|(name, _)| &**name)
    }

    /// Returns the name of the segment of the merchant with this key, and the key of the name.
    pub(crate) fn find(&self, merchant: Key) -> Option<&(Arc<str>, Key)> {
        self.of.get(&merchant).and_then(|at| self.names.get(usize::from(*at)))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Segments {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(merchants: T) -> Self {
        let mut segments = Self::default();
        merchants.into_iter().for_each(|(merchant, name)| segments.add(merchant, name));
        segments
    }
}
