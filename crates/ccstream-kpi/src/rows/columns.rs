//! The rows in memory: dictionary-coded columns in blocks, about 20 bytes a row.
//!
//! Blocks are appended in the order of loading (newest first, then what follows) and each knows its first and
//! last time, so that a range of time touches few of them. A row's number never changes while it stays.

use std::collections::{BTreeMap, HashMap};
use std::str::Utf8Error;

use ccstream_core::currency::Currency;
use hashbrown::DefaultHashBuilder;

use super::attribute::{Attribute, COUNT, KINDS, PLACES};
use super::block::{BLOCK_ROWS, Block, CodedColumn};
use super::codes::with_codes;
use super::dictionary::{Dictionary, Memo, UNKNOWN};
use super::outcome::{OutcomeBits, outcome};

/// The name of those that are counted together for lack of room.
pub const OTHERS: &str = "(others)";

/// Codes of several attributes that come together, as one code.
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

    /// Bytes held.
    fn bytes(&self) -> usize {
        (self.parts.capacity() + self.codes.capacity()) * size_of::<[u32; N]>() + self.codes.capacity() * 5
    }
}

/// A row as it comes from the database. Texts are bytes until they turn out to be new.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderRow<'a> {
    /// Microseconds since 1970 UTC, or `ABSENT`.
    pub time: i64,
    /// The amount in cents, or `ABSENT`.
    pub cents: i64,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// The merchant's name.
    pub merchant: Option<&'a [u8]>,
    /// The card's token.
    pub card: Option<&'a [u8]>,
    /// The attributes of its place in their order, as COPY has fields: each after its length. What is missing is
    /// absent.
    pub place: &'a [u8],
    /// Those of its kind, likewise.
    pub kind: &'a [u8],
}

/// The first field of several; None for an absent one, and where there is none.
pub fn split_field<'a>(fields: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = fields.split_first_chunk::<4>()?;
    let len = i32::from_be_bytes(*len);
    let (field, rest) = rest.split_at_checked(usize::try_from(len).unwrap_or(0))?;
    *fields = rest;
    (len >= 0).then_some(field)
}

/// Where a place lies, in degrees, as the first row that said so has it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coordinates {
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
}

/// All rows.
#[derive(Debug, Default)]
pub struct Columns {
    pub(super) dictionaries: [Dictionary; COUNT],
    pub(super) kinds: Composite<KINDS>,
    pub(super) kinds_met: Memo,
    /// By the code of the kind.
    pub(super) outcomes: Vec<OutcomeBits>,
    pub(super) places: Composite<PLACES>,
    pub(super) places_met: Memo,
    /// By the code of the place.
    pub(super) coordinates: Vec<Coordinates>,
    /// In the order of loading; only the last may take rows.
    pub blocks: Vec<Block>,
    /// The number that the next row gets.
    pub next_row: u64,
    /// Grows whenever rows leave.
    pub generation: u64,
    /// The latest time of a row that left for lack of room: what is older is not all here.
    pub dropped_until: Option<i64>,
    /// By [`Attribute`], whether its rarest names were counted together as [`OTHERS`] for lack of room.
    pub folded: [bool; COUNT],
    /// Rows of each kind.
    pub(super) kind_rows: Vec<u64>,
    /// Names of merchants and of cards when they were last found to be in use.
    pub(super) in_use: [usize; 2],
}

impl Columns {
    pub(crate) fn dictionary(&self, attribute: Attribute) -> &Dictionary {
        &self.dictionaries[attribute.index()]
    }

    /// How many codes a column has.
    pub fn codes(&self, column: CodedColumn) -> usize {
        match column {
            CodedColumn::Kind => self.kinds.parts.len(),
            CodedColumn::Place => self.places.parts.len(),
            CodedColumn::Merchant => self.dictionary(Attribute::MERCHANT).len(),
            CodedColumn::Card => self.dictionary(Attribute::CARD).len(),
        }
    }

    /// The attribute's own code that a code of its column holds.
    pub fn part(&self, attribute: Attribute, code: u32) -> u32 {
        match attribute.coded_column() {
            CodedColumn::Kind => self.kinds.parts[code as usize][attribute.part()],
            CodedColumn::Place => self.places.parts[code as usize][attribute.part()],
            CodedColumn::Merchant | CodedColumn::Card => code,
        }
    }

    /// The attribute's name that a code of its column holds; None is unknown.
    pub fn name(&self, attribute: Attribute, code: u32) -> Option<&str> {
        self.dictionary(attribute).name(self.part(attribute, code))
    }

    /// The same as bytes, unchecked.
    pub(crate) fn raw_name(&self, attribute: Attribute, code: u32) -> Option<&[u8]> {
        self.dictionary(attribute).raw(self.part(attribute, code))
    }

    /// Rows held.
    pub fn rows(&self) -> usize {
        self.blocks.iter().map(Block::len).sum()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.row_bytes() + self.name_bytes()
    }

    /// Bytes that rows take.
    pub(super) fn row_bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum()
    }

    /// Bytes that names take, and what goes with them.
    pub(super) fn name_bytes(&self) -> usize {
        let met = self.kinds_met.bytes() + self.places_met.bytes();
        let composite = self.kinds.bytes() + self.places.bytes();
        let places = self.coordinates.capacity() * size_of::<Coordinates>();
        met + composite + places + self.dictionaries.iter().map(Dictionary::bytes).sum::<usize>()
    }

    /// Where a place lies; nowhere, if it is several.
    pub fn coordinates(&self, place: u32) -> Coordinates {
        if self.folded[Attribute::CITY.index()] && self.name(Attribute::CITY, place) == Some(OTHERS) {
            return Coordinates::default();
        }
        self.coordinates.get(place as usize).copied().unwrap_or_default()
    }

    /// The names of an attribute, in the order of the alphabet; then None, for unknown.
    pub fn values(&self, attribute: Attribute) -> Vec<Option<String>> {
        // Each is read as UTF-8 once, not at each comparison.
        let mut names: Vec<&str> = self.dictionary(attribute).names().collect();
        names.sort_unstable();
        names.into_iter().map(|name| Some(name.to_owned())).chain([None]).collect()
    }

    /// Appends a row. Errors: a text is no UTF-8.
    ///
    /// # Panics
    /// Never: there is always a block with room.
    pub fn push(&mut self, row: &OrderRow<'_>) -> Result<(), Utf8Error> {
        let kind = self.kinds_met.get(row.kind).map_or_else(|| self.meet_kind(row.kind), Ok)?;
        let place = self.places_met.get(row.place).map_or_else(|| self.meet_place(row.place), Ok)?;
        let merchant = self.dictionaries[Attribute::MERCHANT.index()].code_of_bytes(row.merchant)?;
        let card = self.dictionaries[Attribute::CARD.index()].code_of_bytes(row.card)?;
        self.locate(place, row);
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK_ROWS) {
            self.blocks.push(Block::new(self.next_row));
        }
        count_kind(&mut self.kind_rows, kind as usize, 1);
        let block = self.blocks.last_mut().expect("one was made above where none had room");
        block.push(row.time, row.cents, [kind, place, merchant, card]);
        self.next_row += 1;
        Ok(())
    }

    /// The code of a kind that was not met before in these bytes.
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

    /// What became of rows of a kind.
    pub fn outcome(&self, kind: u32) -> OutcomeBits {
        self.outcomes[kind as usize]
    }

    /// Notes where a place lies, if a row says so for the first time.
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

    /// The currency that most rows have, None being one too; of several the first by name.
    pub fn main_currency(&self) -> Option<&str> {
        let mut rows: BTreeMap<Option<&str>, u64> = BTreeMap::new();
        for (kind, count) in self.kind_rows.iter().enumerate() {
            *rows.entry(self.name(Attribute::CURRENCY, kind as u32)).or_default() += count;
        }
        rows.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name))).and_then(|(name, _)| name)
    }

    /// The first and last time of all rows that have one.
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

/// Columns in parts, as they are saved and read again.
impl Columns {
    /// Every attribute's names in the order of their codes, [`Attribute`] by attribute; the unknown, code 0, has none.
    pub fn names(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        self.dictionaries.iter().map(Dictionary::names)
    }

    /// The parts of each kind, by its code.
    pub fn kinds(&self) -> &[[u32; KINDS]] {
        &self.kinds.parts
    }

    /// The parts of each place, by its code, and where it lies.
    pub fn places(&self) -> (&[[u32; PLACES]], &[Coordinates]) {
        (&self.places.parts, &self.coordinates)
    }

    /// Gives an attribute its next name.
    pub fn push_name(&mut self, attribute: Attribute, name: &str) {
        self.dictionaries[attribute.index()].code(Some(name));
    }

    /// Adds a kind; None if a part of it has no name.
    pub fn push_kind(&mut self, parts: [u32; KINDS]) -> Option<()> {
        self.have_names(CodedColumn::Kind, &parts).then(|| self.code_kind(parts)).map(drop)
    }

    fn have_names(&self, column: CodedColumn, parts: &[u32]) -> bool {
        let has_name = |(attribute, code): (Attribute, &u32)| (*code as usize) < self.dictionary(attribute).len();
        Attribute::coded_in(column).zip(parts).all(has_name)
    }

    /// Adds a place, likewise.
    pub fn push_place(&mut self, parts: [u32; PLACES], coordinates: Coordinates) -> Option<()> {
        if !self.have_names(CodedColumn::Place, &parts) {
            return None;
        }
        self.places.code(parts);
        self.coordinates.push(coordinates);
        Some(())
    }

    /// Adds a block; None if it has a code that there is no name for.
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
    fn a_place_lies_where_a_row_first_says() {
        let mut columns = Columns::default();
        for (latitude, longitude) in [(None, None), (Some(1.0), None), (Some(2.0), Some(3.0)), (Some(4.0), Some(5.0))] {
            columns.push(&OrderRow { latitude, longitude, ..OrderRow::default() }).unwrap();
        }
        assert_eq!(columns.coordinates(0), Coordinates { latitude: Some(2.0), longitude: Some(3.0) });
    }
}
