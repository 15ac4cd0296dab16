//! One credit-card transaction: its fields, their types and limits, and their names on the wire
//! and in PostgreSQL. [`FIELDS`] is the one table that reading, writing and storing are driven by.

use std::borrow::Cow;
use std::fmt;

/// Money as integer hundredths, never a float: 12.45 is `Cents(1245)`. Negative is a refund.
///
/// ```
/// use ccstream_core::event::Cents;
/// assert_eq!(Cents(1245).to_string(), "12.45");
/// assert_eq!(Cents(-5).to_string(), "-0.05");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cents(pub i64);

impl Cents {
    /// The largest amount that `NUMERIC(10,2)` holds: 99,999,999.99.
    pub const MAX: Self = Self(9_999_999_999);
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", units / 100, units % 100)
    }
}

/// A moment: microseconds since 1970-01-01T00:00:00Z, as PostgreSQL's `timestamp` holds it (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

impl Micros {
    /// 2100-01-01T00:00:00Z: timestamps are from 1970 to before this.
    pub const END: Self = Self(4_102_444_800_000_000);

    /// Year, month, day and time of day in UTC.
    ///
    /// # Panics
    /// Beyond the years -9999 to 9999, far outside what is valid.
    pub fn to_utc(self) -> jiff::civil::DateTime {
        let moment = jiff::Timestamp::from_microsecond(self.0).expect("a moment of the years -9999 to 9999");
        jiff::tz::Offset::UTC.to_datetime(moment)
    }

    /// Whole minutes since 1970: the key of `kpi_minute`.
    pub fn minute(self) -> i32 {
        self.0.div_euclid(60_000_000) as i32
    }
}

/// A transaction that has passed every check. Text is borrowed from the message where it can be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transaction<'a> {
    /// `transaction_id`: the primary key, 1 to 50 characters.
    pub order_id: Cow<'a, str>,
    /// When it happened.
    pub timestamp: Micros,
    /// `amount`: what was paid, in `currency`; negative for a refund.
    pub value: Cents,
    /// `discount`: hundredths of the price, 0 to 100.
    pub discount: Option<u8>,
    /// Degrees north, -90 to 90.
    pub latitude: Option<f64>,
    /// Degrees east, -180 to 180.
    pub longitude: Option<f64>,
    /// The sender's own suspicion.
    pub risk_flag: Option<bool>,
    /// The nullable texts, by [`TextField`].
    pub texts: [Option<Cow<'a, str>>; TextField::COUNT],
}

impl Transaction<'_> {
    /// One of the nullable texts.
    pub fn text(&self, field: TextField) -> Option<&str> {
        self.texts[field as usize].as_deref()
    }

    /// The latitude or the longitude, by the field's kind.
    pub fn degrees(&self, kind: Kind) -> Option<f64> {
        if kind == Kind::Latitude { self.latitude } else { self.longitude }
    }
}

macro_rules! text_fields {
    ($($name:ident),+) => {
        /// The nullable text fields of a [`Transaction`], in the order of its `texts`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is its field's name; FIELDS says the rest")]
        pub enum TextField { $($name),+ }

        impl TextField {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$name),+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
        }
    };
}
text_fields!(
    Status,
    Category,
    City,
    PaymentMethod,
    Merchant,
    Mcc,
    Country,
    Currency,
    CardToken,
    CardLast4,
    EntryMode,
    ResponseCode
);

/// What a field holds, and so how it is checked and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The primary key.
    Id,
    /// A nullable text.
    Text(TextField),
    /// The amount.
    Amount,
    /// A share of 0 to 1 with two decimals.
    Discount,
    /// A moment.
    Timestamp,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
    /// true or false.
    Flag,
}

/// A field: its names and its limits.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The column of `orders`.
    pub column: &'static str,
    /// The key on the wire, as we write it.
    pub key: &'static str,
    /// Another key that is read as the same.
    pub other_key: Option<&'static str>,
    /// What it holds.
    pub kind: Kind,
    /// Longest text in characters (the column's VARCHAR length); 0 where it is not a text.
    pub max_chars: usize,
    /// Whether an empty text is refused: an id or a currency that is "" means nothing.
    pub not_empty: bool,
}

impl Field {
    const fn new(column: &'static str, kind: Kind) -> Self {
        Self { column, key: column, other_key: None, kind, max_chars: 0, not_empty: false }
    }
    const fn text(column: &'static str, field: TextField, max_chars: usize) -> Self {
        Self { max_chars, ..Self::new(column, Kind::Text(field)) }
    }
    const fn sent_as(self, key: &'static str) -> Self {
        Self { key, other_key: Some(self.column), ..self }
    }
    const fn filled(self) -> Self {
        Self { not_empty: true, ..self }
    }

    /// Whether a message without it is rejected.
    pub fn required(&self) -> bool {
        matches!(self.kind, Kind::Id | Kind::Amount | Kind::Timestamp)
    }
}

/// Every field, in the order of the columns of `orders`; the first eight are the classic table.
pub const FIELDS: [Field; 19] = [
    Field { max_chars: 50, ..Field::new("order_id", Kind::Id).sent_as("transaction_id").filled() },
    Field::text("status", TextField::Status, 50),
    Field::text("category", TextField::Category, 50),
    Field::new("value", Kind::Amount).sent_as("amount"),
    Field::new("timestamp", Kind::Timestamp),
    Field::text("city", TextField::City, 100).sent_as("location"),
    Field::text("payment_method", TextField::PaymentMethod, 50),
    Field::new("discount", Kind::Discount),
    Field::text("merchant", TextField::Merchant, 200),
    Field::text("mcc", TextField::Mcc, 4),
    Field::text("country", TextField::Country, 60),
    Field::text("currency", TextField::Currency, 3).filled(),
    Field::text("card_token", TextField::CardToken, 64),
    Field::text("card_last4", TextField::CardLast4, 4),
    Field::text("entry_mode", TextField::EntryMode, 30),
    Field::text("response_code", TextField::ResponseCode, 10),
    Field::new("latitude", Kind::Latitude),
    Field::new("longitude", Kind::Longitude),
    Field::new("risk_flag", Kind::Flag),
];

/// The place in [`FIELDS`] of a key on the wire, and whether it is the field's other name.
///
/// ```
/// use ccstream_core::event::{FIELDS, field_of_key};
/// let (at, other) = field_of_key("order_id").unwrap();
/// assert_eq!((FIELDS[at].key, other), ("transaction_id", true));
/// assert!(field_of_key("fraud").is_none());
/// ```
pub fn field_of_key(key: &str) -> Option<(usize, bool)> {
    let (at, other) = PLACES[slot(key.as_bytes())]?;
    let field = &FIELDS[at];
    let name = if other { field.other_key } else { Some(field.key) };
    (name == Some(key)).then_some((at, other))
}

/// For each slot the key that is in it: one comparison tells whether a key is ours.
static PLACES: [Option<(usize, bool)>; SLOTS] = places();
const SLOTS: usize = 64;

const fn slot(key: &[u8]) -> usize {
    if key.is_empty() {
        return 0;
    }
    // Of these few bytes no two keys have the same, which is checked where the table is made.
    let (first, middle, last) = (key[0] as usize, key[key.len() / 2] as usize, key[key.len() - 1] as usize);
    (key.len() + 21 * first + middle + last) % SLOTS
}

const fn places() -> [Option<(usize, bool)>; SLOTS] {
    let (mut table, mut at) = ([None; SLOTS], 0);
    while at < FIELDS.len() {
        place(&mut table, FIELDS[at].key, (at, false));
        if let Some(other) = FIELDS[at].other_key {
            place(&mut table, other, (at, true));
        }
        at += 1;
    }
    table
}

const fn place(table: &mut [Option<(usize, bool)>; SLOTS], key: &str, value: (usize, bool)) {
    let slot = slot(key.as_bytes());
    assert!(table[slot].is_none(), "two keys meet: take other bytes or another factor");
    table[slot] = Some(value);
}
