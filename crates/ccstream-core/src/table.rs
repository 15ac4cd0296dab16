//! The columns of `orders`: SQL types, and each row's form in PostgreSQL's binary COPY.

use std::sync::LazyLock;

use crate::event::{FIELDS, Field, Kind, Transaction};

/// A column of `orders`.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type where we create it.
    pub sql_type: String,
    /// Its type's name in `pg_type`, for the check of a table that was there.
    pub type_name: &'static str,
    /// The least VARCHAR length that holds what we accept; 0 for other types.
    pub max_chars: usize,
    /// What it means, for the catalogue.
    pub comment: &'static str,
}

/// What a column means, for whoever reads the table by other means.
fn comment(column: &str) -> &'static str {
    match column {
        "order_id" => "the transaction''s id; repeats of it are dropped",
        "status" => "approved or declined, as the event says",
        "category" => "what kind of merchant",
        "value" => "the amount in its currency; negative is a refund. Never add different currencies up",
        "timestamp" => "when it happened, UTC",
        "city" => "where it happened",
        "payment_method" => "the card''s brand, or another way to pay",
        "discount" => "share of the price, 0 to 1",
        "merchant" => "who was paid",
        "mcc" => "merchant category code, ISO 18245",
        "country" => "country of the city, ISO 3166-1 alpha-2",
        "currency" => "of value, ISO 4217",
        "card_token" => "stands for the card; never its number",
        "card_last4" => "the card number''s last four digits",
        "entry_mode" => "how the card was read",
        "response_code" => "the issuer''s answer, ISO 8583; 00 is approved",
        "latitude" => "of the city, degrees north",
        "longitude" => "of the city, degrees east",
        "risk_flag" => "whether the issuer found it suspicious",
        "kafka_partition" => "the Kafka partition it came from; NULL: another program inserted it",
        _ => "its offset in that partition",
    }
}

/// Every column that a row is written to, in COPY's order.
pub static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let of_field = |field: &Field| {
        let (sql_type, type_name) = match field.kind {
            // Bytewise comparison: cheaper, and the order in which rows are sorted here.
            Kind::Id => (format!("VARCHAR({}) COLLATE \"C\"", field.max_chars), "varchar"),
            Kind::Text(_) => (format!("VARCHAR({})", field.max_chars), "varchar"),
            Kind::Amount => ("NUMERIC(10,2)".into(), "numeric"),
            Kind::Discount => ("NUMERIC(4,2)".into(), "numeric"),
            Kind::Timestamp => ("TIMESTAMP".into(), "timestamp"),
            Kind::Latitude | Kind::Longitude => ("DOUBLE PRECISION".into(), "float8"),
            Kind::Flag => ("BOOLEAN".into(), "bool"),
        };
        Column { name: field.column, sql_type, type_name, max_chars: field.max_chars, comment: comment(field.column) }
    };
    let origin = [("kafka_partition", "INTEGER", "int4"), ("kafka_offset", "BIGINT", "int8")];
    let origin = origin.map(|(name, sql_type, type_name)| Column {
        name,
        sql_type: sql_type.into(),
        type_name,
        max_chars: 0,
        comment: comment(name),
    });
    FIELDS.iter().map(of_field).chain(origin).collect()
});

/// The columns' names, as in `INSERT INTO orders (...)`.
pub static COLUMN_LIST: LazyLock<String> =
    LazyLock::new(|| COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>().join(", "));

/// What a binary COPY begins with: the signature, no flags, no extension.
pub const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub const COPY_TRAILER: &[u8] = &(-1i16).to_be_bytes();

/// Where the id stands in an encoded row: after the count of columns and its own length.
pub const ID_AT: usize = 6;

/// Microseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
pub const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Appends one row. The id comes first: [`ID_AT`].
pub fn encode_row(transaction: &Transaction<'_>, partition: i32, offset: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&(COLUMNS.len() as i16).to_be_bytes());
    for field in &FIELDS {
        match field.kind {
            Kind::Id => push(transaction.order_id.as_bytes(), out),
            Kind::Text(text) => push_or_null(transaction.text(text), out, |text, out| push(text.as_bytes(), out)),
            Kind::Amount => push_numeric(transaction.value.0, out),
            Kind::Discount => {
                push_or_null(transaction.discount, out, |discount, out| push_numeric(i64::from(discount), out));
            }
            Kind::Timestamp => push(&(transaction.timestamp.0 - POSTGRES_EPOCH).to_be_bytes(), out),
            Kind::Latitude | Kind::Longitude => {
                push_or_null(transaction.degrees(field.kind), out, |degrees, out| push(&degrees.to_be_bytes(), out));
            }
            Kind::Flag => push_or_null(transaction.risk_flag, out, |flag, out| push(&[u8::from(flag)], out)),
        }
    }
    push(&partition.to_be_bytes(), out);
    push(&offset.to_be_bytes(), out);
}

fn push(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value);
}

fn push_or_null<T>(value: Option<T>, out: &mut Vec<u8>, push: impl FnOnce(T, &mut Vec<u8>)) {
    match value {
        Some(value) => push(value, out),
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
}

/// Hundredths as NUMERIC with two decimals: base-10,000 digits around the decimal point
/// (`numeric_recv` in PostgreSQL's numeric.c).
pub fn push_numeric(hundredths: i64, out: &mut Vec<u8>) {
    const NEGATIVE: u16 = 0x4000;
    let size = hundredths.unsigned_abs();
    let (mut whole, fraction) = (size / 100, (size % 100 * 100) as u16);
    let mut digits = [0u16; 6];
    digits[5] = fraction;
    let mut first = 5;
    while whole > 0 {
        first -= 1;
        digits[first] = (whole % 10_000) as u16;
        whole /= 10_000;
    }
    let end = if fraction == 0 { 5 } else { 6 };
    let digits = &digits[first.min(end)..end];
    let weight = 4 - first as i16;
    let sign = if hundredths < 0 { NEGATIVE } else { 0 };
    out.extend_from_slice(&(8 + 2 * digits.len() as i32).to_be_bytes());
    out.extend_from_slice(&(digits.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&2u16.to_be_bytes());
    for digit in digits {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number that a NUMERIC's binary form stands for, in hundredths, read by the format's definition.
    fn read_numeric(bytes: &[u8]) -> i64 {
        let word = |at: usize| i16::from_be_bytes([bytes[4 + at * 2], bytes[5 + at * 2]]);
        let (count, weight, sign, scale) = (word(0), word(1), word(2), word(3));
        assert_eq!((bytes.len(), scale), (12 + 2 * count as usize, 2));
        let mut value = 0f64;
        for place in 0..count {
            value += f64::from(word(4 + place as usize)) * 10_000f64.powi(i32::from(weight - place));
        }
        let value = (value * 100.0).round() as i64;
        if sign == 0x4000 { -value } else { value }
    }

    #[test]
    fn numerics() {
        for value in
            [0, 1, -1, 99, 100, 101, 12345, -12345, 1_000_000, 999_999, 1_000_001, 9_999_999_999, -9_999_999_999]
        {
            let mut out = Vec::new();
            push_numeric(value, &mut out);
            assert_eq!(read_numeric(&out), value);
        }
    }

    #[test]
    fn the_first_eight_columns_are_the_classic_table() {
        let first: Vec<String> =
            COLUMNS[..8].iter().map(|column| format!("{} {}", column.name, column.sql_type)).collect();
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
