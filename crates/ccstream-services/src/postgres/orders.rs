//! Defines the table `orders`, which has one row for each card transaction.

use ccstream_core::sql_type::SqlType;
use ccstream_core::table::{COLUMNS, Column};

use super::table::Table;

/// The table `orders`. Its columns are [`COLUMNS`].
pub(super) const ORDERS: Table = Table {
    name: "orders",
    comment: "ccstream: one row per card transaction; timestamp is UTC, a negative value is a refund",
    ..Table::USUAL
};

/// Returns the statements that create `orders`.
pub(super) fn create_orders() -> String {
    let declare = |column: &Column| {
        let key = if matches!(column.sql_type, SqlType::Id(_)) { " PRIMARY KEY" } else { "" };
        format!("    {} {}{key}", column.name, column.sql_type.declaration())
    };
    format!(
        "CREATE TABLE orders (\n{}\n);\n\
         COMMENT ON TABLE orders IS '{}';\n{}",
        COLUMNS.iter().map(declare).collect::<Vec<_>>().join(",\n"),
        ORDERS.comment,
        COLUMNS.iter().map(comment).collect::<Vec<_>>().join("\n")
    )
}

/// Returns the statement that stores a column's meaning in PostgreSQL's catalogue.
pub(super) fn comment(column: &Column) -> String {
    format!("COMMENT ON COLUMN orders.{} IS '{}';", column.name, column.comment.replace('\'', "''"))
}
