//! Defines `ccstream.verify`.

use ccstream_services::operate::verify::{PartitionReport, VerifyReport, count_again};
use ccstream_services::postgres::tables::Tables;
use pyo3::prelude::*;

use crate::record::record;
use crate::run::ask;
use crate::settings::database_url as url_of;

record!(
    /// Holds the counters of one partition of a group's topic, and a recount of its rows.
    PyPartitionReport, "PartitionReport", PartitionReport, {
        /// The consumer group.
        group: String = |one| one.group.clone(),
        /// The topic.
        topic: String = |one| one.topic.clone(),
        /// The partition's number.
        partition: i32 = |one| one.partition,
        /// The offset of the next message to read.
        next_offset: i64 = |one| one.next_offset,
        /// The counter of messages read since the first run or a start over: ``stored + duplicate + rejected``.
        consumed: i64 = |one| one.counters.consumed,
        /// The counter of rows inserted into ``orders`` since the first run or a start over.
        stored: i64 = |one| one.counters.stored,
        /// The counter of messages whose id was already in ``orders``.
        duplicate: i64 = |one| one.counters.duplicate,
        /// The counter of messages that became dead letters.
        rejected: i64 = |one| one.counters.rejected,
        /// The counter of offsets that could not be read: deleted by the topic's retention, or skipped as unreadable.
        missing: i64 = |one| one.counters.missing,
        /// The recounted number of rows in ``orders`` from a partition of this number, whatever its topic and group.
        rows: i64 = |one| one.rows,
        /// The recounted number of the partition's dead letters in ``rejected_events``.
        kept: i64 = |one| one.kept,
    }
);
record!(
    /// Reports how the counters and totals compare with a recount by SQL in one snapshot.
    PyVerifyReport, "VerifyReport", VerifyReport, {
        /// The reports of all partitions, ordered by group, topic and partition.
        partitions: Vec<PyPartitionReport> = |report| report.partitions.iter().cloned().map(PyPartitionReport).collect(),
        /// The number of compared cells of ``kpi_minute`` and ``rejected_counts``.
        cells: i64 = |report| report.cells,
        /// The number of the KPI engine's figures that were compared with PostgreSQL's own; 0 with ``counters_only``.
        figures: u64 = |report| report.figures,
        /// The number of rows in ``orders`` that another program inserted. No counter includes them.
        foreign_rows: i64 = |report| report.foreign_rows,
        /// The number of stored rows that were deleted as expired: all rows of the oldest minutes, and no others.
        expired_rows: i64 = |report| report.expired_rows,
        /// The minute before which rows have expired, in microseconds since 1970 UTC; None if none have.
        expired_before: Option<i64> = |report| report.expired_before,
        /// The number of scores that were computed again from ``orders`` and ``labels``, and compared bit for bit.
        scores: i64 = |report| report.scores,
        /// The number of scores that were not compared.
        ///
        /// Their transaction, or an earlier one, is not in ``orders``, or their model cannot be used.
        scores_not_compared: i64 = |report| report.scores_not_compared,
        /// The number of labels that were applied again.
        labels: i64 = |report| report.labels,
        /// The number of rows of the tables of windows that were compared with a recount.
        window_rows: i64 = |report| report.window_rows,
        /// Descriptions of the differences, each with both figures; empty if everything agrees.
        problems: Vec<String> = |report| report.problems.clone(),
    }
);

/// Compares the counters and totals with a recount of the rows, in one snapshot. Consumers may run meanwhile.
///
/// The function releases the GIL. Ctrl-C raises ``KeyboardInterrupt`` at once, and PostgreSQL 14 or later
/// cancels the query.
///
/// Args:
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///     counters_only: Leaves out the figures of the KPI engine, which take long. Default False.
///     analysis: Computes all scores and the state of the analysis again, where its tables exist. Default True.
///
/// Returns:
///     The counters and their recount. Differences raise nothing: they are in the report's ``problems``.
///
/// Raises:
///     ConfigError: The URL cannot be used.
///     PostgresError: The database cannot be reached or read.
///     SchemaError: The tables do not exist yet, or cannot be used.
///
/// Example:
///     >>> ccstream.verify().problems
///     []
#[pyfunction]
#[pyo3(signature = (*, database_url=None, counters_only=false, analysis=true))]
pub(crate) fn verify(
    py: Python<'_>,
    database_url: Option<String>,
    counters_only: bool,
    analysis: bool,
) -> PyResult<PyVerifyReport> {
    let (url, tables) = (url_of(py, database_url)?, Tables::default());
    ask(py, || count_again(&url, &tables, counters_only, analysis)).map(PyVerifyReport)
}
