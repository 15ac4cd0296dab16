//! This module adds a batch to the small tables of the analysis.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use super::super::batch::AnalysisBatch;
use super::{Minute, TOP_CARDS, Tally};
use crate::error::{Error, Result};
use crate::postgres::statements::Statements;
use ccstream_analysis::cells::score_bounds;

/// Adds a batch to the tables. Returns the least score among the top cards of each of its days that has all of them.
///
/// It runs after the scores and the places of the labels were written.
pub(in super::super) async fn add(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    batch: &AnalysisBatch,
) -> Result<BTreeMap<i32, f64>> {
    add_scores(transaction, statements, batch).await?;
    add_values(transaction, statements, &batch.tally).await?;
    add_frauds(transaction, statements, batch).await?;
    add_top_cards(transaction, statements, &batch.tally).await
}

async fn add_scores(transaction: &Transaction<'_>, statements: &mut Statements, batch: &AnalysisBatch) -> Result<()> {
    let step = || Error::postgres("adding to score_minute and score_day");
    let Tally { minutes, scores, shadows, .. } = &batch.tally;
    if !minutes.is_empty() {
        let times: Vec<i64> = minutes.keys().copied().collect();
        let column = |pick: fn(&Minute) -> i64| minutes.values().map(pick).collect::<Vec<i64>>();
        statements
            .execute(
                transaction,
                "INSERT INTO score_minute AS t (minute, model, scored, high, score_sum)
                 SELECT timestamp '1970-01-01' + at * interval '1 microsecond', $1, scored, high, total
                 FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n (at, scored, high, total)
                 ON CONFLICT (minute, model) DO UPDATE SET scored = t.scored + excluded.scored,
                     high = t.high + excluded.high, score_sum = t.score_sum + excluded.score_sum",
                &[&batch.model, &times, &column(|one| one.scored), &column(|one| one.high), &column(|one| one.sum)],
            )
            .await
            .map_err(step())?;
    }
    let shadow = batch.shadow.as_deref().unwrap_or_default();
    for (model, cells) in [(batch.model.as_str(), scores), (shadow, shadows)] {
        if cells.is_empty() {
            continue;
        }
        let (days, bounds, counts) = cells.counted(|cell| score_bounds()[cell]);
        statements
            .execute(
                transaction,
                "INSERT INTO score_day AS t (day, model, at_least, scored, frauds)
                 SELECT date '1970-01-01' + day, $1, at_least, scored, 0
                 FROM unnest($2::int[], $3::float8[], $4::bigint[]) AS n (day, at_least, scored)
                 ON CONFLICT (day, model, at_least) DO UPDATE SET scored = t.scored + excluded.scored",
                &[&model, &days, &bounds, &counts],
            )
            .await
            .map_err(step())?;
    }
    Ok(())
}

async fn add_values(transaction: &Transaction<'_>, statements: &mut Statements, tally: &Tally) -> Result<()> {
    if tally.values.is_empty() {
        return Ok(());
    }
    let (days, values, counts) = tally.counted_values();
    let (names, bins): (Vec<&str>, Vec<i16>) = values.into_iter().unzip();
    statements
        .execute(
            transaction,
            "INSERT INTO feature_day AS t (day, feature, bin, seen)
             SELECT date '1970-01-01' + day, feature, bin, seen
             FROM unnest($1::int[], $2::text[], $3::smallint[], $4::bigint[]) AS n (day, feature, bin, seen)
             ON CONFLICT (day, feature, bin) DO UPDATE SET seen = t.seen + excluded.seen",
            &[&days, &names, &bins, &counts],
        )
        .await
        .map(drop)
        .map_err(Error::postgres("adding to feature_day"))
}

/// Counts transactions that became known as frauds with the labels of the batch, and takes those out that are known to be
/// genuine after all.
async fn add_frauds(transaction: &Transaction<'_>, statements: &mut Statements, batch: &AnalysisBatch) -> Result<()> {
    let Some(first) = batch.applied.iter().map(|one| one.seq).min() else { return Ok(()) };
    let step = || Error::postgres("counting known frauds");
    let ids: Vec<&str> = batch.applied.iter().map(|one| one.label.transaction_id.as_str()).collect();
    // What the labels meant before this batch is compared with what they mean now.
    let statement = "
        WITH verdicts AS (
            SELECT transaction_id,
                   (array_agg(fraud ORDER BY labelled_at DESC, seq DESC))[1] AS now,
                   (array_agg(fraud ORDER BY labelled_at DESC, seq DESC) FILTER (WHERE seq < $2))[1] AS before
            FROM labels WHERE transaction_id = ANY ($1::varchar[]) AND seq IS NOT NULL GROUP BY transaction_id
        ), changed AS (
            SELECT s.*, event_time::date AS day, CASE WHEN now THEN 1 ELSE -1 END AS more
            FROM verdicts AS v JOIN scores AS s ON s.order_id = v.transaction_id WHERE now <> coalesce(before, false)
        ), cells AS (
            SELECT day, model, ($3::float8[])[width_bucket(score, $3::float8[])] AS at_least, sum(more) AS more
            FROM (SELECT day, model, score, more FROM changed
                  UNION ALL SELECT day, shadow_model, shadow, more FROM changed) AS both_models
            WHERE score IS NOT NULL GROUP BY 1, 2, 3
        ), counted AS (
            UPDATE score_day AS t SET frauds = t.frauds + n.more
            FROM cells AS n WHERE t.day = n.day AND t.model = n.model AND t.at_least = n.at_least
        )
        INSERT INTO fraud_cards AS t (day, card, frauds)
        SELECT day, card, sum(more) FROM changed WHERE card IS NOT NULL GROUP BY 1, 2
        ON CONFLICT (day, card) DO UPDATE SET frauds = t.frauds + excluded.frauds";
    statements.execute(transaction, statement, &[&ids, &first, &score_bounds()]).await.map(drop).map_err(step())
}

async fn add_top_cards(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    tally: &Tally,
) -> Result<BTreeMap<i32, f64>> {
    let tops = tally.top_cards();
    if tops.is_empty() {
        return Ok(BTreeMap::new());
    }
    let step = || Error::postgres("adding to top_cards");
    let days: Vec<i32> = tops.iter().map(|(day, _, _)| *day).collect();
    let cards: Vec<i64> = tops.iter().map(|(_, card, _)| *card).collect();
    let scores: Vec<f64> = tops.iter().map(|(_, _, top)| top.score).collect();
    let places: Vec<i64> = tops.iter().map(|(_, _, top)| top.seq).collect();
    let ids: Vec<&str> = tops.iter().map(|(_, _, top)| &*top.id).collect();
    statements
        .execute(
            transaction,
            "INSERT INTO top_cards AS t (day, card, score, seq, order_id)
             SELECT date '1970-01-01' + day, card, score, seq, id
             FROM unnest($1::int[], $2::bigint[], $3::float8[], $4::bigint[], $5::text[])
                 AS n (day, card, score, seq, id)
             ON CONFLICT (day, card) DO UPDATE SET score = excluded.score, seq = excluded.seq,
                 order_id = excluded.order_id
             WHERE excluded.score > t.score",
            &[&days, &cards, &scores, &places, &ids],
        )
        .await
        .map_err(step())?;
    let some_days: Vec<i32> = tally.tops.keys().copied().collect();
    let delete = format!(
        "DELETE FROM top_cards AS t USING (
             SELECT day, card, row_number() OVER (PARTITION BY day ORDER BY score DESC, seq) AS place
             FROM top_cards WHERE day = ANY (SELECT date '1970-01-01' + d FROM unnest($1::int[]) AS d)) AS ranked
         WHERE place > {TOP_CARDS} AND t.day = ranked.day AND t.card = ranked.card"
    );
    statements.execute(transaction, &delete, &[&some_days]).await.map_err(step())?;
    let query = format!(
        "SELECT day - date '1970-01-01', min(score) FROM top_cards
         WHERE day = ANY (SELECT date '1970-01-01' + d FROM unnest($1::int[]) AS d)
         GROUP BY day HAVING count(*) >= {TOP_CARDS}"
    );
    let rows = statements.query(transaction, &query, &[&some_days]).await.map_err(step())?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
