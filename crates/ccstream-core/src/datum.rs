//! Holds the value of a field, and encodes it for JSON and for PostgreSQL's binary COPY.

use std::borrow::Cow;

use crate::binary::{POSTGRES_EPOCH, push_bytes, push_numeric};
use crate::json::{push_hundredths, push_text, push_timestamp};
#[cfg(doc)]
use crate::sql_type::SqlType;
use crate::units::{Cents, Micros};

/// Holds a value of one of the fields' types.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum<'a> {
    /// A value of [`SqlType::Id`] or [`SqlType::Text`].
    Text(Cow<'a, str>),
    /// A value of [`SqlType::Cents`].
    Cents(Cents),
    /// A value of [`SqlType::Share`], in hundredths: 0 to 100.
    Share(u8),
    /// A value of [`SqlType::Instant`].
    Instant(Micros),
    /// A value of [`SqlType::Degrees`] or [`SqlType::Score`].
    Real(f64),
    /// A value of [`SqlType::Flag`].
    Flag(bool),
}

impl Datum<'_> {
    /// Returns the value with its text borrowed.
    pub(crate) fn view(&self) -> Datum<'_> {
        match self {
            Self::Text(text) => Datum::Text(Cow::Borrowed(text)),
            Self::Cents(cents) => Datum::Cents(*cents),
            Self::Share(share) => Datum::Share(*share),
            Self::Instant(instant) => Datum::Instant(*instant),
            Self::Real(real) => Datum::Real(*real),
            Self::Flag(flag) => Datum::Flag(*flag),
        }
    }

    /// Appends the value as a field of a binary COPY: its length, then its bytes.
    pub(crate) fn push_binary(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => push_bytes(text.as_bytes(), out),
            Self::Cents(cents) => push_numeric(cents.0, out),
            Self::Share(share) => push_numeric(i64::from(*share), out),
            Self::Instant(instant) => push_bytes(&(instant.0 - POSTGRES_EPOCH).to_be_bytes(), out),
            Self::Real(real) => push_bytes(&real.to_be_bytes(), out),
            Self::Flag(flag) => push_bytes(&[u8::from(*flag)], out),
        }
    }

    /// Appends the value as JSON.
    pub(crate) fn push_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => push_text(text, out),
            Self::Cents(cents) => push_hundredths(cents.0, out),
            Self::Share(share) => push_hundredths(i64::from(*share), out),
            Self::Instant(instant) => push_timestamp(*instant, out),
            Self::Real(real) => serde_json::to_writer(out, real).expect("writing to memory"),
            Self::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        }
    }
}
