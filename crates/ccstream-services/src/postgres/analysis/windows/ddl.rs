//! This module returns the statements that create and change the table of a window, and that write its rows.

use ccstream_analysis::attribute::Attribute;
use ccstream_analysis::windows::{Definition, Measure, Shape};
use ccstream_core::fields::Place;

/// A column of a window's table.
pub(super) struct Column {
    pub(super) name: &'static str,
    /// The type, in the syntax of CREATE TABLE.
    pub(super) declaration: &'static str,
    comment: String,
    /// The expression of its value, from the sums of a row `n`.
    pub(super) value: String,
}

impl Column {
    fn new(name: &'static str, declaration: &'static str, comment: &str, value: impl Into<String>) -> Self {
        Self { name, declaration, comment: comment.to_owned(), value: value.into() }
    }

    fn comment_on(&self, table: &str) -> String {
        format!("\nCOMMENT ON COLUMN {table}.\"{}\" IS '{}';", self.name, self.comment.replace('\'', "''"))
    }
}

/// The comment of each table, by which it is recognized.
pub(super) const COMMENT: &str = "ccstream: a window of windows.toml; its definition is in the table windows";

/// The names of the sums that a row is computed from, in the order of [`Totals`](ccstream_analysis::windows::Totals).
pub(super) const SUMS: [&str; 10] =
    ["count", "late", "sum", "min", "max", "approved", "decided", "scored", "score_sum", "high"];

/// Returns the columns of a window's table.
pub(super) fn columns(definition: &Definition) -> Vec<Column> {
    let at = |micros: &str| format!("timestamp '1970-01-01' + n.{micros} * interval '1 microsecond'");
    let (start, end) = match definition.shape {
        Shape::Fixed { .. } => ("start of the window, UTC", "end of the window, which does not belong to it"),
        Shape::Session { .. } => {
            ("time of the first transaction of the session, UTC", "time of its last transaction plus the gap")
        }
    };
    let mut columns = vec![
        Column::new("window_start", "TIMESTAMP NOT NULL", start, at("w_start")),
        Column::new("window_end", "TIMESTAMP NOT NULL", end, at("w_end")),
    ];
    for (number, attribute) in definition.by.iter().enumerate() {
        let comment = match *attribute {
            Attribute::Field(Place::CURRENCY) => "as in orders, in capitals; NULL if it is not three letters",
            Attribute::Field(_) => "as in orders",
            Attribute::Segment => "name in merchant_segment, by the run that segments_adopted has; NULL without one",
        };
        columns.push(Column::new(attribute.name(), "TEXT", comment, format!("n.d{number}")));
    }
    for measure in Measure::ALL.into_iter().filter(|measure| definition.has(*measure)) {
        columns.extend(measured(measure, definition));
    }
    columns.extend([
        Column::new("late", "BIGINT NOT NULL", "number of the transactions that came after a later one", "n.late"),
        Column::new("closed", "BOOLEAN NOT NULL", "whether nothing is added to the row any more", "n.closed"),
        Column::new("version", "INTEGER NOT NULL", "version of the definition, as in windows", "$1::int"),
        Column::new("key", "BIGINT NOT NULL", "hash of the dimensions", "n.key"),
    ]);
    columns
}

fn measured(measure: Measure, definition: &Definition) -> Vec<Column> {
    let (declaration, comment, value) = match measure {
        Measure::Count => ("BIGINT", "number of transactions".to_owned(), "n.count"),
        Measure::Sum => ("NUMERIC(20,2)", "sum of the amounts".to_owned(), "n.sum * 0.01"),
        Measure::Mean => ("NUMERIC(14,4)", "mean of the amounts".to_owned(), "round(n.sum * 0.01 / n.count, 4)"),
        Measure::Min => ("NUMERIC(10,2)", "least amount".to_owned(), "n.min * 0.01"),
        Measure::Max => ("NUMERIC(10,2)", "greatest amount".to_owned(), "n.max * 0.01"),
        Measure::ApprovedShare => (
            "DOUBLE PRECISION",
            "approved transactions divided by those that were approved or declined; NULL without any".to_owned(),
            "n.approved::float8 / nullif(n.decided, 0)",
        ),
        Measure::Cards => ("BIGINT", "number of distinct cards".to_owned(), "n.cards"),
        Measure::MeanScore => (
            "DOUBLE PRECISION",
            "mean of the scores, each rounded to millionths".to_owned(),
            "n.score_sum::float8 / 1000000 / nullif(n.scored, 0)",
        ),
        Measure::HighShare => (
            "DOUBLE PRECISION",
            format!("share of the scores that are at least {}", definition.high),
            "n.high::float8 / nullif(n.scored, 0)",
        ),
    };
    let mut columns = vec![Column::new(measure.name(), declaration, &comment, value)];
    if measure == Measure::Cards {
        let comment = "whether cards is exact; if not, it is an estimate with a standard error of 2.3 %";
        columns.push(Column::new("cards_exact", "BOOLEAN", comment, "n.cards_exact"));
    }
    columns
}

/// Returns the statements that create the table of a window.
pub(super) fn create(definition: &Definition) -> String {
    let declared: Vec<String> =
        columns(definition).iter().map(|column| format!("\"{}\" {}", column.name, column.declaration)).collect();
    let table = definition.table();
    format!(
        "CREATE TABLE {table} (\n    {},\n    PRIMARY KEY (window_start, key, version)\n) WITH (fillfactor = 70);\n\
         COMMENT ON TABLE {table} IS '{COMMENT}';{}",
        declared.join(",\n    "),
        comments(definition)
    )
}

/// Returns the statements that add the columns of a changed definition.
pub(super) fn widen(definition: &Definition) -> String {
    let add = |column: &Column| format!("ADD COLUMN IF NOT EXISTS \"{}\" {}", column.name, column.declaration);
    let add: Vec<String> = columns(definition).iter().map(add).collect();
    format!("ALTER TABLE {} {};", definition.table(), add.join(", "))
}

/// Returns the statements that say what the columns mean.
pub(super) fn comments(definition: &Definition) -> String {
    let table = definition.table();
    columns(definition).iter().map(|column| column.comment_on(&table)).collect()
}

/// Returns a query of rows that are given as arrays, with the columns of the table. Its parameters are the version, the
/// starts, ends and keys, whether rows are closed, the numbers of cards and whether they are exact, the [`SUMS`], and the
/// dimensions.
fn given(definition: &Definition) -> String {
    let columns = columns(definition);
    let values = columns.iter().map(|column| format!("{} AS \"{}\"", column.value, column.name));
    let dimensions = 0..definition.by.len();
    let first = [
        ("w_start", "bigint[]"),
        ("w_end", "bigint[]"),
        ("key", "bigint[]"),
        ("closed", "bool[]"),
        ("cards", "bigint[]"),
        ("cards_exact", "bool[]"),
    ];
    let types =
        first.iter().map(|(_, of)| *of).chain([("bigint[]"); SUMS.len()]).chain(dimensions.clone().map(|_| "text[]"));
    let parameters: Vec<String> = types.enumerate().map(|(at, of)| format!("${}::{of}", at + 2)).collect();
    let names = first.iter().map(|(name, _)| *name).chain(SUMS).map(ToOwned::to_owned);
    format!(
        "SELECT {} FROM unnest({}) AS n ({})",
        values.collect::<Vec<_>>().join(", "),
        parameters.join(", "),
        names.chain(dimensions.map(|at| format!("d{at}"))).collect::<Vec<_>>().join(", ")
    )
}

/// Returns the names of the columns that satisfy a condition, each in a form.
fn names(definition: &Definition, is_one: impl Fn(&Column) -> bool, form: impl Fn(&str) -> String) -> Vec<String> {
    columns(definition)
        .iter()
        .filter(|column| is_one(column))
        .map(|column| form(&format!("\"{}\"", column.name)))
        .collect()
}

/// Returns the statement that writes rows. Its parameters are those of [`given`].
pub(super) fn upsert(definition: &Definition) -> String {
    // A key's dimensions do not change.
    let is_updated = |column: &Column| {
        let is_dimension = definition.by.iter().any(|one| one.name() == column.name);
        !is_dimension && !["window_start", "key", "version"].contains(&column.name)
    };
    format!(
        "INSERT INTO {} ({}) {} ON CONFLICT (window_start, key, version) DO UPDATE SET {}",
        definition.table(),
        names(definition, |_| true, ToOwned::to_owned).join(", "),
        given(definition),
        names(definition, is_updated, |name| format!("{name} = excluded.{name}")).join(", ")
    )
}

/// Returns the query of the first row, of some that are given, from which the table differs. It returns the start of the
/// window and the number of such rows. Its parameters are those of [`given`].
pub(super) fn compare(definition: &Definition) -> String {
    let same: Vec<String> = columns(definition)
        .iter()
        .map(|column| {
            let of = column.declaration.trim_end_matches(" NOT NULL");
            format!("t.\"{0}\" IS NOT DISTINCT FROM n.\"{0}\"::{of}", column.name)
        })
        .collect();
    format!(
        "SELECT min(n.window_start)::text, count(*)
         FROM ({}) AS n LEFT JOIN {} AS t USING (window_start, key, version) WHERE NOT ({})",
        given(definition),
        definition.table(),
        same.join(" AND ")
    )
}
