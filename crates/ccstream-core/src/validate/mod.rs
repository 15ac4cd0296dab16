//! Converts a message into either a [`Transaction`] or a [`Rejection`].
//!
//! If several things are wrong with a message, the rejection has the reason that comes first in [`Reason`], and the
//! first field with that reason. Values are never corrected or rounded: valid ones are stored as they were sent.

mod looks;

use std::borrow::Cow;

use crate::card_number;
use crate::codec::{self, RawEvent, Value};
use crate::datum::Datum;
use crate::decimal::{DecimalError, scaled};
use crate::epoch::{is_number, parse_epoch};
use crate::event::{Cents, Micros, Transaction};
use crate::fields::{FIELDS, Field, Place};
use crate::rejection::{Reason, Rejection};
use crate::sql_type::SqlType;

/// The maximum size of a payload and of a key: 1 MiB, about the maximum size of a message that Kafka allows by default.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// The maximum depth of nested objects and arrays.
pub const MAX_DEPTH: usize = 32;

/// Checks a message's payload, and accepts any future timestamp. `None` is a tombstone.
///
/// ```
/// use ccstream_core::event::Cents;
/// use ccstream_core::rejection::Reason;
/// use ccstream_core::validate::validate;
/// let payload = br#"{"order_id":"a1","value":"12.50","timestamp":"2026-11-22T10:15:30Z"}"#;
/// assert_eq!(validate(Some(payload)).unwrap().value, Cents(1250));
/// assert_eq!(validate(Some(b"[]")).unwrap_err().reason, Reason::NotAnObject);
/// assert_eq!(validate(None).unwrap_err().reason, Reason::Tombstone);
/// ```
pub fn validate(payload: Option<&[u8]>) -> Result<Transaction<'_>, Rejection> {
    validate_until(payload, Micros(i64::MAX))
}

/// Checks a message's payload, whose timestamp must not be later than `latest`.
///
/// ```
/// use ccstream_core::event::Micros;
/// use ccstream_core::rejection::Reason;
/// use ccstream_core::validate::validate_until;
/// let payload = br#"{"order_id":"a1","value":"12.50","timestamp":"1970-01-01T00:00:02Z"}"#;
/// assert!(validate_until(Some(payload), Micros(2_000_000)).is_ok());
/// assert_eq!(validate_until(Some(payload), Micros(1_999_999)).unwrap_err().reason, Reason::InTheFuture);
/// ```
pub fn validate_until(payload: Option<&[u8]>, latest: Micros) -> Result<Transaction<'_>, Rejection> {
    let text = check_envelope(payload)?;
    let event = codec::decode(text).map_err(|error| not_json(text, &error))?;
    let mut first = check_keys(&event).err();
    if let Some(Rejection { reason: Reason::MissingField, detail }) = &mut first
        && let Some(what) = looks::envelope(text)
    {
        detail.extend(["; ", what]);
    }
    let mut transaction = Transaction::default();
    for (place, raw) in Place::all().zip(&event.values) {
        let Some(raw) = raw else { continue };
        match read_field(place.field(), raw, event.plain) {
            Ok(Some(value)) => transaction.set(place, value),
            Err(rejection) if first.as_ref().is_none_or(|first| rejection.reason < first.reason) => {
                first = Some(rejection);
            }
            Ok(None) | Err(_) => {}
        }
    }
    if transaction.timestamp > latest && first.as_ref().is_none_or(|first| first.reason > Reason::InTheFuture) {
        first = Some(in_the_future(transaction.timestamp, latest));
    }
    match first {
        None => Ok(transaction),
        Some(rejection) => Err(rejection),
    }
}

/// Checks the size of a message's key, since the key is held in memory together with the row. Fails if the key is
/// larger than [`MAX_PAYLOAD_BYTES`].
pub fn check_key(key: Option<&[u8]>) -> Result<(), Rejection> {
    match key.map_or(0, <[u8]>::len) {
        0..=MAX_PAYLOAD_BYTES => Ok(()),
        len => {
            let detail = format!("the key has {len} bytes; at most {MAX_PAYLOAD_BYTES} are accepted");
            Err(Rejection::new(Reason::TooLarge, detail))
        }
    }
}

fn in_the_future(moment: Micros, latest: Micros) -> Rejection {
    let mut text = Vec::new();
    Datum::Instant(moment).push_json(&mut text);
    text.extend_from_slice(b" is later than ");
    Datum::Instant(latest).push_json(&mut text);
    Rejection::new(
        Reason::InTheFuture,
        format!(
            "timestamp {}, the latest that is accepted by the consumer's clock; check the sender's clock",
            String::from_utf8_lossy(&text)
        ),
    )
}

fn not_json(text: &str, error: &serde_json::Error) -> Rejection {
    // Truncated JSON may end in a part of a word. That word says nothing about the sender.
    match looks::slip(text, error.line(), error.column()).filter(|_| !error.is_eof()) {
        Some(what) => Rejection::new(Reason::InvalidJson, format!("{error}; {what}")),
        None => invalid_json(error),
    }
}

fn invalid_json(error: &serde_json::Error) -> Rejection {
    Rejection::new(Reason::InvalidJson, error.to_string())
}

/// Checks a payload as a whole: presence, size, UTF-8, first character, and depth. Returns its text.
pub(crate) fn check_envelope(payload: Option<&[u8]>) -> Result<&str, Rejection> {
    let bytes = payload.ok_or_else(|| Rejection::new(Reason::Tombstone, "the payload is null"))?;
    if bytes.len() > MAX_PAYLOAD_BYTES {
        let detail = format!("the payload has {} bytes; at most {MAX_PAYLOAD_BYTES} are accepted", bytes.len());
        return Err(Rejection::new(Reason::TooLarge, detail));
    }
    if bytes.is_empty() {
        return Err(Rejection::new(Reason::Empty, "the payload has no bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let what = looks::bytes(bytes).map_or_else(String::new, |what| format!("; {what}"));
        Rejection::new(Reason::InvalidUtf8, format!("the payload is not UTF-8 at byte {}{what}", error.valid_up_to()))
    })?;
    // RFC 8259 defines these four characters as white space, and allows parsers to ignore a byte order mark.
    let text = text.trim_start_matches('\u{feff}').trim_start_matches([' ', '\t', '\n', '\r']);
    let Some(first) = text.chars().next() else {
        return Err(Rejection::new(Reason::Empty, "the payload is only white space"));
    };
    if first != '{' {
        let what = looks::bytes(text.as_bytes()).map_or_else(String::new, |what| format!("; {what}"));
        let detail = format!("the first character is {first:?}, not '{{'{what}");
        return Err(Rejection::new(Reason::NotAnObject, detail));
    }
    if is_too_deep(text.as_bytes()) {
        let detail = format!("the payload is nested deeper than {MAX_DEPTH} levels");
        return Err(Rejection::new(Reason::TooDeep, detail));
    }
    Ok(text)
}

fn is_too_deep(bytes: &[u8]) -> bool {
    // The depth cannot exceed the number of opening brackets, and nearly all messages have only one.
    if memchr::memchr2_iter(b'{', b'[', bytes).nth(MAX_DEPTH).is_none() {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Fails if a key appears more than once, the two names of a field have different values, or a required field is
/// absent.
fn check_keys(event: &RawEvent<'_>) -> Result<(), Rejection> {
    if let Some(key) = event.repeated_key {
        return Err(Rejection::new(Reason::RepeatedKey, format!("the key {key:?} appears more than once")));
    }
    for ((field, value), other) in FIELDS.iter().zip(&event.values).zip(&event.other_values) {
        let (Some(value), Some(other)) = (value, other) else { continue };
        let read = |raw| codec::read_value(raw, event.plain).map_err(|error| invalid_json(&error));
        if !is_same(field, &read(value)?, &read(other)?) {
            let other_key = field.other_key.unwrap_or_default();
            let detail = format!("{:?} and {other_key:?} are names of one field, but their values differ", field.key);
            return Err(Rejection::new(Reason::ConflictingNames, detail));
        }
    }
    for (field, value) in FIELDS.iter().zip(&event.values) {
        if field.required && matches!(value, None | Some("null")) {
            let detail = match field.other_key {
                Some(other) => format!("{:?} (or {other:?}) is absent or null", field.key),
                None => format!("{:?} is absent or null", field.key),
            };
            return Err(Rejection::new(Reason::MissingField, detail));
        }
    }
    Ok(())
}

fn is_same(field: &Field, value: &Value<'_>, other: &Value<'_>) -> bool {
    value == other
        // A null counts as absent.
        || matches!((value, other), (Value::Null, _) | (_, Value::Null))
        || match (field.sql_type, written(value), written(other)) {
            (SqlType::Id(_) | SqlType::Text(_), Some(one), Some(two)) => one == two,
            (SqlType::Cents, Some(one), Some(two)) => amount(one).is_ok() && amount(one) == amount(two),
            _ => false,
        }
}

/// Returns the characters of a number or a string.
fn written<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::Number(text) => Some(text),
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn amount(text: &str) -> Result<i64, DecimalError> {
    scaled(text, 2, Cents::MAX.0 as u64)
}

/// Reads the value of a field; None if it is null, which counts as absent.
fn read_field<'a>(field: &Field, raw: &'a str, plain: bool) -> Result<Option<Datum<'a>>, Rejection> {
    let value = codec::read_value(raw, plain).map_err(|error| invalid_json(&error))?;
    Ok(Some(match (field.sql_type, value) {
        (_, Value::Null) => return Ok(None),
        (SqlType::Id(_) | SqlType::Text(_), Value::Number(number)) if field.is_code && is_whole(number) => {
            return read_text(field, Cow::Borrowed(number), true).map(Some);
        }
        (SqlType::Id(_) | SqlType::Text(_), Value::Text(text)) => return read_text(field, text, plain).map(Some),
        (SqlType::Cents, ref value @ (Value::Number(_) | Value::Text(_))) => {
            let text = written(value).unwrap_or_default();
            Datum::Cents(Cents(amount(text).map_err(|error| bad_amount(field, text, error))?))
        }
        (SqlType::Share, ref value @ (Value::Number(_) | Value::Text(_))) => {
            Datum::Share(read_share(field, written(value).unwrap_or_default())?)
        }
        (SqlType::Instant, Value::Number(text)) => Datum::Instant(read_instant(field, text, parse_epoch)?),
        (SqlType::Instant, Value::Text(text)) => Datum::Instant(read_instant(field, &text, parse_moment)?),
        (SqlType::Degrees(limit), ref value @ (Value::Number(_) | Value::Text(_))) => {
            Datum::Real(read_degrees(field, written(value).unwrap_or_default(), limit)?)
        }
        (SqlType::Score, ref value @ (Value::Number(_) | Value::Text(_))) => {
            Datum::Real(read_score(field, written(value).unwrap_or_default())?)
        }
        (SqlType::Flag, Value::Bool(flag)) => Datum::Flag(flag),
        (SqlType::Flag, ref value @ (Value::Number(_) | Value::Text(_)))
            if let Some(flag) = flag_of(written(value).unwrap_or_default()) =>
        {
            Datum::Flag(flag)
        }
        (wanted, value) => {
            let wanted = if field.is_code { "a string or a whole number" } else { wanted.wanted() };
            let detail = format!("{:?} is {}; it must be {wanted}", field.key, value.type_name());
            return Err(Rejection::new(Reason::WrongType, detail));
        }
    }))
}

fn is_whole(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// Reads the characters of a number or a string as a flag.
fn flag_of(text: &str) -> Option<bool> {
    match text {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn read_text<'a>(field: &Field, text: Cow<'a, str>, plain: bool) -> Result<Datum<'a>, Rejection> {
    check_text(field, field.sql_type.max_chars().unwrap_or_default(), &text, plain)?;
    if matches!(field.sql_type, SqlType::Text(_)) && card_number::is_in(text.as_bytes()) {
        return Err(Rejection::new(Reason::CardNumber, format!("{:?} contains a card number", field.key)));
    }
    Ok(Datum::Text(text))
}

fn check_text(field: &Field, max_chars: usize, text: &str, plain: bool) -> Result<(), Rejection> {
    if field.not_empty && text.is_empty() {
        return Err(Rejection::new(Reason::EmptyText, format!("{:?} is empty", field.key)));
    }
    // A text never has more characters than bytes, so most texts need no counting.
    if text.len() > max_chars {
        let chars = text.chars().count();
        if chars > max_chars {
            let detail = format!("{:?} has {chars} characters; at most {max_chars} are accepted", field.key);
            return Err(Rejection::new(Reason::TextTooLong, detail));
        }
    }
    // JSON allows NUL only as an escape.
    if !plain && memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(Rejection::new(Reason::NulCharacter, format!("{:?} contains a NUL character", field.key)));
    }
    Ok(())
}

/// The maximum number of characters of an invalid value that a detail quotes.
const QUOTED_CHARS: usize = 40;

fn quote(text: &str) -> String {
    // Masking comes before truncation, because a part of a card number would not be recognized.
    let masked = card_number::mask(text.as_bytes());
    let text = &*String::from_utf8_lossy(&masked);
    if text.chars().nth(QUOTED_CHARS).is_none() {
        return format!("{text:?}");
    }
    format!("{:?}...", text.chars().take(QUOTED_CHARS).collect::<String>())
}

fn bad_amount(field: &Field, text: &str, error: DecimalError) -> Rejection {
    let why = match error {
        DecimalError::NotANumber => "is not a number",
        DecimalError::TooFine => "has more than two decimals",
        DecimalError::TooLarge => "is not from -99999999.99 to 99999999.99",
    };
    Rejection::new(Reason::InvalidAmount, format!("{:?} {} {why}", field.key, quote(text)))
}

fn read_share(field: &Field, text: &str) -> Result<u8, Rejection> {
    let refuse = |why: &str| Rejection::new(Reason::InvalidDiscount, format!("{:?} {} {why}", field.key, quote(text)));
    match scaled(text, 2, 100) {
        Ok(hundredths) => u8::try_from(hundredths).map_err(|_| refuse("is below 0")),
        Err(DecimalError::NotANumber) => Err(refuse("is not a number")),
        Err(DecimalError::TooFine) => Err(refuse("has more than two decimals")),
        Err(DecimalError::TooLarge) => Err(refuse("is above 1")),
    }
}

/// Reads a JSON number. NaN, infinity and a plus sign are not allowed.
fn real(text: &str) -> Option<f64> {
    is_number(text).then(|| text.parse().ok()).flatten()
}

fn read_degrees(field: &Field, text: &str, limit: f64) -> Result<f64, Rejection> {
    match real(text) {
        Some(degrees) if degrees.abs() <= limit => Ok(degrees),
        _ => {
            let detail = format!("{:?} {} is not from -{limit} to {limit} degrees", field.key, quote(text));
            Err(Rejection::new(Reason::InvalidCoordinate, detail))
        }
    }
}

fn read_score(field: &Field, text: &str) -> Result<f64, Rejection> {
    match real(text) {
        Some(score) if (0.0..=1.0).contains(&score) => Ok(score),
        _ => Err(Rejection::new(Reason::InvalidScore, format!("{:?} {} is not from 0 to 1", field.key, quote(text)))),
    }
}

fn read_instant(
    field: &Field,
    text: &str,
    parse: fn(&str) -> Result<Micros, &'static str>,
) -> Result<Micros, Rejection> {
    parse(text)
        .map_err(|why| Rejection::new(Reason::InvalidTimestamp, format!("{:?} {} {why}", field.key, quote(text))))
}

const NO_MOMENT: &str = "is not a time in the format of RFC 3339 or ISO 8601";

/// Reads a time in the format of RFC 3339 (with any offset) or ISO 8601, or a number since 1970 ([`parse_epoch`]). A
/// time without an offset is UTC, and a date without a time is midnight. Digits after the microsecond are cut off. The
/// error is worded to follow the text.
///
/// ```
/// use ccstream_core::event::Micros;
/// use ccstream_core::validate::parse_moment;
/// assert_eq!(parse_moment("1970-01-01T01:00:01+01:00"), Ok(Micros(1_000_000)));
/// assert!(parse_moment("2100-01-01").is_err());
/// ```
pub fn parse_moment(text: &str) -> Result<Micros, &'static str> {
    if is_number(text) {
        return parse_epoch(text);
    }
    // The text must begin with YYYY-MM-DD. Other forms of ISO 8601 (week dates, dates without hyphens) are not
    // accepted.
    let bytes = text.as_bytes();
    // A time zone in brackets is not accepted either: `parse_datetime` would ignore it.
    if bytes.len() < 10 || bytes.contains(&b'[') || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return Err(NO_MOMENT);
    }
    let parser = jiff::fmt::temporal::DateTimeParser::new();
    let moment = if let Ok(moment) = parser.parse_timestamp(bytes) {
        moment
    } else {
        let naive = parser.parse_datetime(bytes).map_err(|_| NO_MOMENT)?;
        jiff::tz::Offset::UTC.to_timestamp(naive).map_err(|_| NO_MOMENT)?
    };
    Micros::in_range(moment.as_nanosecond().div_euclid(1000) as i64)
}

#[cfg(test)]
mod tests;
