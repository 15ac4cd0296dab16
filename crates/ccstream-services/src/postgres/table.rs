//! Describes ccstream's tables: names, columns, constraints, privileges and upgrades.

use super::orders::{ORDERS, create_orders};

/// Describes one of ccstream's tables.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The table's name.
    pub name: &'static str,
    /// The table's comment in PostgreSQL's catalogue.
    pub comment: &'static str,
    /// The table's columns. The list is empty for `orders`, whose columns are
    /// [`COLUMNS`](ccstream_core::table::COLUMNS).
    pub columns: &'static [OwnColumn],
    /// The constraints, in the syntax of CREATE TABLE.
    pub constraints: &'static [&'static str],
    /// The columns that get an index each, in addition to the indexes of constraints.
    pub indexes: &'static [&'static str],
    /// Further indexes, which an existing table gets as well.
    pub further_indexes: &'static [Index],
    /// Returns the statement that fills a new table from the others; None if it starts empty.
    pub fill: Option<fn() -> String>,
    /// The privileges that the consumer's role needs on the table.
    pub privileges: &'static [&'static str],
    /// Whether the dashboards' role reads the table.
    pub reader: bool,
    /// The privileges of the role of analysts, in the syntax of GRANT. It reads a table only if SELECT is among them.
    pub analyst: &'static [&'static str],
    /// The statement that resets the table if `orders` has lost its rows; None if the table keeps its rows then.
    pub on_start_over: Option<&'static str>,
    /// Steps that upgrade a table of an earlier version, in order. Missing columns are added without such a step.
    pub upgrades: &'static [Upgrade],
}

/// Describes an index that is not the usual one on a column.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    /// The index's name.
    pub name: &'static str,
    /// What follows the name and ON in CREATE INDEX.
    pub on: &'static str,
}

impl Index {
    /// Returns the statement that creates the index.
    pub(super) fn ddl(&self) -> String {
        format!("CREATE INDEX {} ON {};", self.name, self.on)
    }
}

/// Describes a column of one of ccstream's tables other than `orders`.
#[derive(Debug, Clone, Copy)]
pub struct OwnColumn {
    /// The column's name.
    pub name: &'static str,
    /// The column's type, NULL and DEFAULT, in the syntax of CREATE TABLE.
    pub declaration: &'static str,
    /// The column's comment in PostgreSQL's catalogue; empty if its name says enough.
    pub comment: &'static str,
}

impl OwnColumn {
    /// Describes a column without a comment.
    pub const fn new(name: &'static str, declaration: &'static str) -> Self {
        Self { name, declaration, comment: "" }
    }

    /// Adds a comment.
    #[must_use]
    pub const fn meaning(self, comment: &'static str) -> Self {
        Self { comment, ..self }
    }

    /// Returns whether the column can be added to a table with rows: it may be NULL or has a default.
    pub(super) fn can_be_added(&self) -> bool {
        !self.declaration.contains("NOT NULL") || self.declaration.contains("DEFAULT")
    }

    fn comment_on(&self, table: &str) -> Option<String> {
        let comment = self.comment.replace('\'', "''");
        (!comment.is_empty()).then(|| format!("\nCOMMENT ON COLUMN {table}.{} IS '{comment}';", self.name))
    }
}

impl Table {
    /// The defaults of most tables: the consumer writes them, the dashboards' role reads them, they start empty, and
    /// they keep their rows at a start over.
    pub const USUAL: Self = Self {
        name: "",
        comment: "",
        columns: &[],
        constraints: &[],
        indexes: &[],
        further_indexes: &[],
        fill: None,
        privileges: WRITES,
        reader: true,
        analyst: &[],
        on_start_over: None,
        upgrades: &[],
    };

    /// Returns the statements that create the table.
    pub fn ddl(&self) -> String {
        if self.name == ORDERS.name {
            return create_orders();
        }
        let columns = self.columns.iter().map(|column| format!("{} {}", column.name, column.declaration));
        let parts: Vec<String> = columns.chain(self.constraints.iter().map(|&one| one.to_owned())).collect();
        let (name, comment) = (self.name, self.comment.replace('\'', "''"));
        let comments: String = self.columns.iter().filter_map(|column| column.comment_on(name)).collect();
        let index = |column: &&str| format!("\nCREATE INDEX {name}_{column} ON {name} ({column});");
        let further = |index: &Index| format!("\n{}", index.ddl());
        let indexes: String = self.indexes.iter().map(index).chain(self.further_indexes.iter().map(further)).collect();
        let fill = self.fill.map_or_else(String::new, |fill| format!("\n{}", fill()));
        format!(
            "CREATE TABLE {name} (\n    {}\n);\nCOMMENT ON TABLE {name} IS '{comment}';{comments}{indexes}{fill}",
            parts.join(",\n    ")
        )
    }

    /// Returns the statements that add columns to the table.
    pub(super) fn add_columns(&self, columns: &[OwnColumn]) -> String {
        let add = columns.iter().map(|column| format!("ADD COLUMN {} {}", column.name, column.declaration));
        let comments: String = columns.iter().filter_map(|column| column.comment_on(self.name)).collect();
        format!("ALTER TABLE {} {};{comments}", self.name, add.collect::<Vec<_>>().join(", "))
    }
}

/// Describes a step that upgrades a table of an earlier version.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade {
    /// What the step does, for error messages.
    pub what: &'static str,
    /// A query that returns one boolean: whether the existing table needs the step.
    pub is_needed: &'static str,
    /// The statements of the step.
    pub statements: &'static str,
}

/// The privileges that the consumer's role needs on most tables.
pub const WRITES: &[&str] = &["SELECT", "INSERT", "UPDATE"];
