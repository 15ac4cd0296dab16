//! Lists the attributes of rows. Each line of [`ATTRIBUTES`] is a column that the engine reads, a dimension to filter
//! and group by, and a filter of the page (`make generate` writes the line's title there).

use super::block::CodedColumn;
use ccstream_core::fields::is_same;

/// Defines an attribute: a column of `orders` whose values are names.
#[derive(Debug)]
pub struct Definition {
    /// The name in queries.
    pub name: &'static str,
    /// The name of the column in `orders`, or of the one whose value is searched for elsewhere.
    pub column: &'static str,
    /// The title on the page; None if the values are only counted, and the attribute is not a dimension.
    pub title: Option<&'static str>,
    /// The coded column that holds the values.
    coded: CodedColumn,
    /// Whether the column is a BOOLEAN, whose names are "true" and "false".
    pub(super) is_flag: bool,
}

impl Definition {
    /// Defines an attribute with few values. Such attributes are coded together, as the kind of a row.
    const fn of_kind(name: &'static str, title: &'static str) -> Self {
        Self { name, column: name, title: Some(title), coded: CodedColumn::Kind, is_flag: false }
    }
    const fn coded_in(self, coded: CodedColumn) -> Self {
        Self { coded, ..self }
    }
    const fn flag(self, column: &'static str) -> Self {
        Self { column, is_flag: true, ..self }
    }
    /// Defines an attribute of a merchant that is not in `orders`.
    const fn of_merchant(name: &'static str, title: &'static str) -> Self {
        Self { column: "merchant", ..Self::of_kind(name, title).coded_in(CodedColumn::Merchant) }
    }
    const fn counted(name: &'static str, column: &'static str, coded: CodedColumn) -> Self {
        Self { name, column, title: None, coded, is_flag: false }
    }
}

/// Lists every attribute, in the order of the filters on the page.
pub const ATTRIBUTES: &[Definition] = &[
    Definition::of_kind("category", "Category"),
    Definition::of_kind("city", "City").coded_in(CodedColumn::Place),
    Definition::of_kind("country", "Country").coded_in(CodedColumn::Place),
    Definition::of_kind("merchant", "Merchant").coded_in(CodedColumn::Merchant),
    Definition::of_merchant("segment", "Segment"),
    Definition::of_kind("payment_method", "Payment method"),
    Definition::of_kind("status", "Status"),
    Definition::of_kind("currency", "Currency"),
    Definition::of_kind("entry_mode", "Entry mode"),
    Definition::of_kind("response_code", "Response code"),
    Definition::of_kind("issuer", "Issuer"),
    Definition::of_kind("risk", "Risk flag").flag("risk_flag"),
    Definition::counted("card", "card_token", CodedColumn::Card),
];

/// The number of attributes.
pub const COUNT: usize = ATTRIBUTES.len();
/// The number of attributes that are coded together as the kind of a row.
pub const KINDS: usize = count(CodedColumn::Kind);
/// The number of attributes that are coded together as the place of a row.
pub const PLACES: usize = count(CodedColumn::Place);

/// Identifies an attribute by its index in [`ATTRIBUTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attribute(u8);

#[allow(missing_docs, reason = "each has the name of its attribute; ATTRIBUTES documents it")]
impl Attribute {
    pub const CITY: Self = Self::of("city");
    pub const COUNTRY: Self = Self::of("country");
    pub const MERCHANT: Self = Self::of("merchant");
    pub const SEGMENT: Self = Self::of("segment");
    pub const STATUS: Self = Self::of("status");
    pub const CURRENCY: Self = Self::of("currency");
    pub const RISK: Self = Self::of("risk");
    pub const CARD: Self = Self::of("card");

    /// Returns the attribute with a name. A constant with an unknown name does not compile.
    const fn of(name: &str) -> Self {
        let mut at = 0;
        while at < COUNT {
            if is_same(ATTRIBUTES[at].name, name) {
                return Self(at as u8);
            }
            at += 1;
        }
        panic!("no attribute has this name")
    }

    /// Returns every attribute, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..COUNT as u8).map(Self)
    }

    /// Returns the attributes that are dimensions, in order.
    pub fn dimensions() -> impl Iterator<Item = Self> {
        Self::all().filter(|attribute| attribute.definition().title.is_some())
    }

    /// Returns the attributes that are coded together in a column, in order.
    pub fn coded_in(column: CodedColumn) -> impl Iterator<Item = Self> {
        Self::all().filter(move |attribute| attribute.coded_column() == column)
    }

    /// Returns the index into [`ATTRIBUTES`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns the definition.
    pub const fn definition(self) -> &'static Definition {
        &ATTRIBUTES[self.0 as usize]
    }

    /// Returns the coded column that holds the attribute's values.
    pub const fn coded_column(self) -> CodedColumn {
        self.definition().coded
    }

    /// Returns the index of the attribute's code within a composite code: the number of earlier attributes in its
    /// column.
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

/// A hash of the list. Saved columns with another hash cannot be read.
pub const FINGERPRINT: u64 = {
    // This is FNV-1a with 64 bits (draft-eastlake-fnv).
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
    fn parts_of_a_composite_are_consecutive() {
        for column in [CodedColumn::Kind, CodedColumn::Place, CodedColumn::Merchant, CodedColumn::Card] {
            let parts: Vec<usize> = Attribute::coded_in(column).map(Attribute::part).collect();
            assert_eq!(parts, (0..count(column)).collect::<Vec<_>>(), "{column:?}");
        }
        assert_eq!((KINDS + PLACES + 3, PLACES), (COUNT, 2));
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
