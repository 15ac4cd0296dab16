//! This module declares the small tables of the analysis, and the queries that compute their contents from `scores` and
//! `labels`.

use super::TOP_CARDS;
use crate::postgres::table::{OwnColumn, Table};
use ccstream_analysis::cells::score_bounds;

/// The table of scores by minute.
pub(in crate::postgres) const SCORE_MINUTE: Table = Table {
    name: "score_minute",
    comment: "ccstream: scores by minute of the transaction",
    columns: &[
        OwnColumn::new("minute", "TIMESTAMP NOT NULL"),
        OwnColumn::new("model", "TEXT NOT NULL").meaning("as in scores"),
        OwnColumn::new("scored", "BIGINT NOT NULL").meaning("number of transactions"),
        OwnColumn::new("high", "BIGINT NOT NULL").meaning("number of high scores, whose reasons are in scores"),
        OwnColumn::new("score_sum", "BIGINT NOT NULL").meaning("sum of the scores in millionths"),
    ],
    constraints: &["PRIMARY KEY (minute, model)"],
    fill: Some(|| fill("score_minute", Some(&score_minute()))),
    ..Table::USUAL
};

/// The table of scores by day and cell.
pub(in crate::postgres) const SCORE_DAY: Table = Table {
    name: "score_day",
    comment: "ccstream: scores by day of the transaction and by size, and how many of them are known frauds",
    columns: &[
        OwnColumn::new("day", "DATE NOT NULL"),
        OwnColumn::new("model", "TEXT NOT NULL").meaning("as in scores, or the shadow model"),
        OwnColumn::new("at_least", "DOUBLE PRECISION NOT NULL").meaning("least score that belongs to the row"),
        OwnColumn::new("scored", "BIGINT NOT NULL").meaning("number of transactions"),
        OwnColumn::new("frauds", "BIGINT NOT NULL").meaning("number of them that are known to be frauds by now"),
    ],
    constraints: &["PRIMARY KEY (day, model, at_least)"],
    fill: Some(|| fill("score_day", Some(&score_day()))),
    ..Table::USUAL
};

/// The table of feature values by day and cell.
pub(in crate::postgres) const FEATURE_DAY: Table = Table {
    name: "feature_day",
    comment: "ccstream: values of features by day of the transaction and by size, of every 16th place in the order",
    columns: &[
        OwnColumn::new("day", "DATE NOT NULL"),
        OwnColumn::new("feature", "TEXT NOT NULL"),
        OwnColumn::new("bin", "SMALLINT NOT NULL").meaning(
            "exponent of the power of two at or below the absolute value, plus 32, with the sign of the value; 0 for \
             zero, -128 for a missing value",
        ),
        OwnColumn::new("seen", "BIGINT NOT NULL").meaning("number of values"),
    ],
    constraints: &["PRIMARY KEY (day, feature, bin)"],
    fill: Some(|| fill("feature_day", None)),
    ..Table::USUAL
};

/// The table of the cards with the greatest scores.
pub(in crate::postgres) const TOP_CARD_DAY: Table = Table {
    name: "top_cards",
    comment: "ccstream: the 100 cards of each day with the greatest scores",
    columns: &[
        OwnColumn::new("day", "DATE NOT NULL"),
        OwnColumn::new("card", "BIGINT NOT NULL").meaning("as in scores"),
        OwnColumn::new("score", "DOUBLE PRECISION NOT NULL").meaning("greatest score of the card on this day"),
        OwnColumn::new("seq", "BIGINT NOT NULL").meaning("place in the order of the transaction that has it"),
        OwnColumn::new("order_id", "VARCHAR(50) COLLATE \"C\" NOT NULL").meaning("that transaction, as in orders"),
    ],
    constraints: &["PRIMARY KEY (day, card)"],
    fill: Some(|| fill("top_cards", Some(&top_cards()))),
    privileges: &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ..Table::USUAL
};

/// The table of cards with known frauds.
pub(in crate::postgres) const FRAUD_CARDS: Table = Table {
    name: "fraud_cards",
    comment: "ccstream: cards with known frauds, by day of the transaction",
    columns: &[
        OwnColumn::new("day", "DATE NOT NULL"),
        OwnColumn::new("card", "BIGINT NOT NULL").meaning("as in scores"),
        OwnColumn::new("frauds", "BIGINT NOT NULL")
            .meaning("number of transactions that are known to be frauds by now"),
    ],
    constraints: &["PRIMARY KEY (day, card)"],
    fill: Some(|| fill("fraud_cards", Some(&fraud_cards()))),
    ..Table::USUAL
};

/// Returns the statements that fill a new table. Its rows are updated with each batch, so half of each page is left free:
/// PostgreSQL then removes their old versions without a vacuum.
fn fill(table: &str, contents: Option<&str>) -> String {
    let insert = contents.map_or_else(String::new, |contents| format!("\nINSERT INTO {table} {contents};"));
    format!("ALTER TABLE {table} SET (fillfactor = 50);{insert}")
}

/// The frauds among the scored transactions: those whose last label that is due says so.
const FRAUDS: &str = "SELECT s.* FROM scores AS s
     JOIN (SELECT DISTINCT ON (transaction_id) transaction_id, fraud FROM labels WHERE seq IS NOT NULL
           ORDER BY transaction_id, labelled_at DESC, seq DESC) AS l ON l.transaction_id = s.order_id
     WHERE l.fraud";

/// Returns the bounds of the cells of scores as an SQL array.
fn bounds() -> String {
    let bounds: Vec<String> = score_bounds().iter().map(ToString::to_string).collect();
    format!("'{{{}}}'::float8[]", bounds.join(","))
}

/// Returns the SQL expression of the least score that belongs to a score's cell.
fn at_least(score: &str) -> String {
    let bounds = bounds();
    format!("({bounds})[width_bucket({score}, {bounds})]")
}

/// The contents of [`SCORE_MINUTE`], computed from `scores`.
pub(super) fn score_minute() -> String {
    "SELECT date_trunc('minute', event_time), model, count(*), count(reasons),
            sum(floor(score * 1000000 + 0.5))::bigint
     FROM scores WHERE score IS NOT NULL GROUP BY 1, 2"
        .into()
}

/// The contents of [`SCORE_DAY`], computed from `scores` and `labels`.
pub(super) fn score_day() -> String {
    let both = |from: &str, counted: &str| {
        format!(
            "SELECT event_time::date AS day, model, {} AS at_least, {counted} FROM {from} WHERE score IS NOT NULL
             UNION ALL
             SELECT event_time::date, shadow_model, {}, {counted} FROM {from} WHERE shadow IS NOT NULL",
            at_least("score"),
            at_least("shadow")
        )
    };
    format!(
        "SELECT day, model, at_least, sum(scored)::bigint, sum(frauds)::bigint
         FROM ({} UNION ALL {}) AS t GROUP BY 1, 2, 3",
        both("scores", "1 AS scored, 0 AS frauds"),
        both(&format!("({FRAUDS}) AS f"), "0, 1")
    )
}

/// The contents of [`TOP_CARD_DAY`], computed from `scores`.
pub(super) fn top_cards() -> String {
    format!(
        "SELECT day, card, score, seq, order_id
         FROM (SELECT *, row_number() OVER (PARTITION BY day ORDER BY score DESC, seq) AS place
               FROM (SELECT DISTINCT ON (event_time::date, card) event_time::date AS day, card, score, seq, order_id
                     FROM scores WHERE score IS NOT NULL AND card IS NOT NULL
                     ORDER BY event_time::date, card, score DESC, seq) AS greatest) AS ranked
         WHERE place <= {TOP_CARDS}"
    )
}

/// The contents of [`FRAUD_CARDS`], computed from `scores` and `labels`.
pub(super) fn fraud_cards() -> String {
    format!("SELECT event_time::date, card, count(*) FROM ({FRAUDS}) AS f WHERE card IS NOT NULL GROUP BY 1, 2")
}
