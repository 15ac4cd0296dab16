//! Defines `ccstream.KpiEngine`.

use std::sync::Arc;
use std::time::Duration;

use ccstream_core::settings::EngineConfig;
use ccstream_kpi::rows::attribute::Attribute;
use ccstream_kpi::{Query, Window};
use ccstream_services::live::Engine;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::answer::PyKpiAnswer;
use crate::errors::{Raise, bad_argument, exception};
use crate::kpi_status::PyKpiStatus;
use crate::question::{Filters, filter, grouping, micros, moment, named, offsets};
use crate::run::{Interrupt, run_blocking};
use crate::settings::Arguments;

/// Holds the rows of ``orders`` in memory, about 20 bytes each, and answers queries from there.
///
/// All figures are exact, except percentiles of groups, which are within 1 %. A thread reads the table, newest rows
/// first, and then follows it, one snapshot of the database at a time. Any thread may call any method.
///
/// A repeated query visits only rows that are new since the last time and, if ``last`` moves its range, rows that have
/// left the range. With ``cards``, ``min`` or ``max`` of a dimension, a moved range is visited completely.
///
/// The engine notices deleted and changed rows by PostgreSQL's statistics. A hot standby and a server with
/// ``track_counts = off`` have none, so there the engine continues to count such rows with their old values.
///
/// Example:
///     >>> with ccstream.KpiEngine.from_database() as engine:
///     ...     ready = engine.refresh()
///     ...     answer = engine.query(by={"category": ["p95"]}, last=timedelta(days=1), top=5)
///     >>> ready, answer.totals["count"], len(answer["category"]["key"])
///     (True, 5000, 5)
#[pyclass(frozen, name = "KpiEngine", module = "ccstream")]
pub(crate) struct PyKpiEngine {
    engine: Arc<Engine>,
}

impl Drop for PyKpiEngine {
    /// Closes the engine with the interpreter detached: the engine's thread may be about to log, for which it needs the
    /// interpreter, and the caller holds it.
    fn drop(&mut self) {
        let close = |py: Python<'_>| py.detach(|| self.engine.close());
        if Python::try_attach(close).is_none() {
            self.engine.close();
        }
    }
}

#[pymethods]
impl PyKpiEngine {
    /// Starts an engine, which reads the table in the background, and returns at once; :meth:`refresh` waits for it.
    ///
    /// Args:
    // generated: settings of engine
    ///     database_url: The URL of the database, as ``postgresql://user:password@host:port/database``. Default:
    ///         ``DATABASE_URL``, else ``kafka_db`` on ``localhost:5434``, as in ``docker-compose.yml``.
    ///     max_rows: The maximum number of rows held, about 20 bytes each; the oldest are evicted first. At least
    ///         65,536. Default: ``CCSTREAM_KPI_ROWS``, else 20,000,000.
    ///     max_bytes: The maximum number of bytes of the rows, the names and the counts of queries together. Beyond it,
    ///         the oldest rows are evicted, and the rarest names are counted together as ``(others)``. At least
    ///         8,388,608. Default: ``CCSTREAM_KPI_MEMORY``, else 1,073,741,824.
    ///     max_days: The maximum age of rows in days, by their timestamps. Older rows are evicted in blocks of 65,536.
    ///         From 1 to 1,000,000. Default: all.
    ///     interval: The time between two reads of the database. From 10 to 86,400,000 ms. Default 500 ms.
    ///     file: The file in which the columns are saved, so that the next start reads only new rows. Default: none.
    // generated, to here
    ///
    /// Returns:
    ///     An engine, to be closed with :meth:`close` or ``with``.
    ///
    /// Raises:
    ///     ConfigError: A setting cannot be used; the message names it.
    ///     TypeError: A setting has the wrong type, or there is no such setting.
    // generated: signature of engine
    #[pyo3(signature = (database_url=None, **settings))]
    #[pyo3(text_signature = "(database_url=None, *, max_rows=None, max_bytes=None, max_days=None, interval=None, \
            file=None)")]
    // generated, to here
    #[staticmethod]
    fn from_database(
        py: Python<'_>,
        database_url: Option<Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let arguments = Arguments::new(py, settings)?;
        arguments.give("database_url", database_url)?;
        let config: EngineConfig = arguments.take()?;
        arguments.end("from_database()")?;
        Ok(Self { engine: Arc::new(py.detach(|| Engine::start(config)).raise()?) })
    }

    /// Answers a query from the last snapshot.
    ///
    /// Args:
    ///     filters: A mapping from dimensions, which :data:`ccstream.kpi.DIMENSIONS` lists, to the selected value or an
    ///         iterable of values. The value None selects rows without one; ``risk`` has the values ``"true"`` and
    ///         ``"false"``, and ``segment`` the names of the merchants' current segments. Default: every row.
    ///     min_amount: The minimum amount (inclusive) in units of the currency, with at most two decimals: a number, a
    ///         ``Decimal`` or a text. Default: any.
    ///     max_amount: The maximum amount (inclusive), like ``min_amount``. Default: any.
    ///     last: The length of a range that ends at the snapshot, as a ``timedelta``. Its first and last time buckets
    ///         may be partly outside the range. Default: all of time, unless ``start`` and ``end`` are given.
    ///     start: The start of the range (inclusive); requires ``end``. It is an aware ``datetime``, a naive one in
    ///         UTC, a ``datetime64`` as in answers, or an int of microseconds since 1970 UTC.
    ///     end: The end of the range (exclusive), like ``start``.
    ///     by: A dict from groupings to lists of additional measures. A grouping is a dimension, ``place`` (city and
    ///         country with coordinates), ``time``, ``hour_of_week``, ``amount`` (bins whose edges are 1, 2 and 5 times
    ///         powers of ten), or ``trend:`` followed by a dimension (counts by time). Measures are ``min``, ``max``,
    ///         ``p50``, ``p95``, ``p99``, ``cards`` and ``approved``. Default: no groupings, only totals.
    ///     currency: The currency of all amounts; ``""`` for amounts of rows without a currency. Default: the currency
    ///         with the most rows.
    ///     width: The width of a time bucket, as a ``timedelta``. Default: the smallest round width that makes at most
    ///         about 60 buckets.
    ///     tz: The time zone of time buckets and of ``hour_of_week``, as a ``tzinfo`` such as
    ///         ``zoneinfo.ZoneInfo("Europe/Berlin")``. Buckets start at local midnight and at multiples of ``width``
    ///         after it. A bucket in which the clocks change is longer or shorter: a day may have 23 or 25 hours. If
    ///         the clocks change by a multiple of ``width``, every bucket keeps its width, and an hour that occurs
    ///         twice has separate buckets. Offsets before 1970 and after 2100 are those of these years. Default: UTC.
    ///     before: Whether to measure the preceding range of equal length too. Default False.
    ///     top: The maximum number of groups of each dimension, those with the most rows. Default: all.
    ///
    /// Returns:
    ///     The figures, all from one snapshot of the database.
    ///
    /// Raises:
    ///     ConfigError: The query cannot be answered; the message names the argument and the reason.
    ///     TypeError: An argument has the wrong type.
    ///
    /// Example:
    ///     >>> day = engine.query(filters={"status": "declined"}, last=timedelta(days=1))
    ///     >>> day.totals["approved_share"]
    ///     0.0
    #[pyo3(signature = (*, filters=None, min_amount=None, max_amount=None, last=None, start=None, end=None, by=None,
        currency=None, width=None, tz=None, before=false, top=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only, as the stub documents them")]
    fn query(
        &self,
        py: Python<'_>,
        filters: Option<Filters>,
        min_amount: Option<&Bound<'_, PyAny>>,
        max_amount: Option<&Bound<'_, PyAny>>,
        last: Option<Duration>,
        start: Option<&Bound<'_, PyAny>>,
        end: Option<&Bound<'_, PyAny>>,
        by: Option<Bound<'_, PyDict>>,
        currency: Option<String>,
        width: Option<Duration>,
        tz: Option<Bound<'_, PyAny>>,
        before: bool,
        top: Option<usize>,
    ) -> PyResult<PyKpiAnswer> {
        let window = match (last, start, end) {
            (Some(last), None, None) => Window::Last(micros(last)),
            (None, None, None) => Window::All,
            (None, Some(start), Some(end)) => Window::Between(moment("start", start)?, moment("end", end)?),
            (None, ..) => return Err(bad_argument("start", "give both start and end, or neither")),
            (Some(_), ..) => return Err(bad_argument("last", "give either last, or start and end")),
        };
        let groupings = by.map(|by| by.iter().map(|(name, more)| Ok((name.extract()?, more.extract()?))).collect());
        let groupings: Vec<(String, Vec<String>)> = groupings.unwrap_or_else(|| PyResult::Ok(Vec::new()))?;
        let names: Vec<String> = groupings.iter().map(|(name, _)| name.clone()).collect();
        let query = Query {
            filter: filter(filters, min_amount, max_amount)?,
            window,
            currency: currency.map(|name| Some(name).filter(|name| !name.is_empty())),
            groupings: groupings.iter().map(|(name, more)| grouping(name, more, top)).collect::<PyResult<_>>()?,
            width: width.map(micros),
            offsets: tz.as_ref().map(offsets).transpose()?.unwrap_or_default(),
            before,
        };
        let answer = py.detach(|| self.engine.query(&query)).raise()?;
        Ok(PyKpiAnswer {
            answer,
            groupings: names.into_iter().zip(query.groupings).collect(),
            zone: tz.map(Bound::unbind),
        })
    }

    /// Returns the most recently stored rows, newest first.
    ///
    /// Args:
    ///     count: The maximum number of rows. Default 10.
    ///     filters: The selected values of each dimension, as for :meth:`query`. Default: every row.
    ///     min_amount: The minimum amount, as for :meth:`query`. Default: any.
    ///     max_amount: The maximum amount, as for :meth:`query`. Default: any.
    ///
    /// Returns:
    ///     A dict of lists of one length: ``time`` (event times in microseconds since 1970 UTC), ``cents``, and one for
    ///     each dimension that :data:`ccstream.kpi.DIMENSIONS` lists. Unknown values are None.
    ///
    /// Raises:
    ///     ConfigError: A filter cannot be used.
    ///
    /// Example:
    ///     >>> rows = engine.latest(2, filters={"status": "approved"})
    ///     >>> rows["status"]
    ///     ['approved', 'approved']
    #[pyo3(signature = (count=10, *, filters=None, min_amount=None, max_amount=None))]
    fn latest<'py>(
        &self,
        py: Python<'py>,
        count: usize,
        filters: Option<Filters>,
        min_amount: Option<&Bound<'py, PyAny>>,
        max_amount: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let filter = filter(filters, min_amount, max_amount)?;
        let rows = py.detach(|| self.engine.latest(&filter, count));
        let found = PyDict::new(py);
        found.set_item("time", rows.iter().map(|row| row.time).collect::<Vec<_>>())?;
        found.set_item("cents", rows.iter().map(|row| row.cents).collect::<Vec<_>>())?;
        for (at, attribute) in Attribute::dimensions().enumerate() {
            found.set_item(
                attribute.definition().name,
                rows.iter().map(|row| row.names[at].as_deref()).collect::<Vec<_>>(),
            )?;
        }
        Ok(found)
    }

    /// Lists the values of a dimension that rows in memory have.
    ///
    /// Args:
    ///     dimension: The dimension's name, as in ``filters``.
    ///
    /// Returns:
    ///     The values in alphabetical order, followed by None if some row has no value.
    ///
    /// Raises:
    ///     ConfigError: There is no such dimension.
    ///
    /// Example:
    ///     >>> "approved" in engine.values("status")
    ///     True
    fn values(&self, py: Python<'_>, dimension: &str) -> PyResult<Vec<Option<String>>> {
        let dimension = named(dimension)?;
        Ok(py.detach(|| self.engine.values(dimension)))
    }

    /// The engine's present state.
    #[getter]
    fn status(&self) -> PyKpiStatus {
        PyKpiStatus(self.engine.status())
    }

    /// Takes a new snapshot of the database and waits until answers are from it.
    ///
    /// The first time, it waits until all rows are read. The method releases the GIL. Ctrl-C raises
    /// ``KeyboardInterrupt`` within a second; the engine continues to read.
    ///
    /// Args:
    ///     timeout: The longest time to wait, as a ``timedelta``. Default 60 s.
    ///
    /// Returns:
    ///     True if answers are from the new snapshot; False after the timeout, or if the engine is closed. The first
    ///     answers after a timeout include only the rows that have been read until then.
    ///
    /// Raises:
    ///     PostgresError: The database cannot be reached or read. The figures of the last snapshot stay available.
    ///     SchemaError: The tables do not exist yet, or cannot be used.
    ///
    /// Example:
    ///     >>> engine.refresh(timeout=timedelta(seconds=30))
    ///     True
    #[pyo3(signature = (timeout=None))]
    fn refresh(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<bool> {
        let limit = timeout.unwrap_or(Duration::from_secs(60));
        let (engine, stop) = (Arc::clone(&self.engine), CancellationToken::new());
        let theirs = stop.clone();
        let refresh = move || engine.refresh(limit, &theirs).map_err(|failure| exception(&failure));
        run_blocking(py, &stop, Interrupt::Drains, refresh)
    }

    /// Stops following the database, and writes the column file if there is one.
    ///
    /// The engine continues to answer queries from the last snapshot.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.engine.close());
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(&self, py: Python<'_>, _type: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        let status = self.engine.status();
        format!("KpiEngine(rows={}, loaded={:.2})", status.rows, status.loaded)
    }
}
