//! What every table of ours says of itself.

use super::orders::{ORDERS, create_orders};

/// A table of ours.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What it is, for the catalogue.
    pub comment: &'static str,
    /// Its columns, but for `orders`, whose are the transaction's fields.
    pub columns: &'static [OwnColumn],
    /// Its constraints, as CREATE TABLE has them.
    pub constraints: &'static [&'static str],
    /// Writes the statement that fills a new one from the others; None where it begins empty.
    pub fill: Option<fn() -> String>,
    /// What the consumer's role must be allowed on it.
    pub privileges: &'static [&'static str],
    /// Whether the dashboards' role reads it.
    pub reader: bool,
    /// The statement that starts it over with `orders`; None where it keeps what it has.
    pub on_start_over: Option<&'static str>,
    /// What brings up a table of an earlier version, besides the columns that it lacks, in order.
    pub upgrades: &'static [Upgrade],
}

/// A column of a table of ours.
#[derive(Debug, Clone, Copy)]
pub struct OwnColumn {
    /// Its name.
    pub name: &'static str,
    /// Type, NULL and DEFAULT, as CREATE TABLE has them.
    pub declaration: &'static str,
    /// What it means, for the catalogue; empty where its name says it.
    pub comment: &'static str,
}

impl OwnColumn {
    /// A column whose name says what it means.
    pub const fn new(name: &'static str, declaration: &'static str) -> Self {
        Self { name, declaration, comment: "" }
    }

    /// The same with a comment.
    #[must_use]
    pub const fn meaning(self, comment: &'static str) -> Self {
        Self { comment, ..self }
    }

    /// Whether a table of an earlier version can be given it, as rows that are there have a value for it.
    pub(super) fn can_be_added(&self) -> bool {
        !self.declaration.contains("NOT NULL") || self.declaration.contains("DEFAULT")
    }

    fn comment_on(&self, table: &str) -> Option<String> {
        let comment = self.comment.replace('\'', "''");
        (!comment.is_empty()).then(|| format!("\nCOMMENT ON COLUMN {table}.{} IS '{comment}';", self.name))
    }
}

impl Table {
    /// What most tables are: written by the consumer, read by the dashboards' role, empty at first, kept at a start over.
    pub const USUAL: Self = Self {
        name: "",
        comment: "",
        columns: &[],
        constraints: &[],
        fill: None,
        privileges: WRITES,
        reader: true,
        on_start_over: None,
        upgrades: &[],
    };

    /// The statements that make it.
    pub fn ddl(&self) -> String {
        if self.name == ORDERS.name {
            return create_orders();
        }
        let columns = self.columns.iter().map(|column| format!("{} {}", column.name, column.declaration));
        let parts: Vec<String> = columns.chain(self.constraints.iter().map(|&one| one.to_owned())).collect();
        let (name, comment) = (self.name, self.comment.replace('\'', "''"));
        let comments: String = self.columns.iter().filter_map(|column| column.comment_on(name)).collect();
        let fill = self.fill.map_or_else(String::new, |fill| format!("\n{}", fill()));
        format!(
            "CREATE TABLE {name} (\n    {}\n);\nCOMMENT ON TABLE {name} IS '{comment}';{comments}{fill}",
            parts.join(",\n    ")
        )
    }

    /// The statements that add columns.
    pub(super) fn add_columns(&self, columns: &[OwnColumn]) -> String {
        let add = columns.iter().map(|column| format!("ADD COLUMN {} {}", column.name, column.declaration));
        let comments: String = columns.iter().filter_map(|column| column.comment_on(self.name)).collect();
        format!("ALTER TABLE {} {};{comments}", self.name, add.collect::<Vec<_>>().join(", "))
    }
}

/// A step from an earlier version's table to this one's.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade {
    /// What it does, in words.
    pub what: &'static str,
    /// A query of one boolean: whether the table that is there needs it.
    pub is_needed: &'static str,
    /// The statements.
    pub statements: &'static str,
}

/// What the consumer's role is allowed on most tables.
pub const WRITES: &[&str] = &["SELECT", "INSERT", "UPDATE"];
