//! The totals by minute, carried forward in the batch's own transaction.

use tokio_postgres::Transaction;

use crate::error::{Error, Result};
use crate::postgres::statements::Statements;
use ccstream_core::batch::Batch;

/// Adds the batch's rows to `kpi_minute`, a handful of cells, in the order of their keys.
pub(in crate::postgres) async fn add(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    batch: &Batch,
) -> Result<()> {
    let cells = batch.cells();
    if cells.is_empty() {
        return Ok(());
    }
    let (mut minutes, mut partitions) = (Vec::new(), Vec::new());
    let (mut currencies, mut statuses) = (Vec::new(), Vec::new());
    let mut figures: [Vec<i64>; 4] = Default::default();
    for ((minute, label, partition), cell) in &cells {
        let (currency, status) = batch.label_text(*label);
        minutes.push(*minute);
        currencies.push(currency);
        statuses.push(status);
        partitions.push(*partition);
        for (figure, value) in figures.iter_mut().zip([cell.count, cell.sum, cell.min, cell.max]) {
            figure.push(value);
        }
    }
    let [counts, sums, mins, maxs] = figures;
    // Money travels as integer cents and becomes NUMERIC by an exact division.
    statements
        .execute(
            transaction,
            "INSERT INTO kpi_minute AS k (minute, currency, status, kafka_partition, count, sum, min, max)
             SELECT timestamp '1970-01-01' + m * interval '1 minute', c, s, p,
                    n, total / 100.0, low / 100.0, high / 100.0
             FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::bigint[]) AS b (m, c, s, p, n, total, low, high)
             ORDER BY 1, 2, 3, 4
             ON CONFLICT (minute, currency, status, kafka_partition) DO UPDATE SET
                 count = k.count + excluded.count, sum = k.sum + excluded.sum,
                 min = least(k.min, excluded.min), max = greatest(k.max, excluded.max)",
            &[&minutes, &currencies, &statuses, &partitions, &counts, &sums, &mins, &maxs],
        )
        .await
        .map_err(Error::postgres("adding to kpi_minute"))?;
    Ok(())
}
