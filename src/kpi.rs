//! `ccstream.KpiEngine`: questions in Python's words.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ccstream_core::decimal;
use ccstream_core::event::Cents;
use ccstream_kpi::{By, Dimension, Filter, Grouping, Query, Window};
use ccstream_services::live::{Engine, EngineConfig, PartitionState, Reload, Status};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio_util::sync::CancellationToken;

use crate::answer::PyKpiAnswer;
use crate::errors::{Raise, bad_argument, exception};
use crate::inspect::record;
use crate::run::{Interrupt, run_blocking};
use crate::settings::database_url as url_of;

type Filters = HashMap<String, Vec<Option<String>>>;

/// Rows of `orders` in memory, which answer any question at once.
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
    #[staticmethod]
    #[pyo3(signature = (database_url=None, *, max_rows=None, max_days=None, interval=None, file=None))]
    fn from_database(
        py: Python<'_>,
        database_url: Option<String>,
        max_rows: Option<usize>,
        max_days: Option<u32>,
        interval: Option<Duration>,
        file: Option<PathBuf>,
    ) -> PyResult<Self> {
        let default = EngineConfig::default();
        let config = EngineConfig {
            database_url: url_of(py, database_url)?,
            max_rows: max_rows.unwrap_or(default.max_rows),
            max_days,
            interval: interval.unwrap_or(default.interval),
            file,
        };
        Ok(Self { engine: Arc::new(py.detach(|| Engine::start(config)).raise()?) })
    }

    #[pyo3(signature = (*, filters=None, min_amount=None, max_amount=None, last=None, start=None, end=None, by=None,
        currency=None, width=None, utc_offset=None, before=false, top=None))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only, as the stub documents them")]
    fn query(
        &self,
        py: Python<'_>,
        filters: Option<Filters>,
        min_amount: Option<&Bound<'_, PyAny>>,
        max_amount: Option<&Bound<'_, PyAny>>,
        last: Option<Duration>,
        start: Option<i64>,
        end: Option<i64>,
        by: Option<Bound<'_, PyDict>>,
        currency: Option<String>,
        width: Option<Duration>,
        utc_offset: Option<i32>,
        before: bool,
        top: Option<usize>,
    ) -> PyResult<PyKpiAnswer> {
        let window = match (last, start, end) {
            (Some(last), None, None) => Window::Last(micros(last)),
            (None, None, None) => Window::All,
            (None, Some(start), Some(end)) => Window::Between(start, end),
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
            utc_offset: utc_offset.unwrap_or_default(),
            before,
        };
        let answer = py.detach(|| self.engine.query(&query)).raise()?;
        Ok(PyKpiAnswer { answer, groupings: names.into_iter().zip(query.groupings).collect() })
    }

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
        let names = ["currency", "merchant", "category", "city", "country", "payment_method", "status"];
        for (at, name) in names.into_iter().enumerate() {
            found.set_item(name, rows.iter().map(|row| row.names[at].as_deref()).collect::<Vec<_>>())?;
        }
        Ok(found)
    }

    fn values(&self, py: Python<'_>, dimension: &str) -> PyResult<Vec<Option<String>>> {
        let dimension = named(dimension)?;
        Ok(py.detach(|| self.engine.values(dimension)))
    }

    #[getter]
    fn status(&self) -> PyKpiStatus {
        PyKpiStatus(self.engine.status())
    }

    #[pyo3(signature = (timeout=None))]
    fn refresh(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<bool> {
        let limit = timeout.unwrap_or(Duration::from_secs(60));
        let (engine, stop) = (Arc::clone(&self.engine), CancellationToken::new());
        let theirs = stop.clone();
        let refresh = move || engine.refresh(limit, &theirs).map_err(|failure| exception(&failure));
        run_blocking(py, &stop, Interrupt::Drains, refresh)
    }

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

/// What does not fit is more than may be asked.
fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

fn named(name: &str) -> PyResult<Dimension> {
    let known = || Dimension::ALL.map(Dimension::name).join(", ");
    Dimension::named(name)
        .ok_or_else(|| bad_argument("by", format!("there is no dimension {name:?}; there are {}", known())))
}

fn filter(
    filters: Option<Filters>,
    min_amount: Option<&Bound<'_, PyAny>>,
    max_amount: Option<&Bound<'_, PyAny>>,
) -> PyResult<Filter> {
    let only = filters.unwrap_or_default().into_iter();
    let only = only.map(|(name, values)| Ok((named(&name)?, values.into_iter().collect())));
    let filter = Filter {
        only: only.collect::<PyResult<_>>()?,
        min_cents: min_amount.map(|amount| cents("min_amount", amount)).transpose()?,
        max_cents: max_amount.map(|amount| cents("max_amount", amount)).transpose()?,
    };
    filter.validate().raise()?;
    Ok(filter)
}

/// An amount of any type whose text is a number, to the cent.
fn cents(field: &'static str, amount: &Bound<'_, PyAny>) -> PyResult<i64> {
    let text = amount.str()?.to_string();
    decimal::scaled(&text, 2, Cents::MAX.0 as u64)
        .map_err(|_| bad_argument(field, format!("{text:?} is no amount with at most two decimals")))
}

fn grouping(name: &str, more: &[String], top: Option<usize>) -> PyResult<Grouping> {
    let by = match name.split_once(':') {
        Some(("trend", dimension)) => By::Trend(named(dimension)?),
        _ => match name {
            "time" => By::Time,
            "hour_of_week" => By::Week,
            "amount" => By::Amount,
            _ => By::Dimension(named(name)?),
        },
    };
    let mut grouping = Grouping { top, ..Grouping::new(by) };
    for measure in more {
        match measure.as_str() {
            "min" | "max" => grouping.extremes = true,
            "p50" | "p95" | "p99" => grouping.percentiles = true,
            "cards" => grouping.cards = true,
            "approved" | "with_status" | "declined" | "risky" | "approved_share" => grouping.outcomes = true,
            "count" | "amounts" | "sum" | "mean" | "rate" => {}
            _ => return Err(bad_argument("by", format!("there is no measure {measure:?}"))),
        }
    }
    Ok(grouping)
}

record!(
    /// How an engine stands.
    PyKpiStatus, "KpiStatus", Status, {
        rows: u64 = |status| status.rows,
        loaded: f64 = |status| status.loaded,
        snapshot_at: Option<i64> = |status| status.snapshot_at,
        trouble: Option<String> = |status| status.trouble.as_ref().map(|(text, _)| text.clone()),
        trouble_for: Option<Duration> = |status| status.trouble.as_ref().map(|(_, since)| since.elapsed()),
        no_tables: bool = |status| status.no_tables,
        foreign_rows: u64 = |status| status.foreign_rows,
        odd_amounts: u64 = |status| status.odd_amounts,
        first_at: Option<i64> = |status| status.first_at,
        dropped_until: Option<i64> = |status| status.dropped_until,
        lacking_rows: i64 = |status| status.lacking_rows,
        reloads: u64 = |status| status.reloads,
        outdated: bool = |status| status.outdated,
        reload: Option<&'static str> = |status| status.reload.map(Reload::in_words),
        rows_from_file: u64 = |status| status.rows_from_file,
        bytes: u64 = |status| status.bytes,
        consumers: i64 = |status| status.consumers,
        no_consumer_since: Option<i64> = |status| status.no_consumer_since,
        role: Option<String> = |status| status.role.clone(),
        rejected: Vec<(String, i64)> = |status| status.trust.rejected.clone(),
        latency_ms: Option<[i64; 3]> = |status| status.trust.latency_ms,
        latency_events: i64 = |status| status.trust.latency_events,
        partitions: Vec<PyPartitionState> = |status| status.partitions.iter().cloned().map(PyPartitionState).collect(),
    }
);
record!(
    /// A partition of a group's topic as the snapshot has it.
    PyPartitionState, "PartitionState", PartitionState, {
        group: String = |one| one.group.clone(),
        topic: String = |one| one.topic.clone(),
        partition: i32 = |one| one.partition,
        next_offset: i64 = |one| one.next_offset,
        consumed: i64 = |one| one.counters.consumed,
        stored: i64 = |one| one.counters.stored,
        duplicate: i64 = |one| one.counters.duplicate,
        rejected: i64 = |one| one.counters.rejected,
        missing: i64 = |one| one.counters.missing,
        updated_at: i64 = |one| one.updated_at,
    }
);
