//! Describes why a message is rejected: a reason for programs, and a detail for people.

use std::borrow::Cow;
use std::fmt;

use crate::card_number;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $text:literal),+ $(,)?) => {
        /// Lists the reasons for rejecting a message, in the order of the checks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])+ $name),+ }

        impl Reason {
            /// Lists every reason, in the order of the checks.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the name that is stored in `rejected_events.reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}
reasons! {
    /// The payload or the key is larger than [`MAX_PAYLOAD_BYTES`](crate::validate::MAX_PAYLOAD_BYTES).
    TooLarge = "too_large",
    /// The message has no payload. In Kafka, such a message marks a key as deleted.
    Tombstone = "tombstone",
    /// The payload has no bytes, or only white space.
    Empty = "empty",
    /// The payload is not UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// The first character of the payload, after white space, is not `{`.
    NotAnObject = "not_an_object",
    /// The payload is nested deeper than [`MAX_DEPTH`](crate::validate::MAX_DEPTH).
    TooDeep = "too_deep",
    /// The payload is not one valid JSON object.
    InvalidJson = "invalid_json",
    /// The object has a known key more than once.
    RepeatedKey = "repeated_key",
    /// The object has both names of a field, with different values.
    ConflictingNames = "conflicting_names",
    /// The id, the amount or the timestamp is absent or null.
    MissingField = "missing_field",
    /// A value has a type that its field does not accept.
    WrongType = "wrong_type",
    /// A text that must not be empty is empty.
    EmptyText = "empty_text",
    /// A text has more characters than its column can hold. Trailing spaces count.
    TextTooLong = "text_too_long",
    /// A text contains NUL, which PostgreSQL cannot store.
    NulCharacter = "nul_character",
    /// The amount is not a number, has more than two decimals, or exceeds NUMERIC(10,2).
    InvalidAmount = "invalid_amount",
    /// The discount is not a number from 0 to 1 with at most two decimals.
    InvalidDiscount = "invalid_discount",
    /// The timestamp is not a time in the years 1970 to 2099.
    InvalidTimestamp = "invalid_timestamp",
    /// The timestamp is further ahead of the consumer's clock than the setting `max_ahead` allows.
    InTheFuture = "in_the_future",
    /// A coordinate is not a number of degrees within its range.
    InvalidCoordinate = "invalid_coordinate",
    /// A score is not a number from 0 to 1.
    InvalidScore = "invalid_score",
    /// A text other than the id contains a card number.
    CardNumber = "card_number",
    /// PostgreSQL refused the row, because of a constraint, a trigger or a column that was made narrower.
    RefusedByPostgres = "refused_by_postgres",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Explains why a message is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The check that failed.
    pub reason: Reason,
    /// What was found, and what is accepted, in words. Card numbers are masked.
    pub detail: String,
}

impl Rejection {
    /// Creates a rejection. Card numbers in the detail are masked.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        let detail = match card_number::mask(detail.as_bytes()) {
            Cow::Borrowed(_) => detail,
            Cow::Owned(masked) => String::from_utf8_lossy(&masked).into_owned(),
        };
        Self { reason, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_have_every_reason_in_order() {
        let docs = include_str!("../../../docs/data.md");
        let (_, table) = docs.split_once("| reason |").unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let names: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
        assert_eq!(names, Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>());
    }
}
