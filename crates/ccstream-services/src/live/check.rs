//! This check compares the engine's figures with those of SQL queries in the same snapshot.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::follow::{Sink, load};
use super::segments;
use super::snapshot::{Snapshot, look};
use crate::error::{Error, Result};
use ccstream_core::currency::Currency;
use ccstream_kpi::query::answer::{Keys, Table};
use ccstream_kpi::query::chunk::Figures;
use ccstream_kpi::query::kept::KeptQueries;
use ccstream_kpi::query::question::{By, Dimension, Grouping, Query};
use ccstream_kpi::rows::attribute::Attribute;
use ccstream_kpi::rows::columns::Columns;
use ccstream_kpi::rows::outcome::APPROVED;

/// Holds the rows for one check, separately from an engine's.
#[derive(Default)]
struct Rows(Columns);

impl Sink for Rows {
    fn restart(&mut self) {}
    fn write(&mut self, _: Option<i64>, change: &mut dyn FnMut(&mut Columns) -> Result<()>) -> Result<()> {
        change(&mut self.0)
    }
    fn progress(&mut self, _: &Snapshot, _: f64) -> bool {
        true
    }
    fn catching_up(&mut self, _: f64) {}
}

/// Reads all of `orders` in the snapshot and compares the engine's figures with PostgreSQL's. Returns how many figures
/// were compared, and a description of each difference.
///
/// Errors: the database cannot be read.
pub(crate) async fn compare(snapshot: &Transaction<'_>) -> Result<(u64, Vec<String>)> {
    let at = look(snapshot, 0).await?;
    let mut rows = Rows::default();
    load(snapshot, &at, &mut rows).await?;
    let run = segments::last_run(snapshot).await?;
    rows.0.set_segments(segments::read(snapshot, run).await?);
    let is_known = |attribute: &Attribute| *attribute != Attribute::SEGMENT || run.is_some();
    let grouped: Vec<Attribute> = Attribute::dimensions().filter(is_known).collect();
    let by = |attribute: &Attribute| By::Dimension(Dimension::Of(*attribute));
    let groupings = grouped.iter().map(|attribute| Grouping { outcomes: true, ..Grouping::new(by(attribute)) });
    let query = Query { groupings: groupings.collect(), ..Query::default() };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let answer = KeptQueries::default().answer(&query, at.at, &rows.0, threads)?;
    let (mut compared, mut problems) = (0, Vec::new());
    let currency = Currency::sql("currency");
    let totals = snapshot
        .query_typed_one(
            &format!(
                "SELECT count(*), (min(v) * 100)::bigint, (max(v) * 100)::bigint,
                    (percentile_disc(0.5) WITHIN GROUP (ORDER BY v) * 100)::bigint,
                    (percentile_disc(0.95) WITHIN GROUP (ORDER BY v) * 100)::bigint,
                    (percentile_disc(0.99) WITHIN GROUP (ORDER BY v) * 100)::bigint, count(DISTINCT card_token)
             FROM (SELECT CASE WHEN {currency} IS NOT DISTINCT FROM $1::text THEN round(value, 2) END AS v, card_token
                   FROM orders) AS o"
            ),
            &[(&answer.currency, Type::TEXT)],
        )
        .await
        .map_err(Error::postgres("counting orders"))?;
    let [p50, p95, p99] = answer.totals.percentiles;
    let own = [answer.totals.min, answer.totals.max, p50, p95, p99];
    let counts = (answer.totals.figures.count as i64, answer.totals.cards as i64);
    let theirs: Vec<Option<i64>> = (1..6).map(|at| totals.get(at)).collect();
    compared += 7;
    if theirs != own || counts != (totals.get(0), totals.get(6)) {
        problems.push(format!(
            "the dashboard's totals (rows, cards) are {counts:?} and its amounts in cents are {own:?}; PostgreSQL's \
             are {:?} and {theirs:?}",
            (totals.get::<_, i64>(0), totals.get::<_, i64>(6))
        ));
    }
    for (attribute, table) in grouped.into_iter().zip(&answer.tables) {
        compared += compare_groups(snapshot, attribute, table, answer.currency.as_deref(), &mut problems).await?;
    }
    Ok((compared, problems))
}

/// Compares the groups of one attribute. Returns how many figures were compared.
async fn compare_groups(
    snapshot: &Transaction<'_>,
    attribute: Attribute,
    table: &Table,
    currency: Option<&str>,
    problems: &mut Vec<String>,
) -> Result<u64> {
    let Keys::Names(names) = &table.keys else { return Ok(0) };
    let of_engine = |figures: &Figures| [figures.count as i64, figures.sum, figures.approved as i64];
    let ours: BTreeMap<Option<&str>, [i64; 3]> =
        names.iter().map(Option::as_deref).zip(table.figures.iter().map(of_engine)).collect();
    let own_currency = Currency::sql("currency");
    let (key, joined) = match attribute {
        Attribute::CURRENCY => (own_currency.clone(), ""),
        Attribute::SEGMENT => {
            ("m.name".into(), "LEFT JOIN merchant_segment AS m ON m.merchant = orders.merchant AND m.valid_to IS NULL")
        }
        _ => (format!("{}::text", attribute.definition().column), ""),
    };
    let rows = snapshot
        .query_typed(
            &format!(
                "SELECT {key}, count(*),
                        coalesce(sum(round(value, 2)) FILTER (WHERE {own_currency} IS NOT DISTINCT FROM $1::text) * 100, 0)::bigint,
                        count(*) FILTER (WHERE lower(status COLLATE \"C\") = ANY ($2::text[]))
                 FROM orders {joined} GROUP BY 1"
            ),
            &[(&currency, Type::TEXT), (&APPROVED.as_slice(), Type::TEXT_ARRAY)],
        )
        .await
        .map_err(Error::postgres("counting orders"))?;
    let theirs: BTreeMap<Option<&str>, [i64; 3]> =
        rows.iter().map(|row| (row.get(0), [row.get(1), row.get(2), row.get(3)])).collect();
    if let Some(name) = ours.keys().chain(theirs.keys()).find(|name| ours.get(*name) != theirs.get(*name)) {
        problems.push(format!(
            "the dashboard's figures (rows, cents, approved) for {} {name:?} are {:?}; PostgreSQL's are {:?}",
            attribute.definition().name,
            ours.get(name),
            theirs.get(name)
        ));
    }
    Ok(3 * ours.len() as u64)
}
