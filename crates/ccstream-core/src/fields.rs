//! Lists the fields of a transaction: their names in messages and in `orders`, their types and their limits. Reading,
//! writing and storing use this list, [`FIELDS`], so a new optional field is one line in it.

use crate::sql_type::SqlType;

/// Defines a field: its names, its type, and its meaning.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The name of the column in `orders`.
    pub column: &'static str,
    /// The key in messages that ccstream writes.
    pub key: &'static str,
    /// An alternative key in messages that ccstream reads.
    pub other_key: Option<&'static str>,
    /// The type of the value.
    pub sql_type: SqlType,
    /// Whether an empty text is rejected, because it is never meaningful for this field.
    pub not_empty: bool,
    /// Whether a message without the field is rejected.
    pub required: bool,
    /// Whether the field is an id or a code. A whole number is then accepted and stored as its text.
    pub is_code: bool,
    /// The meaning of the column, which becomes the column's comment in PostgreSQL.
    pub comment: &'static str,
}

impl Field {
    const fn new(column: &'static str, sql_type: SqlType, comment: &'static str) -> Self {
        Self {
            column,
            key: column,
            other_key: None,
            sql_type,
            not_empty: false,
            required: false,
            is_code: false,
            comment,
        }
    }
    const fn sent_as(self, key: &'static str) -> Self {
        Self { key, other_key: Some(self.column), ..self }
    }
    const fn not_empty(self) -> Self {
        Self { not_empty: true, ..self }
    }
    const fn code(self) -> Self {
        Self { is_code: true, ..self }
    }
    const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

use SqlType::{Cents, Degrees, Flag, Id, Instant, Share, Text};

/// Lists every field in the order of the columns of `orders`. The first eight form the basic table, and never change.
pub const FIELDS: &[Field] = &[
    Field::new("order_id", Id(50), "id of the transaction; duplicates are not inserted")
        .sent_as("transaction_id")
        .not_empty()
        .code()
        .required(),
    Field::new("status", Text(50), "outcome, such as approved or declined, as sent"),
    Field::new("category", Text(50), "category of the merchant"),
    Field::new("value", Cents, "amount, negative for a refund; never add amounts of different currencies")
        .sent_as("amount")
        .required(),
    Field::new("timestamp", Instant, "time of the transaction, UTC").required(),
    Field::new("city", Text(100), "city of the transaction").sent_as("location"),
    Field::new("payment_method", Text(50), "brand of the card, or another means of payment"),
    Field::new("discount", Share, "discount as a share of the price, 0 to 1"),
    Field::new("merchant", Text(200), "name of the merchant"),
    Field::new("mcc", Text(4), "merchant category code, ISO 18245").code(),
    Field::new("country", Text(60), "country of the city, ISO 3166-1 alpha-2"),
    Field::new("currency", Text(3), "currency of value, ISO 4217").not_empty(),
    Field::new("card_token", Text(64), "token that identifies the card; never the card number").code(),
    Field::new("card_last4", Text(4), "last four digits of the card number").code(),
    Field::new("entry_mode", Text(30), "how the card was read"),
    Field::new("response_code", Text(10), "response code of the issuer, ISO 8583; 00 means approved").code(),
    Field::new("latitude", Degrees(90.0), "latitude of the transaction, degrees north"),
    Field::new("longitude", Degrees(180.0), "longitude of the transaction, degrees east"),
    Field::new("risk_flag", Flag, "whether the issuer flagged the transaction as suspicious"),
    Field::new("terminal_id", Text(16), "id of the terminal, ISO 8583 field 41").code(),
    Field::new("issuer", Text(60), "name of the bank that issued the card"),
];

/// The number of fields.
pub const COUNT: usize = FIELDS.len();

/// Identifies a field by its index in [`FIELDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(u8);

#[allow(missing_docs, reason = "each has the name of its column; FIELDS documents it")]
impl Place {
    pub const ORDER_ID: Self = Self::of("order_id");
    pub const STATUS: Self = Self::of("status");
    pub const CATEGORY: Self = Self::of("category");
    pub const VALUE: Self = Self::of("value");
    pub const TIMESTAMP: Self = Self::of("timestamp");
    pub const CITY: Self = Self::of("city");
    pub const PAYMENT_METHOD: Self = Self::of("payment_method");
    pub const DISCOUNT: Self = Self::of("discount");
    pub const MERCHANT: Self = Self::of("merchant");
    pub const MCC: Self = Self::of("mcc");
    pub const COUNTRY: Self = Self::of("country");
    pub const CURRENCY: Self = Self::of("currency");
    pub const CARD_TOKEN: Self = Self::of("card_token");
    pub const CARD_LAST4: Self = Self::of("card_last4");
    pub const ENTRY_MODE: Self = Self::of("entry_mode");
    pub const RESPONSE_CODE: Self = Self::of("response_code");
    pub const LATITUDE: Self = Self::of("latitude");
    pub const LONGITUDE: Self = Self::of("longitude");
    pub const RISK_FLAG: Self = Self::of("risk_flag");
    pub const TERMINAL_ID: Self = Self::of("terminal_id");
    pub const ISSUER: Self = Self::of("issuer");

    /// Returns the place of a column. A constant with an unknown name does not compile.
    const fn of(column: &str) -> Self {
        let mut at = 0;
        while at < COUNT {
            if is_same(FIELDS[at].column, column) {
                return Self(at as u8);
            }
            at += 1;
        }
        panic!("no field has this column")
    }

    /// Returns every place, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..COUNT as u8).map(Self)
    }

    /// Returns the index into [`FIELDS`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns the field.
    pub const fn field(self) -> &'static Field {
        &FIELDS[self.0 as usize]
    }
}

/// Finds the field of a message's key; returns its place, and whether the key is the field's alternative key.
///
/// ```
/// use ccstream_core::fields::place_of_key;
/// let (place, other) = place_of_key("order_id").unwrap();
/// assert_eq!((place.field().key, other), ("transaction_id", true));
/// assert!(place_of_key("fraud").is_none());
/// ```
pub fn place_of_key(key: &str) -> Option<(Place, bool)> {
    let (place, other) = SLOTS[slot(key.as_bytes(), FACTOR)]?;
    let name = if other { place.field().other_key } else { Some(place.field().key) };
    (name == Some(key)).then_some((place, other))
}

/// A perfect hash table of all keys: each slot holds one key at most, so one comparison decides whether a key is known.
static SLOTS: [Option<(Place, bool)>; SLOT_COUNT] = slots(FACTOR);
const SLOT_COUNT: usize = 128;
/// The smallest factor with which no two keys share a slot.
const FACTOR: usize = factor();

const fn slot(key: &[u8], factor: usize) -> usize {
    if key.is_empty() {
        return 0;
    }
    let (first, middle, last) = (key[0] as usize, key[key.len() / 2] as usize, key[key.len() - 1] as usize);
    (key.len() + factor * (first + factor * (middle + factor * last))) % SLOT_COUNT
}

const fn factor() -> usize {
    let mut factor = 3;
    while !is_free(factor) {
        factor += 2;
        assert!(factor < 1 << 12, "two keys have the same length and the same first, middle and last letter");
    }
    factor
}

/// Returns whether no two keys share a slot.
const fn is_free(factor: usize) -> bool {
    let (mut taken, mut at) = ([false; SLOT_COUNT], 0);
    while at < 2 * COUNT {
        let field = &FIELDS[at / 2];
        let key = if at % 2 == 0 { Some(field.key) } else { field.other_key };
        if let Some(key) = key {
            let slot = slot(key.as_bytes(), factor);
            if taken[slot] {
                return false;
            }
            taken[slot] = true;
        }
        at += 1;
    }
    true
}

const fn slots(factor: usize) -> [Option<(Place, bool)>; SLOT_COUNT] {
    let (mut table, mut at) = ([None; SLOT_COUNT], 0);
    while at < COUNT {
        let (field, place) = (&FIELDS[at], Place(at as u8));
        table[slot(field.key.as_bytes(), factor)] = Some((place, false));
        if let Some(other) = field.other_key {
            table[slot(other.as_bytes(), factor)] = Some((place, true));
        }
        at += 1;
    }
    table
}

/// Returns whether two texts are equal. Unlike `==`, it works in constants.
pub const fn is_same(one: &str, two: &str) -> bool {
    let (one, two) = (one.as_bytes(), two.as_bytes());
    if one.len() != two.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != two[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_others_are_not() {
        for place in Place::all() {
            let field = place.field();
            assert_eq!(place_of_key(field.key), Some((place, false)));
            if let Some(other) = field.other_key {
                assert_eq!(place_of_key(other), Some((place, true)));
            }
        }
        for other in ["", "a", "order_ix", "Amount", "amounts", "fraud"] {
            assert_eq!(place_of_key(other), None, "{other}");
        }
    }

    #[test]
    fn the_columns_of_the_basic_table_never_change() {
        let first: Vec<String> =
            FIELDS[..8].iter().map(|one| format!("{} {}", one.column, one.sql_type.declaration())).collect();
        assert_eq!(
            first,
            [
                "order_id VARCHAR(50) COLLATE \"C\"",
                "status VARCHAR(50)",
                "category VARCHAR(50)",
                "value NUMERIC(10,2)",
                "timestamp TIMESTAMP",
                "city VARCHAR(100)",
                "payment_method VARCHAR(50)",
                "discount NUMERIC(4,2)",
            ]
        );
    }
}
