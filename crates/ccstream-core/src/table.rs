//! The columns of `orders`, and each row's form in PostgreSQL's binary COPY.

use std::sync::LazyLock;

use crate::binary::push_bytes;
use crate::event::Transaction;
use crate::fields::{FIELDS, Place};
use crate::sql_type::SqlType;

/// A column of `orders`.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type where we create it, and what a column that exists must hold.
    pub sql_type: SqlType,
    /// What it means, for the catalogue.
    pub comment: &'static str,
}

/// Where a row came from: the columns after the fields'.
const ORIGIN: [Column; 2] = [
    Column {
        name: "kafka_partition",
        sql_type: SqlType::Integer,
        comment: "the Kafka partition it came from; NULL: another program inserted it",
    },
    Column { name: "kafka_offset", sql_type: SqlType::BigInt, comment: "its offset in that partition" },
];

/// Every column that a row is written to, in COPY's order.
pub static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let of_field =
        FIELDS.iter().map(|field| Column { name: field.column, sql_type: field.sql_type, comment: field.comment });
    of_field.chain(ORIGIN).collect()
});

/// The columns' names, as in `INSERT INTO orders (...)`.
pub static COLUMN_LIST: LazyLock<String> =
    LazyLock::new(|| COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>().join(", "));

/// Where the id stands in an encoded row: after the count of columns and its own length.
pub const ID_AT: usize = 6;

/// Appends one row. The id comes first: [`ID_AT`].
pub fn encode_row(transaction: &Transaction<'_>, partition: i32, offset: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((FIELDS.len() + ORIGIN.len()) as i16).to_be_bytes());
    for place in Place::all() {
        if !transaction.look(place, |value| value.push_binary(out)) {
            out.extend_from_slice(&(-1i32).to_be_bytes());
        }
    }
    push_bytes(&partition.to_be_bytes(), out);
    push_bytes(&offset.to_be_bytes(), out);
}
