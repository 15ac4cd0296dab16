//! The rows in memory: dictionary-coded columns in blocks, 26 bytes a row where codes are small.
//!
//! Blocks are appended in the order of loading (newest first, then what follows) and each knows its first and
//! last time, so that a range of time touches few of them. A row's number never changes while it stays.

use std::collections::BTreeSet;

use super::dictionary::Dictionary;
use super::query::Dimension;

/// Rows of a full block.
pub(crate) const BLOCK_ROWS: usize = 65_536;
/// The time of a row without one, and the cents of one without an amount.
pub(crate) const ABSENT: i64 = i64::MIN;

/// The coded columns. `Place` is a pair of city and country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Column {
    Category,
    Place,
    Merchant,
    PaymentMethod,
    Status,
    Currency,
    EntryMode,
    Risk,
    Card,
}

/// How many coded columns there are.
pub(crate) const COLUMNS: usize = 9;

/// A row as it comes from the database.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row<'a> {
    /// Microseconds since 1970 UTC, or [`ABSENT`].
    pub(crate) time: i64,
    /// The amount in cents, or [`ABSENT`].
    pub(crate) cents: i64,
    pub(crate) category: Option<&'a str>,
    pub(crate) city: Option<&'a str>,
    pub(crate) country: Option<&'a str>,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    pub(crate) merchant: Option<&'a str>,
    pub(crate) payment_method: Option<&'a str>,
    pub(crate) status: Option<&'a str>,
    pub(crate) currency: Option<&'a str>,
    pub(crate) entry_mode: Option<&'a str>,
    pub(crate) risk: Option<bool>,
    pub(crate) card: Option<&'a str>,
}

/// The codes of a block's column, as narrow as they fit.
#[derive(Debug)]
pub(crate) enum Codes {
    Byte(Vec<u8>),
    Short(Vec<u16>),
    Long(Vec<u32>),
}

/// Runs the same code for each width of codes.
macro_rules! with_codes {
    ($codes:expr, $values:ident => $run:expr) => {
        match $codes {
            $crate::kpi::columns::Codes::Byte($values) => $run,
            $crate::kpi::columns::Codes::Short($values) => $run,
            $crate::kpi::columns::Codes::Long($values) => $run,
        }
    };
}
pub(crate) use with_codes;

impl Codes {
    fn push(&mut self, code: u32) {
        match self {
            Self::Long(codes) => codes.push(code),
            Self::Byte(_) | Self::Short(_) => unreachable!("a sealed block takes no more rows"),
        }
    }

    /// Of one row.
    pub(crate) fn get(&self, row: usize) -> u32 {
        match self {
            Self::Byte(codes) => u32::from(codes[row]),
            Self::Short(codes) => u32::from(codes[row]),
            Self::Long(codes) => codes[row],
        }
    }

    /// Of some rows, in place of what `out` holds.
    pub(crate) fn gather(&self, rows: &[u16], out: &mut Vec<u32>) {
        out.clear();
        let rows = rows.iter().map(|row| usize::from(*row));
        match self {
            Self::Byte(codes) => out.extend(rows.map(|row| u32::from(codes[row]))),
            Self::Short(codes) => out.extend(rows.map(|row| u32::from(codes[row]))),
            Self::Long(codes) => out.extend(rows.map(|row| codes[row])),
        }
    }

    fn seal(&mut self) {
        let Self::Long(codes) = self else { return };
        let max = codes.iter().copied().max().unwrap_or_default();
        if u8::try_from(max).is_ok() {
            *self = Self::Byte(codes.iter().map(|code| *code as u8).collect());
        } else if u16::try_from(max).is_ok() {
            *self = Self::Short(codes.iter().map(|code| *code as u16).collect());
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Byte(codes) => codes.capacity(),
            Self::Short(codes) => codes.capacity() * 2,
            Self::Long(codes) => codes.capacity() * 4,
        }
    }
}

/// Amounts in cents; a sealed block's are narrow where they fit, and then hold `i32::MIN` for [`ABSENT`].
#[derive(Debug)]
pub(crate) enum Amounts {
    Narrow(Vec<i32>),
    Wide(Vec<i64>),
}

impl Amounts {
    /// Of one row.
    pub(crate) fn get(&self, row: usize) -> i64 {
        match self {
            Self::Narrow(cents) if cents[row] == i32::MIN => ABSENT,
            Self::Narrow(cents) => i64::from(cents[row]),
            Self::Wide(cents) => cents[row],
        }
    }

    fn seal(&mut self) {
        let Self::Wide(cents) = self else { return };
        let fits = |cents: &i64| *cents == ABSENT || (*cents > i64::from(i32::MIN) && *cents <= i64::from(i32::MAX));
        if cents.iter().all(fits) {
            let narrow = |cents: &i64| i32::try_from(*cents).unwrap_or(i32::MIN);
            *self = Self::Narrow(cents.iter().map(narrow).collect());
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Narrow(cents) => cents.capacity() * 4,
            Self::Wide(cents) => cents.capacity() * 8,
        }
    }
}

/// Up to [`BLOCK_ROWS`] rows.
#[derive(Debug)]
pub(crate) struct Block {
    /// The number of its first row.
    pub(crate) start: u64,
    /// Microseconds since 1970 UTC, or [`ABSENT`].
    pub(crate) time: Vec<i64>,
    pub(crate) amount: Amounts,
    pub(crate) codes: [Codes; COLUMNS],
    /// The first and last time of its rows that have one; `first > last` where none has.
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// How many have none.
    pub(crate) untimed: usize,
}

impl Block {
    fn new(start: u64) -> Self {
        let codes = std::array::from_fn(|_| Codes::Long(Vec::new()));
        Self {
            start,
            time: Vec::new(),
            amount: Amounts::Wide(Vec::new()),
            codes,
            first: i64::MAX,
            last: i64::MIN,
            untimed: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.time.len()
    }

    pub(crate) fn codes(&self, column: Column) -> &Codes {
        &self.codes[column as usize]
    }

    fn seal(&mut self) {
        self.time.shrink_to_fit();
        self.amount.seal();
        self.codes.iter_mut().for_each(Codes::seal);
    }

    fn bytes(&self) -> usize {
        self.time.capacity() * 8 + self.amount.bytes() + self.codes.iter().map(Codes::bytes).sum::<usize>()
    }
}

/// Where a place lies, in degrees, as the first row that said so has it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Coordinates {
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
}

/// All rows.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    dictionaries: [Dictionary; COLUMNS],
    /// By the code of the place.
    coordinates: Vec<Coordinates>,
    pub(crate) blocks: Vec<Block>,
    /// The number that the next row gets.
    pub(crate) next_row: u64,
    /// Grows whenever rows leave.
    pub(crate) generation: u64,
    /// The latest time of a row that left for lack of room: what is older is not all here.
    pub(crate) dropped_until: Option<i64>,
    /// Rows of each currency, by its code.
    currencies: Vec<u64>,
    place_key: String,
}

/// Between a place's city and its country; no text of PostgreSQL's can hold it.
const SEPARATOR: char = '\0';

impl Columns {
    pub(crate) fn dictionary(&self, column: Column) -> &Dictionary {
        &self.dictionaries[column as usize]
    }

    /// Rows held.
    pub(crate) fn len(&self) -> usize {
        self.blocks.iter().map(Block::len).sum()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(Block::bytes).sum();
        blocks + self.dictionaries.iter().map(Dictionary::bytes).sum::<usize>()
    }

    /// City and country of a place's code.
    pub(crate) fn place(&self, code: u32) -> (Option<&str>, Option<&str>) {
        let Some(key) = self.dictionary(Column::Place).name(code) else { return (None, None) };
        let (flags, names) = key.split_at(1);
        let (city, country) = names.split_once(SEPARATOR).unwrap_or((names, ""));
        let flags = flags.as_bytes()[0] - b'0';
        ((flags & 1 != 0).then_some(city), (flags & 2 != 0).then_some(country))
    }

    pub(crate) fn dictionaries(&self) -> &[Dictionary] {
        &self.dictionaries
    }

    pub(crate) fn all_coordinates(&self) -> &[Coordinates] {
        &self.coordinates
    }

    /// The names of a dimension, in the order of the alphabet; None where there may be unknown ones.
    pub(crate) fn values(&self, dimension: Dimension) -> Vec<Option<String>> {
        let column = dimension.column();
        let codes = 1..self.dictionary(column).len() as u32;
        let name = |code: u32| match dimension {
            Dimension::City => self.place(code).0,
            Dimension::Country => self.place(code).1,
            _ => self.dictionary(column).name(code),
        };
        let names: BTreeSet<&str> = codes.filter_map(name).collect();
        names.into_iter().map(|name| Some(name.to_owned())).chain([None]).collect()
    }

    /// Gives a column its next name, as it was saved.
    pub(super) fn name(&mut self, column: usize, name: &str) {
        self.dictionaries[column].code(Some(name));
    }

    pub(super) fn set_coordinates(&mut self, coordinates: Vec<Coordinates>) {
        self.coordinates = coordinates;
    }

    /// Appends a block as it was saved.
    pub(super) fn push_block(&mut self, block: Block) {
        with_codes!(block.codes(Column::Currency), codes => {
            for code in codes {
                count_currency(&mut self.currencies, *code as usize);
            }
        });
        self.blocks.push(block);
    }

    pub(crate) fn coordinates(&self, place: u32) -> Coordinates {
        self.coordinates.get(place as usize).copied().unwrap_or_default()
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, row: &Row<'_>) {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK_ROWS) {
            self.blocks.push(Block::new(self.next_row));
        }
        let place = self.code_place(row);
        let codes = [
            self.code(Column::Category, row.category),
            place,
            self.code(Column::Merchant, row.merchant),
            self.code(Column::PaymentMethod, row.payment_method),
            self.code(Column::Status, row.status),
            self.code(Column::Currency, row.currency),
            self.code(Column::EntryMode, row.entry_mode),
            self.code(Column::Risk, row.risk.map(|risk| if risk { "true" } else { "false" })),
            self.code(Column::Card, row.card),
        ];
        count_currency(&mut self.currencies, codes[Column::Currency as usize] as usize);
        let block = self.blocks.last_mut().expect("one was made above where none had room");
        for (column, code) in block.codes.iter_mut().zip(codes) {
            column.push(code);
        }
        block.time.push(row.time);
        let Amounts::Wide(cents) = &mut block.amount else { unreachable!("a sealed block takes no more rows") };
        cents.push(row.cents);
        if row.time == ABSENT {
            block.untimed += 1;
        } else {
            block.first = block.first.min(row.time);
            block.last = block.last.max(row.time);
        }
        if block.len() == BLOCK_ROWS {
            block.seal();
        }
        self.next_row += 1;
    }

    fn code(&mut self, column: Column, name: Option<&str>) -> u32 {
        self.dictionaries[column as usize].code(name)
    }

    fn code_place(&mut self, row: &Row<'_>) -> u32 {
        if row.city.is_none() && row.country.is_none() {
            return super::dictionary::UNKNOWN;
        }
        let flags = u8::from(row.city.is_some()) | u8::from(row.country.is_some()) << 1;
        self.place_key.clear();
        self.place_key.push(char::from(b'0' + flags));
        self.place_key.push_str(row.city.unwrap_or_default());
        self.place_key.push(SEPARATOR);
        self.place_key.push_str(row.country.unwrap_or_default());
        let code = self.dictionaries[Column::Place as usize].code(Some(&self.place_key));
        let at = code as usize;
        if self.coordinates.len() <= at {
            self.coordinates.resize(at + 1, Coordinates::default());
        }
        let known = &mut self.coordinates[at];
        if known.latitude.is_none() && row.latitude.is_some() && row.longitude.is_some() {
            *known = Coordinates { latitude: row.latitude, longitude: row.longitude };
        }
        code
    }

    /// The currency that most rows have, None being one too; of several the first by name.
    pub(crate) fn main_currency(&self) -> Option<&str> {
        let names = self.dictionary(Column::Currency);
        let most =
            self.currencies.iter().zip(0..).max_by_key(|(rows, code)| (**rows, std::cmp::Reverse(names.name(*code))));
        most.and_then(|(_, code)| names.name(code))
    }

    /// The first and last time of all rows that have one.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        let first = self.blocks.iter().map(|block| block.first).min()?;
        let last = self.blocks.iter().map(|block| block.last).max()?;
        (first <= last).then_some((first, last))
    }

    /// Makes room: whole blocks leave, the oldest first, until no more than so many rows are held and none is
    /// wholly older than `oldest`. The block that still takes rows stays.
    pub(crate) fn drop_oldest(&mut self, max_rows: usize, oldest: Option<i64>) {
        let mut rows = self.len();
        loop {
            let sealed = self.blocks.iter().enumerate().filter(|(_, block)| block.len() == BLOCK_ROWS);
            let Some((at, block)) = sealed.min_by_key(|(_, block)| block.last) else { return };
            if rows <= max_rows && oldest.is_none_or(|oldest| block.last >= oldest) {
                return;
            }
            rows -= block.len();
            self.dropped_until = self.dropped_until.max(Some(block.last));
            let block = self.blocks.remove(at);
            with_codes!(block.codes(Column::Currency), codes => {
                for code in codes {
                    self.currencies[*code as usize] -= 1;
                }
            });
            self.generation += 1;
        }
    }
}

fn count_currency(currencies: &mut Vec<u64>, currency: usize) {
    if currencies.len() <= currency {
        currencies.resize(currency + 1, 0);
    }
    currencies[currency] += 1;
}
