//! `ccstream.KpiEngine`: questions in Python's words.

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

/// Holds the rows of ``orders`` in memory, about 20 bytes each, and answers any question from them at once, exactly.
///
/// A thread reads the table, newest rows first, and then follows it, one snapshot of the database at a time. A question
/// that is asked again costs the rows that came since, and where ``last`` moves on also those that left; but with
/// ``cards``, ``min`` or ``max`` of a dimension in such a range, all of its rows. Every method may be called from any
/// thread.
///
/// Rows that somebody deletes or changes are noticed by PostgreSQL's statistics. A hot standby and a server with
/// ``track_counts = off`` do not keep those: there such rows stay as they were.
///
/// Example:
///     >>> with ccstream.KpiEngine.from_database() as engine:  # doctest: +SKIP
///     ...     engine.refresh()
///     ...     answer = engine.query(by={"category": ["p95"]}, last=timedelta(days=1), top=5)
///     ...     print(answer.totals["count"], answer["category"]["key"])
#[pyclass(frozen, name = "KpiEngine", module = "ccstream")]
pub(crate) struct PyKpiEngine {
    engine: Arc<Engine>,
}

impl Drop for PyKpiEngine {
    /// The engine's thread may be about to log, for which it needs the interpreter that whoever drops this has.
    fn drop(&mut self) {
        let close = |py: Python<'_>| py.detach(|| self.engine.close());
        if Python::try_attach(close).is_none() {
            self.engine.close();
        }
    }
}

#[pymethods]
impl PyKpiEngine {
    /// Begins to read the table, and returns at once; :meth:`refresh` waits.
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
    ///     ConfigError: A setting is not usable.
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

    /// Answers from the last snapshot.
    ///
    /// Args:
    ///     filters: For a dimension, which :data:`ccstream.kpi.DIMENSIONS` lists, the value that counts, or a list of
    ///         them; None is an absent one, and ``risk`` is ``"true"`` or ``"false"``. Default: every row.
    ///     min_amount: The least amount, in units of the currency, with at most two decimals. Default: any.
    ///     max_amount: The greatest amount, likewise. Default: any.
    ///     last: The length of a range that ends with the snapshot. Its first and last bucket are then in part outside.
    ///     start: The beginning of the range, given with ``end``: an aware ``datetime``; a naive one, which is UTC; a
    ///         ``datetime64``, as in answers; or microseconds since 1970 UTC.
    ///     end: The end of the range, exclusive, likewise.
    ///     by: Groupings, each with the measures wanted beyond the usual ones. A grouping is a dimension, ``place``
    ///         (city and country with their coordinates), ``time``, ``hour_of_week``, ``amount`` (bins of 1, 2, 5), or
    ///         ``trend:`` and a dimension (counts by time). Measures are ``min``, ``max``, ``p50``, ``p95``, ``p99``,
    ///         ``cards`` and ``approved``. Default: totals alone.
    ///     currency: The currency whose amounts are added up; ``""``: amounts without one. Default: the one of most
    ///         rows.
    ///     width: The width of a bucket of time. Default: the smallest easily read one that makes about 60 buckets at
    ///         most.
    ///     tz: The time zone of buckets and of ``hour_of_week``, such as ``zoneinfo.ZoneInfo("Europe/Berlin")``.
    ///         Buckets begin at local midnight and at multiples of ``width`` after it. A bucket in which the clocks
    ///         change is longer or shorter: a day has 23 or 25 hours. If they change by a multiple of ``width``, every
    ///         bucket keeps its width, and an hour that comes twice has separate buckets each time. Offsets before 1970
    ///         and after 2100 are those of these years. Default: UTC.
    ///     before: Measures the range of equal length before, too. Default False.
    ///     top: The number of groups of each dimension, those with the most rows. Default: all.
    ///
    /// Returns:
    ///     The figures of one moment of the database.
    ///
    /// Raises:
    ///     ConfigError: The question cannot be asked; the message names the argument and why.
    ///
    /// Example:
    ///     >>> hour = engine.query(filters={"status": "declined"}, last=timedelta(hours=1))  # doctest: +SKIP
    ///     >>> hour.totals["count"]  # doctest: +SKIP
    ///     12
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
            (None, ..) => return Err(bad_argument("start", "give start and end, or neither")),
            (Some(_), ..) => return Err(bad_argument("last", "give last, or start and end")),
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

    /// Returns the rows that were stored last, the newest first.
    ///
    /// Args:
    ///     count: The greatest number of rows. Default 10.
    ///     filters: The values of each dimension that count, as :meth:`query` takes them. Default: every row.
    ///     min_amount: The least amount, in units of the currency, with at most two decimals. Default: any.
    ///     max_amount: The greatest amount, likewise. Default: any.
    ///
    /// Returns:
    ///     Lists of one length: ``time`` (microseconds since 1970 UTC), ``cents``, and one for each dimension that
    ///     :data:`ccstream.kpi.DIMENSIONS` lists; None where unknown.
    ///
    /// Raises:
    ///     ConfigError: A filter cannot be used.
    ///
    /// Example:
    ///     >>> engine.latest(2)["merchant"]  # doctest: +SKIP
    ///     ['Blue Bottle Coffee', 'Whole Foods']
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

    /// Lists the values that a dimension has, in alphabetical order, then None if some row has none.
    ///
    /// Args:
    ///     dimension: Its name, as in ``filters``.
    ///
    /// Returns:
    ///     The values.
    ///
    /// Raises:
    ///     ConfigError: There is no such dimension.
    ///
    /// Example:
    ///     >>> engine.values("status")  # doctest: +SKIP
    ///     ['approved', 'declined', None]
    fn values(&self, py: Python<'_>, dimension: &str) -> PyResult<Vec<Option<String>>> {
        let dimension = named(dimension)?;
        Ok(py.detach(|| self.engine.values(dimension)))
    }

    /// The engine's state at this moment.
    #[getter]
    fn status(&self) -> PyKpiStatus {
        PyKpiStatus(self.engine.status())
    }

    /// Reads the database now and waits until answers are of that moment; the first time, until all rows are read.
    ///
    /// The interpreter is detached. Ctrl-C raises ``KeyboardInterrupt`` at once; the engine goes on reading.
    ///
    /// Args:
    ///     timeout: The longest wait. Default 60 s.
    ///
    /// Returns:
    ///     False where it took longer; answers are then of the rows that have been read so far.
    ///
    /// Raises:
    ///     PostgresError: The database cannot be reached or read. The rows of the last reading stay.
    ///     SchemaError: There are no tables yet.
    ///
    /// Example:
    ///     >>> engine.refresh()  # doctest: +SKIP
    ///     True
    #[pyo3(signature = (timeout=None))]
    fn refresh(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<bool> {
        let limit = timeout.unwrap_or(Duration::from_secs(60));
        let (engine, stop) = (Arc::clone(&self.engine), CancellationToken::new());
        let theirs = stop.clone();
        let refresh = move || engine.refresh(limit, &theirs).map_err(|failure| exception(&failure));
        run_blocking(py, &stop, Interrupt::Drains, refresh)
    }

    /// Ends following; writes the file, if there is one. Answers stay as they are.
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
