//! A field's value, and its forms on the wire and in PostgreSQL's binary COPY.

use std::borrow::Cow;

use crate::binary::{POSTGRES_EPOCH, push_bytes, push_numeric};
use crate::json::{push_hundredths, push_text, push_timestamp};
#[cfg(doc)]
use crate::sql_type::SqlType;
use crate::units::{Cents, Micros};

/// A value of one of the types that fields have.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum<'a> {
    /// Of [`SqlType::Id`] and [`SqlType::Text`].
    Text(Cow<'a, str>),
    /// Of [`SqlType::Cents`].
    Cents(Cents),
    /// Of [`SqlType::Share`]: hundredths, 0 to 100.
    Share(u8),
    /// Of [`SqlType::Instant`].
    Instant(Micros),
    /// Of [`SqlType::Degrees`] and [`SqlType::Score`].
    Real(f64),
    /// Of [`SqlType::Flag`].
    Flag(bool),
}

impl Datum<'_> {
    /// The same value, borrowed.
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

    /// Appends it as binary COPY has it: its length, then its bytes.
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

    /// Appends it as JSON.
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
