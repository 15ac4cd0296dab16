//! This module returns the statements that create and change the table of a window, and that write its rows.

use ccstream_analysis::windows::{Definition, Measure, Shape};

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
    for (number, place) in definition.by.iter().enumerate() {
        columns.push(Column::new(place.field().column, "TEXT", "as in orders", format!("n.d{number}")));
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
    let (table, columns) = (definition.table(), columns(definition));
    let declared: Vec<String> =
        columns.iter().map(|column| format!("\"{}\" {}", column.name, column.declaration)).collect();
    let comments: String = columns.iter().map(|column| column.comment_on(&table)).collect();
    format!(
        "CREATE TABLE {table} (\n    {},\n    PRIMARY KEY (window_start, key, version)\n) WITH (fillfactor = 70);\n\
         COMMENT ON TABLE {table} IS 'ccstream: a window of windows.toml; its definition is in the table windows';{comments}",
        declared.join(",\n    ")
    )
}

/// Returns the statements that add the columns of a changed definition, and say anew what columns mean.
pub(super) fn widen(definition: &Definition) -> String {
    let (table, columns) = (definition.table(), columns(definition));
    let add =
        columns.iter().map(|column| format!("ADD COLUMN IF NOT EXISTS \"{}\" {}", column.name, column.declaration));
    let comments: String = columns.iter().map(|column| column.comment_on(&table)).collect();
    format!("ALTER TABLE {table} {};{comments}", add.collect::<Vec<_>>().join(", "))
}

/// Returns the statement that writes rows. Its parameters are the version, the starts, ends and keys, whether rows are
/// closed, the numbers of cards and whether they are exact, the [`SUMS`], and the dimensions.
pub(super) fn upsert(definition: &Definition) -> String {
    let columns = columns(definition);
    let quoted = |column: &Column| format!("\"{}\"", column.name);
    let names: Vec<String> = columns.iter().map(quoted).collect();
    let values: Vec<&str> = columns.iter().map(|column| column.value.as_str()).collect();
    let is_key = |name: &str| ["window_start", "key", "version"].contains(&name);
    let updated = columns.iter().filter(|column| !is_key(column.name) && !column.value.starts_with("n.d"));
    let updated: Vec<String> = updated.map(|column| format!("{0} = excluded.{0}", quoted(column))).collect();
    let dimensions = 0..definition.by.len();
    let given = ["w_start", "w_end", "key", "closed", "cards", "cards_exact"];
    let types = ["bigint[]", "bigint[]", "bigint[]", "bool[]", "bigint[]", "bool[]"];
    let types = types.into_iter().chain([("bigint[]"); SUMS.len()]).chain(dimensions.clone().map(|_| "text[]"));
    let parameters: Vec<String> = types.enumerate().map(|(at, one)| format!("${}::{one}", at + 2)).collect();
    let named = given.into_iter().chain(SUMS).map(ToOwned::to_owned).chain(dimensions.map(|at| format!("d{at}")));
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS n ({}) ON CONFLICT (window_start, key, version) DO UPDATE SET {}",
        definition.table(),
        names.join(", "),
        values.join(", "),
        parameters.join(", "),
        named.collect::<Vec<_>>().join(", "),
        updated.join(", ")
    )
}
