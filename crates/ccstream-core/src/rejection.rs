//! A message that is no valid transaction: the reason, and the words for a person.

use std::borrow::Cow;
use std::fmt;

use crate::card_number;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $text:literal),+ $(,)?) => {
        /// Why a message is rejected, in the order of the checks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])+ $name),+ }

        impl Reason {
            /// Every reason, in order.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word kept in `rejected_events.reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}
reasons! {
    /// Larger than [`MAX_PAYLOAD_BYTES`](crate::validate::MAX_PAYLOAD_BYTES).
    TooLarge = "too_large",
    /// No payload at all: Kafka's mark of deletion.
    Tombstone = "tombstone",
    /// A payload of no bytes.
    Empty = "empty",
    /// Not UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// The first byte is not `{`.
    NotAnObject = "not_an_object",
    /// Nested deeper than [`MAX_DEPTH`](crate::validate::MAX_DEPTH).
    TooDeep = "too_deep",
    /// Not JSON, from the first byte to the last.
    InvalidJson = "invalid_json",
    /// A known key stands there twice.
    RepeatedKey = "repeated_key",
    /// Both names of a field, with different values.
    ConflictingNames = "conflicting_names",
    /// The id, the amount or the timestamp is absent or null.
    MissingField = "missing_field",
    /// A value of another type than its field's.
    WrongType = "wrong_type",
    /// A text that must say something is empty.
    EmptyText = "empty_text",
    /// A text longer than its column, in characters, trailing spaces counted.
    TextTooLong = "text_too_long",
    /// A text holds NUL, which PostgreSQL cannot store.
    NulCharacter = "nul_character",
    /// Not an amount of at most two decimals within NUMERIC(10,2).
    InvalidAmount = "invalid_amount",
    /// Not a share of 0 to 1 with at most two decimals.
    InvalidDiscount = "invalid_discount",
    /// Not a moment from 1970 to before 2100.
    InvalidTimestamp = "invalid_timestamp",
    /// Further ahead of the consumer's clock than it allows.
    InTheFuture = "in_the_future",
    /// Not degrees of latitude or longitude.
    InvalidCoordinate = "invalid_coordinate",
    /// Not a score of 0 to 1.
    InvalidScore = "invalid_score",
    /// A text other than the id holds a card number.
    CardNumber = "card_number",
    /// PostgreSQL refused the row: a constraint, a trigger, a column made narrower.
    RefusedByPostgres = "refused_by_postgres",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message that is not stored, and why. Card numbers in `detail` are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The check that failed.
    pub reason: Reason,
    /// What was found and what would be right, for a person.
    pub detail: String,
}

impl Rejection {
    /// A rejection; card numbers in the detail are masked.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        let detail = match card_number::mask(detail.as_bytes()) {
            Cow::Borrowed(_) => detail,
            Cow::Owned(masked) => String::from_utf8_lossy(&masked).into_owned(),
        };
        Self { reason, detail }
    }
}
