//! The table `orders`: a row for each transaction.

use ccstream_core::sql_type::SqlType;
use ccstream_core::table::{COLUMNS, Column};

use super::table::Table;

/// The rows themselves.
pub(super) const ORDERS: Table = Table {
    name: "orders",
    comment: "ccstream: one row per card transaction; timestamp is UTC, a negative value is a refund",
    ..Table::USUAL
};

/// The statements that make it.
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

/// The statement that says in the catalogue what a column means.
pub(super) fn comment(column: &Column) -> String {
    format!("COMMENT ON COLUMN orders.{} IS '{}';", column.name, column.comment.replace('\'', "''"))
}
