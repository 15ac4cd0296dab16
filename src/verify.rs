//! `ccstream.verify`.

use ccstream_services::operate::verify::{PartitionReport, VerifyReport, count_again};
use ccstream_services::postgres::tables::Tables;
use pyo3::prelude::*;

use crate::record::record;
use crate::run::ask;
use crate::settings::database_url as url_of;

record!(
    /// The counters of one partition of a group's topic, and the same counted in the tables.
    PyPartitionReport, "PartitionReport", PartitionReport, {
        /// The consumer group.
        group: String = |one| one.group.clone(),
        /// The topic.
        topic: String = |one| one.topic.clone(),
        /// The partition's number.
        partition: i32 = |one| one.partition,
        /// The offset that is read next.
        next_offset: i64 = |one| one.next_offset,
        /// Messages delivered since the first run; ``stored + duplicate + rejected``.
        consumed: i64 = |one| one.counters.consumed,
        /// Rows inserted since the first run, by the counter.
        stored: i64 = |one| one.counters.stored,
        /// Messages whose id was in ``orders`` already.
        duplicate: i64 = |one| one.counters.duplicate,
        /// Dead letters, by the counter.
        rejected: i64 = |one| one.counters.rejected,
        /// Offsets that could not be read: deleted by the topic's retention, or left out as unreadable.
        missing: i64 = |one| one.counters.missing,
        /// Rows in ``orders`` that came from a partition of this number, counted.
        rows: i64 = |one| one.rows,
        /// The partition's dead letters in ``rejected_events``, counted.
        kept: i64 = |one| one.kept,
    }
);
record!(
    /// The counters and totals compared with a recount by SQL, in one snapshot.
    PyVerifyReport, "VerifyReport", VerifyReport, {
        /// Each partition's report, by group, topic and partition.
        partitions: Vec<PyPartitionReport> = |report| report.partitions.iter().cloned().map(PyPartitionReport).collect(),
        /// The number of cells of ``kpi_minute`` that were compared.
        cells: i64 = |report| report.cells,
        /// The number of the engine's figures that were compared with PostgreSQL's own; 0 with ``counters_only``.
        figures: u64 = |report| report.figures,
        /// Rows of ``orders`` that another program inserted, and that no counter includes.
        foreign_rows: i64 = |report| report.foreign_rows,
        /// Rows that were stored and are gone as old rows are: all of the oldest minutes, and no others.
        expired_rows: i64 = |report| report.expired_rows,
        /// The minute before which they are gone, in microseconds since 1970 UTC; None where none are.
        expired_before: Option<i64> = |report| report.expired_before,
        /// What disagrees, one text each, with both figures; empty where everything agrees.
        problems: Vec<String> = |report| report.problems.clone(),
    }
);

/// Counts everything again in one snapshot: while consumers run, too.
///
/// The interpreter is detached. Ctrl-C raises ``KeyboardInterrupt`` at once, and PostgreSQL (from 14 on) cancels the
/// count.
///
/// Args:
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///     counters_only: Leaves out the figures of the dashboard's engine, which take the longest. Default False.
///
/// Returns:
///     The counters beside their recount. Differences are in its ``problems``, and raise nothing.
///
/// Raises:
///     ConfigError: The URL is not usable.
///     PostgresError: The database cannot be reached or read.
///     SchemaError: There are no tables yet.
///
/// Example:
///     >>> ccstream.verify().problems  # doctest: +SKIP
///     []
#[pyfunction]
#[pyo3(signature = (*, database_url=None, counters_only=false))]
pub(crate) fn verify(py: Python<'_>, database_url: Option<String>, counters_only: bool) -> PyResult<PyVerifyReport> {
    let (url, tables) = (url_of(py, database_url)?, Tables::default());
    ask(py, || count_again(&url, &tables, counters_only)).map(PyVerifyReport)
}
