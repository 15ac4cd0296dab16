//! What rows are described by. [`ATTRIBUTES`] is the one list of it: a line there is a column that the engine reads, a
//! dimension to filter and to group by, and a filter of the page (`make generate` writes its name there).

use super::block::CodedColumn;
use ccstream_core::fields::is_same;

/// A column of `orders` that has names.
#[derive(Debug)]
pub struct Definition {
    /// What it is called in queries.
    pub name: &'static str,
    /// The column of `orders`.
    pub column: &'static str,
    /// What the page calls it; None for one that is counted alone, and is no dimension.
    pub title: Option<&'static str>,
    /// The coded column that holds it.
    coded: CodedColumn,
    /// It is a BOOLEAN: its names are "true" and "false".
    pub(super) is_flag: bool,
}

impl Definition {
    /// One of few values, which are coded together with those of the others.
    const fn of_kind(name: &'static str, title: &'static str) -> Self {
        Self { name, column: name, title: Some(title), coded: CodedColumn::Kind, is_flag: false }
    }
    const fn coded_in(self, coded: CodedColumn) -> Self {
        Self { coded, ..self }
    }
    const fn flag(self, column: &'static str) -> Self {
        Self { column, is_flag: true, ..self }
    }
    const fn counted(name: &'static str, column: &'static str, coded: CodedColumn) -> Self {
        Self { name, column, title: None, coded, is_flag: false }
    }
}

/// Every attribute, in the order of the page's filters.
pub const ATTRIBUTES: &[Definition] = &[
    Definition::of_kind("category", "Category"),
    Definition::of_kind("city", "City").coded_in(CodedColumn::Place),
    Definition::of_kind("country", "Country").coded_in(CodedColumn::Place),
    Definition::of_kind("merchant", "Merchant").coded_in(CodedColumn::Merchant),
    Definition::of_kind("payment_method", "Payment method"),
    Definition::of_kind("status", "Status"),
    Definition::of_kind("currency", "Currency"),
    Definition::of_kind("entry_mode", "Entry mode"),
    Definition::of_kind("response_code", "Response code"),
    Definition::of_kind("risk", "Risk flag").flag("risk_flag"),
    Definition::counted("card", "card_token", CodedColumn::Card),
];

/// How many attributes there are.
pub const COUNT: usize = ATTRIBUTES.len();
/// How many of them are coded together as the kind of a row.
pub const KINDS: usize = count(CodedColumn::Kind);
/// How many are coded together as its place.
pub const PLACES: usize = count(CodedColumn::Place);

/// An attribute, by its place in [`ATTRIBUTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attribute(u8);

#[allow(missing_docs, reason = "each is its name; ATTRIBUTES says the rest")]
impl Attribute {
    pub const CITY: Self = Self::of("city");
    pub const COUNTRY: Self = Self::of("country");
    pub const MERCHANT: Self = Self::of("merchant");
    pub const STATUS: Self = Self::of("status");
    pub const CURRENCY: Self = Self::of("currency");
    pub const RISK: Self = Self::of("risk");
    pub const CARD: Self = Self::of("card");

    /// The attribute of a name; of one that is none, a constant does not compile.
    const fn of(name: &str) -> Self {
        let mut at = 0;
        while at < COUNT {
            if is_same(ATTRIBUTES[at].name, name) {
                return Self(at as u8);
            }
            at += 1;
        }
        panic!("there is no such attribute")
    }

    /// Every attribute, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..COUNT as u8).map(Self)
    }

    /// Those that are dimensions, in order.
    pub fn dimensions() -> impl Iterator<Item = Self> {
        Self::all().filter(|attribute| attribute.definition().title.is_some())
    }

    /// Those that are coded together in a column, in order.
    pub fn coded_in(column: CodedColumn) -> impl Iterator<Item = Self> {
        Self::all().filter(move |attribute| attribute.coded_column() == column)
    }

    /// As an index of [`ATTRIBUTES`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// What it is.
    pub const fn definition(self) -> &'static Definition {
        &ATTRIBUTES[self.0 as usize]
    }

    /// The coded column that holds it.
    pub const fn coded_column(self) -> CodedColumn {
        self.definition().coded
    }

    /// How many attributes of its coded column come before it: where its code is in a composite one.
    pub(crate) const fn part(self) -> usize {
        PARTS[self.0 as usize]
    }
}

const PARTS: [usize; COUNT] = {
    let (mut parts, mut seen, mut at) = ([0; COUNT], [0; super::block::COLUMNS], 0);
    while at < COUNT {
        let column = ATTRIBUTES[at].coded as usize;
        parts[at] = seen[column];
        seen[column] += 1;
        at += 1;
    }
    parts
};

const fn count(column: CodedColumn) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < COUNT {
        if ATTRIBUTES[at].coded as usize == column as usize {
            count += 1;
        }
        at += 1;
    }
    count
}

/// A number that changes with the list: columns that were saved under another one cannot be read.
pub const FINGERPRINT: u64 = {
    // FNV-1a, 64 bits (draft-eastlake-fnv).
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < COUNT {
        let (name, mut byte) = (ATTRIBUTES[at].column.as_bytes(), 0);
        while byte < name.len() {
            hash = (hash ^ name[byte] as u64).wrapping_mul(0x0100_0000_01b3);
            byte += 1;
        }
        hash = (hash ^ ATTRIBUTES[at].coded as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_composite_follow_each_other() {
        for column in [CodedColumn::Kind, CodedColumn::Place, CodedColumn::Merchant, CodedColumn::Card] {
            let parts: Vec<usize> = Attribute::coded_in(column).map(Attribute::part).collect();
            assert_eq!(parts, (0..count(column)).collect::<Vec<_>>(), "{column:?}");
        }
        assert_eq!((KINDS + PLACES + 2, PLACES), (COUNT, 2));
    }

    #[test]
    fn names_are_columns_of_orders() {
        for attribute in ATTRIBUTES {
            let field = ccstream_core::fields::FIELDS.iter().find(|field| field.column == attribute.column).unwrap();
            let is_flag = matches!(field.sql_type, ccstream_core::sql_type::SqlType::Flag);
            assert_eq!(is_flag, attribute.is_flag, "{}", attribute.name);
        }
    }
}
