//! This module writes what a batch has changed of what is known of KPIs.

use tokio_postgres::Transaction;

use crate::error::{Error, Result};
use crate::postgres::statements::Statements;
use ccstream_analysis::anomalies::{PARTS, Reading};

/// The number of the part that has the minutes that are not complete.
pub(crate) const OPEN_MINUTES: i32 = PARTS as i32;
/// How long readings remain.
const KEPT_FOR: &str = "35 days";

/// What one transaction writes about KPIs.
#[derive(Debug, Default)]
pub(crate) struct AnomaliesBatch {
    /// The journals of the minutes that it has completed, each with its minute.
    pub(crate) journals: Vec<(i64, Vec<u8>)>,
    /// The minutes that are not complete; None if KPIs are not watched.
    pub(crate) open: Option<Vec<u8>>,
    /// The parts of the state, each with its number, if it is time to store them.
    pub(crate) parts: Vec<(i32, Vec<u8>)>,
    /// The readings that are stored.
    pub(crate) readings: Vec<Reading>,
}

/// Writes what is known of KPIs. `seq` is the last place in the order.
pub(in super::super) async fn write(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    seq: i64,
    batch: &AnomaliesBatch,
) -> Result<()> {
    let Some(open) = &batch.open else { return Ok(()) };
    let step = || Error::postgres("writing what is known of KPIs");
    if batch.parts.is_empty() {
        let (minutes, data): (Vec<i64>, Vec<&[u8]>) =
            batch.journals.iter().map(|(minute, data)| (*minute, data.as_slice())).unzip();
        let insert = "INSERT INTO anomaly_journal (minute, data) SELECT * FROM unnest($1::bigint[], $2::bytea[])";
        statements.execute(transaction, insert, &[&minutes, &data]).await.map_err(step())?;
    } else {
        // The parts have all of them.
        statements.execute(transaction, "DELETE FROM anomaly_journal", &[]).await.map_err(step())?;
        let delete = format!(
            "DELETE FROM kpi_band WHERE window_end < (SELECT event_time FROM analysis) - interval '{KEPT_FOR}'"
        );
        statements.execute(transaction, &delete, &[]).await.map_err(step())?;
    }
    let parts = batch.parts.iter().map(|(part, data)| (*part, data.as_slice()));
    let (parts, data): (Vec<i32>, Vec<&[u8]>) = parts.chain([(OPEN_MINUTES, open.as_slice())]).unzip();
    let upsert = "INSERT INTO anomaly_state (part, seq, data)
                  SELECT part, $1, data FROM unnest($2::int[], $3::bytea[]) AS t (part, data)
                  ON CONFLICT (part) DO UPDATE SET seq = excluded.seq, data = excluded.data";
    statements.execute(transaction, upsert, &[&seq, &parts, &data]).await.map_err(step())?;
    write_readings(transaction, statements, &batch.readings).await
}

async fn write_readings(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    readings: &[Reading],
) -> Result<()> {
    fn column<'a, T>(readings: &'a [Reading], pick: impl Fn(&'a Reading) -> T) -> Vec<T> {
        readings.iter().map(pick).collect()
    }
    if readings.is_empty() {
        return Ok(());
    }
    // A minute is judged again if what is known of KPIs began again without a past.
    let insert = "
        INSERT INTO kpi_band (dimension, series, kpi, window_end, expected, low, high, observed, deviation, basis, events,
                              is_anomalous)
        SELECT dimension, series, kpi, timestamp '1970-01-01' + at * interval '1 microsecond', expected, low, high, observed,
               deviation, basis, events, is_anomalous
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::float8[], $6::float8[], $7::float8[], $8::float8[],
                    $9::float8[], $10::text[], $11::float8[], $12::bool[])
            AS t (dimension, series, kpi, at, expected, low, high, observed, deviation, basis, events, is_anomalous)
        ON CONFLICT (dimension, series, kpi, window_end) DO UPDATE
        SET expected = excluded.expected, low = excluded.low, high = excluded.high, observed = excluded.observed,
            deviation = excluded.deviation, basis = excluded.basis, events = excluded.events,
            is_anomalous = excluded.is_anomalous";
    statements
        .execute(
            transaction,
            insert,
            &[
                &column(readings, |one| one.dimension.name()),
                &column(readings, |one| &*one.series),
                &column(readings, |one| one.kpi.name()),
                &column(readings, |one| one.end),
                &column(readings, |one| one.expected),
                &column(readings, |one| one.low),
                &column(readings, |one| one.high),
                &column(readings, |one| one.observed),
                &column(readings, |one| one.deviation),
                &column(readings, |one| one.basis.name()),
                &column(readings, |one| one.events),
                &column(readings, |one| one.is_anomalous),
            ],
        )
        .await
        .map(drop)
        .map_err(Error::postgres("writing into kpi_band"))
}
