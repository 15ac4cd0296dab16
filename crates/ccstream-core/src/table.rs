//! Defines the columns of `orders`, and encodes rows for PostgreSQL's binary COPY.

use std::sync::LazyLock;

use crate::binary::push_bytes;
use crate::event::Transaction;
use crate::fields::{FIELDS, Place};
use crate::sql_type::SqlType;

/// Defines a column of `orders`.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name of the column.
    pub name: &'static str,
    /// The type of the column if ccstream creates it. An existing column must be able to hold all values of the type.
    pub sql_type: SqlType,
    /// The meaning of the column, which becomes its comment in PostgreSQL.
    pub comment: &'static str,
}

/// Lists the columns after those of the fields. They locate the row's message in Kafka.
const ORIGIN: [Column; 2] = [
    Column {
        name: "kafka_partition",
        sql_type: SqlType::Integer,
        comment: "Kafka partition of the message; NULL if another program inserted the row",
    },
    Column { name: "kafka_offset", sql_type: SqlType::BigInt, comment: "offset of the message in kafka_partition" },
];

/// Lists every column of a row, in the order of COPY.
pub static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let of_field =
        FIELDS.iter().map(|field| Column { name: field.column, sql_type: field.sql_type, comment: field.comment });
    of_field.chain(ORIGIN).collect()
});

/// The names of all columns, separated by commas, as in `INSERT INTO orders (...)`.
pub static COLUMN_LIST: LazyLock<String> =
    LazyLock::new(|| COLUMNS.iter().map(|column| column.name).collect::<Vec<_>>().join(", "));

/// The id begins at this byte of an encoded row, after the number of columns and the length of the id.
pub const ID_AT: usize = 6;

/// Appends one row in the format of a binary COPY. The id comes first: see [`ID_AT`].
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
