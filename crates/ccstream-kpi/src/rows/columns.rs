//! Holds all rows in memory, as dictionary-coded columns in blocks. A row takes about 20 bytes.
//!
//! Blocks are in the order of loading: the first load goes from the newest rows to the oldest, and later rows follow.
//! Each block has its first and last time, so a query for a range of time visits few blocks. The number of a row never
//! changes.

use std::collections::{BTreeMap, HashMap};
use std::str::Utf8Error;

use ccstream_core::currency::Currency;
use hashbrown::DefaultHashBuilder;

use super::attribute::{Attribute, COUNT, KINDS, PLACES};
use super::block::{BLOCK_ROWS, Block, CodedColumn};
use super::codes::with_codes;
use super::dictionary::{Dictionary, Memo, UNKNOWN};
use super::outcome::{Outcome, outcome};
use super::segments::{MerchantSegments, Segments};

/// The name under which rare names are counted together if there is no room for all names.
pub const OTHERS: &str = "(others)";

/// Maps combinations of the codes of several attributes to single codes.
#[derive(Debug)]
pub(super) struct Composite<const N: usize> {
    codes: HashMap<[u32; N], u32, DefaultHashBuilder>,
    pub(super) parts: Vec<[u32; N]>,
}

impl<const N: usize> Default for Composite<N> {
    fn default() -> Self {
        Self { codes: HashMap::default(), parts: Vec::new() }
    }
}

impl<const N: usize> Composite<N> {
    pub(super) fn code(&mut self, parts: [u32; N]) -> u32 {
        *self.codes.entry(parts).or_insert_with(|| {
            self.parts.push(parts);
            self.parts.len() as u32 - 1
        })
    }

    /// Returns the number of bytes held.
    fn bytes(&self) -> usize {
        (self.parts.capacity() + self.codes.capacity()) * size_of::<[u32; N]>() + self.codes.capacity() * 5
    }
}

/// Holds a row as the database sends it. Texts are bytes, because only new ones are checked for UTF-8.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderRow<'a> {
    /// The time in microseconds since 1970 UTC, or `ABSENT`.
    pub time: i64,
    /// The amount in cents, or `ABSENT`.
    pub cents: i64,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// The name of the merchant.
    pub merchant: Option<&'a [u8]>,
    /// The token of the card.
    pub card: Option<&'a [u8]>,
    /// The attributes of the place in their order, as fields of a binary COPY: each after its length. Fields that are
    /// missing at the end are absent.
    pub place: &'a [u8],
    /// The attributes of the kind, in the same format.
    pub kind: &'a [u8],
}

/// Removes and returns the first of several fields; None if it is NULL or there is none.
pub fn split_field<'a>(fields: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = fields.split_first_chunk::<4>()?;
    let len = i32::from_be_bytes(*len);
    let (field, rest) = rest.split_at_checked(usize::try_from(len).unwrap_or(0))?;
    *fields = rest;
    (len >= 0).then_some(field)
}

/// Holds the coordinates of a place in degrees. They are those of the first row that has any.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coordinates {
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
}

/// Holds all rows.
#[derive(Debug, Default)]
pub struct Columns {
    pub(super) dictionaries: [Dictionary; COUNT],
    pub(super) kinds: Composite<KINDS>,
    pub(super) kinds_met: Memo,
    /// The outcome of each kind, by its code.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) places: Composite<PLACES>,
    pub(super) places_met: Memo,
    /// The coordinates of each place, by its code.
    pub(super) coordinates: Vec<Coordinates>,
    /// The blocks in the order of loading. Rows are appended to the last one only.
    pub blocks: Vec<Block>,
    /// The number of the next row.
    pub next_row: u64,
    /// A number that grows whenever rows are evicted or codes change. Counts of an earlier generation are invalid.
    pub generation: u64,
    /// The latest time of all evicted rows, in microseconds since 1970 UTC: rows up to this time may be missing. None
    /// if no row was evicted.
    pub dropped_until: Option<i64>,
    /// For each [`Attribute`], whether its rarest names are counted together as [`OTHERS`].
    pub folded: [bool; COUNT],
    /// The number of rows of each kind, by its code.
    pub(super) kind_rows: Vec<u64>,
    /// The number of names of merchants and of cards that were in use when unused names were last removed.
    pub(super) in_use: [usize; 2],
    /// The segments of the merchants, by their codes.
    pub(super) segments: MerchantSegments,
}

impl Columns {
    pub(crate) fn dictionary(&self, attribute: Attribute) -> &Dictionary {
        &self.dictionaries[attribute.index()]
    }

    /// Returns the number of codes of a column.
    pub fn codes(&self, column: CodedColumn) -> usize {
        match column {
            CodedColumn::Kind => self.kinds.parts.len(),
            CodedColumn::Place => self.places.parts.len(),
            CodedColumn::Merchant => self.dictionary(Attribute::MERCHANT).len(),
            CodedColumn::Card => self.dictionary(Attribute::CARD).len(),
        }
    }

    /// Returns the code of an attribute within a code of its column.
    pub fn part(&self, attribute: Attribute, code: u32) -> u32 {
        match attribute.coded_column() {
            CodedColumn::Kind => self.kinds.parts[code as usize][attribute.part()],
            CodedColumn::Place => self.places.parts[code as usize][attribute.part()],
            CodedColumn::Merchant if attribute == Attribute::SEGMENT => self.segments.of_merchant(code),
            CodedColumn::Merchant | CodedColumn::Card => code,
        }
    }

    /// Returns the name of an attribute within a code of its column; None if it is absent.
    pub fn name(&self, attribute: Attribute, code: u32) -> Option<&str> {
        self.dictionary(attribute).name(self.part(attribute, code))
    }

    /// Returns the bytes of the name that [`Columns::name`] returns.
    pub(crate) fn raw_name(&self, attribute: Attribute, code: u32) -> Option<&[u8]> {
        self.dictionary(attribute).raw(self.part(attribute, code))
    }

    /// Returns the number of rows held.
    pub fn rows(&self) -> usize {
        self.blocks.iter().map(Block::len).sum()
    }

    /// Returns the number of bytes held.
    pub fn bytes(&self) -> usize {
        self.row_bytes() + self.name_bytes()
    }

    /// Returns the number of bytes of the rows.
    pub(super) fn row_bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum()
    }

    /// Returns the number of bytes of the names, including the codes of combinations and the coordinates.
    pub(super) fn name_bytes(&self) -> usize {
        let met = self.kinds_met.bytes() + self.places_met.bytes();
        let composite = self.kinds.bytes() + self.places.bytes();
        let places = self.coordinates.capacity() * size_of::<Coordinates>();
        let dictionaries = self.dictionaries.iter().map(Dictionary::bytes).sum::<usize>();
        met + composite + places + dictionaries + self.segments.bytes()
    }

    /// Returns the coordinates of a place. A place of [`OTHERS`] has none, since it is several places.
    pub fn coordinates(&self, place: u32) -> Coordinates {
        if self.folded[Attribute::CITY.index()] && self.name(Attribute::CITY, place) == Some(OTHERS) {
            return Coordinates::default();
        }
        self.coordinates.get(place as usize).copied().unwrap_or_default()
    }

    /// Returns the names of an attribute in the order of their characters, and then None for the absent name.
    pub fn values(&self, attribute: Attribute) -> Vec<Option<String>> {
        // Each name is checked for UTF-8 once, rather than at each comparison.
        let mut names: Vec<&str> = self.dictionary(attribute).names().collect();
        names.sort_unstable();
        names.into_iter().map(|name| Some(name.to_owned())).chain([None]).collect()
    }

    /// Appends a row. Fails if a text is not UTF-8.
    ///
    /// # Panics
    /// Does not panic: there is always a block with room.
    pub fn push(&mut self, row: &OrderRow<'_>) -> Result<(), Utf8Error> {
        let kind = self.kinds_met.get(row.kind).map_or_else(|| self.meet_kind(row.kind), Ok)?;
        let place = self.places_met.get(row.place).map_or_else(|| self.meet_place(row.place), Ok)?;
        let merchant = self.dictionaries[Attribute::MERCHANT.index()].code_of_bytes(row.merchant)?;
        self.segments.meet(merchant, row.merchant);
        let card = self.dictionaries[Attribute::CARD.index()].code_of_bytes(row.card)?;
        self.locate(place, row);
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK_ROWS) {
            self.blocks.push(Block::new(self.next_row));
        }
        count_kind(&mut self.kind_rows, kind as usize, 1);
        let block = self.blocks.last_mut().expect("a block with room exists or was added above");
        block.push(row.time, row.cents, [kind, place, merchant, card]);
        self.next_row += 1;
        Ok(())
    }

    /// Replaces the segments of all merchants. Counts of earlier segments become invalid, if any segment differs.
    pub fn set_segments(&mut self, segments: Segments) {
        if self.segments.replace(segments) {
            self.generation += 1;
            self.code_segments();
        }
    }

    /// Gives each merchant's code the code of its segment.
    pub(super) fn code_segments(&mut self) {
        let is_folded = self.folded[Attribute::MERCHANT.index()] && self.segments.is_known();
        let merchants = &self.dictionaries[Attribute::MERCHANT.index()];
        let names = self.segments.code_all(merchants, is_folded.then_some(OTHERS));
        self.dictionaries[Attribute::SEGMENT.index()] = names;
        self.folded[Attribute::SEGMENT.index()] = is_folded;
    }

    /// Returns columns without rows for the same merchants' segments. Counts of these columns are invalid there.
    #[must_use]
    pub fn emptied(&mut self) -> Self {
        let mut emptied = Self { generation: self.generation + 1, ..Self::default() };
        emptied.set_segments(self.segments.take());
        emptied
    }

    /// Returns the code of a kind, from bytes that occur for the first time.
    fn meet_kind(&mut self, fields: &[u8]) -> Result<u32, Utf8Error> {
        let mut rest = fields;
        let mut parts = [UNKNOWN; KINDS];
        for (attribute, part) in Attribute::coded_in(CodedColumn::Kind).zip(&mut parts) {
            let mut field = split_field(&mut rest);
            if attribute.definition().is_flag {
                field = field.map(|flag| if flag == [0] { b"false".as_slice() } else { b"true" });
            }
            let currency;
            if attribute == Attribute::CURRENCY {
                currency = field.and_then(Currency::read);
                field = currency.as_ref().map(|currency| currency.as_str().as_bytes());
            }
            *part = self.dictionaries[attribute.index()].code_of_bytes(field)?;
        }
        let kind = self.code_kind(parts);
        self.kinds_met.put(fields, kind);
        Ok(kind)
    }

    fn meet_place(&mut self, fields: &[u8]) -> Result<u32, Utf8Error> {
        let mut rest = fields;
        let mut parts = [UNKNOWN; PLACES];
        for (attribute, part) in Attribute::coded_in(CodedColumn::Place).zip(&mut parts) {
            *part = self.dictionaries[attribute.index()].code_of_bytes(split_field(&mut rest))?;
        }
        let place = self.places.code(parts);
        self.places_met.put(fields, place);
        Ok(place)
    }

    pub(super) fn code_kind(&mut self, parts: [u32; KINDS]) -> u32 {
        let kind = self.kinds.code(parts);
        if self.outcomes.len() <= kind as usize {
            let name = |attribute: Attribute| self.dictionary(attribute).name(parts[attribute.part()]);
            self.outcomes.push(outcome(name(Attribute::STATUS), name(Attribute::RISK) == Some("true")));
        }
        kind
    }

    /// Returns the outcome of the rows of a kind.
    pub fn outcome(&self, kind: u32) -> Outcome {
        self.outcomes[kind as usize]
    }

    /// Stores the coordinates of a place if it has none yet and the row has both.
    fn locate(&mut self, place: u32, row: &OrderRow<'_>) {
        let at = place as usize;
        if self.coordinates.len() <= at {
            self.coordinates.resize(at + 1, Coordinates::default());
        }
        let known = &mut self.coordinates[at];
        if known.latitude.is_none() && row.latitude.is_some() && row.longitude.is_some() {
            *known = Coordinates { latitude: row.latitude, longitude: row.longitude };
        }
    }

    /// Returns the currency that most rows have, where None (rows without a currency) counts as one too. If several
    /// have equally many rows, the first in the order of names is returned, None being first.
    pub fn main_currency(&self) -> Option<&str> {
        let mut rows: BTreeMap<Option<&str>, u64> = BTreeMap::new();
        for (kind, count) in self.kind_rows.iter().enumerate() {
            *rows.entry(self.name(Attribute::CURRENCY, kind as u32)).or_default() += count;
        }
        rows.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name))).and_then(|(name, _)| name)
    }

    /// Returns the first and last time of all rows; None if no row has a time.
    pub fn span(&self) -> Option<(i64, i64)> {
        let first = self.blocks.iter().map(|block| block.first).min()?;
        let last = self.blocks.iter().map(|block| block.last).max()?;
        (first <= last).then_some((first, last))
    }
}

pub(super) fn count_kind(rows: &mut Vec<u64>, kind: usize, count: u64) {
    if rows.len() <= kind {
        rows.resize(kind + 1, 0);
    }
    rows[kind] += count;
}

/// These methods take columns apart for saving, and put them together again.
impl Columns {
    /// Returns the names of each [`Attribute`] in the order of their codes, from 1 on. Code 0 is the absent name.
    pub fn names(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        self.dictionaries.iter().map(Dictionary::names)
    }

    /// Returns the parts of each kind, by its code.
    pub fn kinds(&self) -> &[[u32; KINDS]] {
        &self.kinds.parts
    }

    /// Returns the parts and the coordinates of each place, by its code.
    pub fn places(&self) -> (&[[u32; PLACES]], &[Coordinates]) {
        (&self.places.parts, &self.coordinates)
    }

    /// Adds a name to an attribute, with the next code.
    pub fn push_name(&mut self, attribute: Attribute, name: &str) {
        self.dictionaries[attribute.index()].code(Some(name));
    }

    /// Adds a kind with the next code; None if a part is a code without a name.
    pub fn push_kind(&mut self, parts: [u32; KINDS]) -> Option<()> {
        self.have_names(CodedColumn::Kind, &parts).then(|| self.code_kind(parts)).map(drop)
    }

    fn have_names(&self, column: CodedColumn, parts: &[u32]) -> bool {
        let has_name = |(attribute, code): (Attribute, &u32)| (*code as usize) < self.dictionary(attribute).len();
        Attribute::coded_in(column).zip(parts).all(has_name)
    }

    /// Adds a place with the next code; None if a part is a code without a name.
    pub fn push_place(&mut self, parts: [u32; PLACES], coordinates: Coordinates) -> Option<()> {
        if !self.have_names(CodedColumn::Place, &parts) {
            return None;
        }
        self.places.code(parts);
        self.coordinates.push(coordinates);
        Some(())
    }

    /// Adds a block; None if one of its codes does not exist.
    pub fn push_block(&mut self, block: Block) -> Option<()> {
        for column in [CodedColumn::Kind, CodedColumn::Place, CodedColumn::Merchant, CodedColumn::Card] {
            if block.codes(column).max().is_some_and(|code| code as usize >= self.codes(column)) {
                return None;
            }
        }
        with_codes!(block.codes(CodedColumn::Kind), codes => {
            for code in codes {
                count_kind(&mut self.kind_rows, *code as usize, 1);
            }
        });
        self.blocks.push(block);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_first_coordinates() {
        let mut columns = Columns::default();
        for (latitude, longitude) in [(None, None), (Some(1.0), None), (Some(2.0), Some(3.0)), (Some(4.0), Some(5.0))] {
            columns.push(&OrderRow { latitude, longitude, ..OrderRow::default() }).unwrap();
        }
        assert_eq!(columns.coordinates(0), Coordinates { latitude: Some(2.0), longitude: Some(3.0) });
    }
}
