//! Finds the segments of merchants, which are not in `orders`: `ccstream segment` writes them to another table.

use std::collections::HashMap;

use super::dictionary::{Dictionary, UNKNOWN};

/// Holds the name of each merchant's segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Segments {
    names: Vec<String>,
    /// The index of each merchant's segment in `names`.
    of_merchant: HashMap<Box<str>, u16>,
    /// The number of bytes of the names of the merchants.
    name_bytes: usize,
}

impl Segments {
    /// The maximum number of merchants. A merchant takes about 60 bytes.
    pub const MERCHANTS: usize = 1_000_000;

    /// Adds a merchant, unless there are [`Segments::MERCHANTS`] or 65,536 names of segments. Returns whether it was
    /// added.
    pub fn add(&mut self, merchant: &str, segment: &str) -> bool {
        let at = self.names.iter().position(|name| name == segment).unwrap_or(self.names.len());
        let Ok(code) = u16::try_from(at) else { return false };
        if self.of_merchant.len() >= Self::MERCHANTS {
            return false;
        }
        if at == self.names.len() {
            self.names.push(segment.to_owned());
        }
        if self.of_merchant.insert(merchant.into(), code).is_none() {
            self.name_bytes += merchant.len();
        }
        true
    }

    fn bytes(&self) -> usize {
        self.name_bytes + self.of_merchant.capacity() * size_of::<(Box<str>, u16)>()
    }
}

/// Holds the segments, and the code of the segment of each code of a merchant.
#[derive(Debug, Default)]
pub(super) struct MerchantSegments {
    segments: Segments,
    /// The code of the name of each segment.
    codes: Vec<u32>,
    of_merchant: Vec<u32>,
}

impl MerchantSegments {
    /// Replaces the segments. Returns whether they differ from those before.
    pub(super) fn replace(&mut self, segments: Segments) -> bool {
        let differ = self.segments != segments;
        self.segments = segments;
        differ
    }

    pub(super) fn take(&mut self) -> Segments {
        std::mem::take(&mut self.segments)
    }

    /// Returns the code of the segment of a merchant's code.
    pub(super) fn of_merchant(&self, merchant: u32) -> u32 {
        self.of_merchant.get(merchant as usize).copied().unwrap_or(UNKNOWN)
    }

    /// Finds the segment of a merchant whose code is new.
    pub(super) fn meet(&mut self, merchant: u32, name: Option<&[u8]>) {
        if self.of_merchant.len() <= merchant as usize {
            let name = name.and_then(|name| str::from_utf8(name).ok());
            self.of_merchant.resize(merchant as usize, UNKNOWN);
            self.of_merchant.push(self.find(name));
        }
    }

    fn find(&self, merchant: Option<&str>) -> u32 {
        let found = merchant.and_then(|merchant| self.segments.of_merchant.get(merchant));
        found.map_or(UNKNOWN, |segment| self.codes[usize::from(*segment)])
    }

    /// Returns whether any merchant has a segment.
    pub(super) fn is_known(&self) -> bool {
        !self.segments.names.is_empty()
    }

    /// Finds the segments of all merchants, and returns the names of the segments. `others` is the name under which
    /// rare merchants are counted together, if they are; it is then a segment too.
    pub(super) fn code_all(&mut self, merchants: &Dictionary, others: Option<&str>) -> Dictionary {
        let mut names = Dictionary::default();
        self.codes = self.segments.names.iter().map(|name| names.code(Some(name))).collect();
        let code = |merchant: u32| match merchants.name(merchant) {
            name if name.is_some() && name == others => names.code(others),
            name => self.find(name),
        };
        self.of_merchant = (0..merchants.len() as u32).map(code).collect();
        names
    }

    pub(super) fn bytes(&self) -> usize {
        self.segments.bytes() + self.of_merchant.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Attribute;
    use super::super::columns::{Columns, OTHERS, OrderRow};
    use super::*;

    fn segments(of: &[(&str, &str)]) -> Segments {
        let mut segments = Segments::default();
        assert!(of.iter().all(|(merchant, segment)| segments.add(merchant, segment)));
        segments
    }

    /// Returns the segment of each code of a merchant.
    fn found(columns: &Columns) -> Vec<Option<&str>> {
        let codes = 0..columns.dictionary(Attribute::MERCHANT).len() as u32;
        codes.map(|code| columns.name(Attribute::SEGMENT, code)).collect()
    }

    #[test]
    fn merchants_have_their_segments_whenever_they_come() {
        let mut columns = Columns::default();
        let push = |columns: &mut Columns, merchant: Option<&str>| {
            columns.push(&OrderRow { merchant: merchant.map(str::as_bytes), ..OrderRow::default() }).unwrap();
        };
        push(&mut columns, None);
        push(&mut columns, Some("a"));
        push(&mut columns, Some("b"));
        assert_eq!(found(&columns), [None, None, None]);
        let before = columns.generation;
        columns.set_segments(segments(&[("c", "large"), ("b", "small"), ("d", "small")]));
        assert!(columns.generation > before);
        push(&mut columns, Some("c"));
        push(&mut columns, Some("d"));
        push(&mut columns, Some("e"));
        assert_eq!(found(&columns), [None, None, Some("small"), Some("large"), Some("small"), None]);
        // Equal segments change nothing.
        let before = columns.generation;
        columns.set_segments(segments(&[("d", "small"), ("c", "large"), ("b", "small")]));
        assert_eq!((columns.generation, found(&columns)[3]), (before + 1, Some("large")));
        columns.set_segments(segments(&[("c", "small")]));
        assert_eq!(found(&columns), [None, None, None, Some("small"), None, None]);
        let mut emptied = columns.emptied();
        assert!(emptied.generation > columns.generation && emptied.rows() == 0);
        push(&mut emptied, Some("c"));
        assert_eq!(found(&emptied), [None, Some("small")]);
        emptied.set_segments(Segments::default());
        assert_eq!((found(&emptied), emptied.dictionary(Attribute::SEGMENT).len()), (vec![None, None], 1));
    }

    #[test]
    fn merchants_that_are_counted_together_have_no_single_segment() {
        let mut columns = Columns::default();
        for row in 0..600 {
            let merchant = if row % 6 == 0 { "often".to_owned() } else { format!("once {row}") };
            columns.push(&OrderRow { merchant: Some(merchant.as_bytes()), ..OrderRow::default() }).unwrap();
        }
        columns.set_segments(segments(&[("often", "large"), ("once 1", "small")]));
        columns.limit_bytes(20_000, 0);
        assert!(columns.folded[Attribute::MERCHANT.index()] && columns.folded[Attribute::SEGMENT.index()]);
        let names = columns.dictionary(Attribute::MERCHANT);
        let (often, others) = (names.find(Some("often")).unwrap(), names.find(Some(OTHERS)).unwrap());
        assert_eq!(columns.name(Attribute::SEGMENT, often), Some("large"));
        assert_eq!(columns.name(Attribute::SEGMENT, others), Some(OTHERS));
    }
}
