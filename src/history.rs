//! Defines what training and backtests need: the features and scores of transactions that were scored before.

use std::path::PathBuf;

use ccstream_analysis::features::{COUNT, DEFINITIONS};
use ccstream_analysis::version;
use ccstream_core::event::Micros;
use ccstream_core::validate::parse_moment;
use ccstream_services::analyze::{Known, Replay, known, replay};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::errors::{Raise, bad_argument};
use crate::run::{Interrupt, run_blocking};
use crate::settings::database_url as url_of;

/// Reads a moment.
pub(crate) fn moment(name: &'static str, text: &str) -> PyResult<Micros> {
    parse_moment(text).map_err(|why| bad_argument(name, format!("{text:?} {why}")))
}

/// Collects what was computed again, a row for each transaction.
#[derive(Default)]
struct Columns {
    ids: Vec<String>,
    features: Vec<f32>,
    frauds: Vec<bool>,
    times: Vec<i64>,
    cards: Vec<i64>,
    scores: Vec<f64>,
}

/// Holds the features of transactions, and which of them are known to be frauds.
///
/// ``ccstream.training`` trains models from it.
#[pyclass(frozen, name = "FeatureHistory", module = "ccstream")]
pub(crate) struct PyFeatureHistory {
    features: Py<PyArray2<f32>>,
    labels: Py<PyArray1<bool>>,
    times: Py<PyArray1<i64>>,
    cards: Py<PyArray1<i64>>,
    as_of: i64,
    maturity: i64,
    names: Vec<&'static str>,
    version: &'static str,
}

#[pymethods]
impl PyFeatureHistory {
    /// The features, a row for each transaction and a column for each feature; NaN is a missing value.
    #[getter]
    fn features(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.features.clone_ref(py)
    }
    /// Whether each transaction is known to be a fraud.
    #[getter]
    fn labels(&self, py: Python<'_>) -> Py<PyArray1<bool>> {
        self.labels.clone_ref(py)
    }
    /// The times of the transactions, in microseconds since 1970 UTC.
    #[getter]
    fn times(&self, py: Python<'_>) -> Py<PyArray1<i64>> {
        self.times.clone_ref(py)
    }
    /// A number for the card of each transaction; 0 without a card.
    #[getter]
    fn cards(&self, py: Python<'_>) -> Py<PyArray1<i64>> {
        self.cards.clone_ref(py)
    }
    /// The time up to which labels are known, in microseconds since 1970 UTC.
    #[getter]
    fn as_of(&self) -> i64 {
        self.as_of
    }
    /// The age after which nine of ten frauds are labelled, in microseconds. It is 7 days without labels.
    ///
    /// Features that depend on it were computed with it.
    #[getter]
    fn maturity(&self) -> i64 {
        self.maturity
    }
    /// The names of the features, in the order of the columns.
    #[getter]
    fn names(&self) -> Vec<&'static str> {
        self.names.clone()
    }
    /// The version of the features. A model of another version cannot be used.
    #[getter]
    fn version(&self) -> &'static str {
        self.version
    }
    fn __repr__(&self, py: Python<'_>) -> String {
        format!("FeatureHistory({} transactions, {COUNT} features)", self.times.bind(py).len().unwrap_or_default())
    }
}

/// Computes the features of all scored transactions, in the order in which they were scored.
///
/// Features use only what was known at the time of each transaction. The function releases the GIL.
///
/// Args:
///     as_of: The time up to which labels are known, in the format of RFC 3339 or ISO 8601 (UTC unless it has an
///         offset).
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///
/// Returns:
///     One row for each transaction before ``as_of``.
///
/// Raises:
///     ConfigError: The URL or the time cannot be used.
///     PostgresError: The database cannot be reached or read.
///     SchemaError: Scored transactions are not in ``orders``.
///
/// Example:
///     >>> history = ccstream.feature_history("2099-01-01")
///     >>> history.features.shape == (len(history.times), len(history.names))
///     True
#[pyfunction]
#[pyo3(signature = (as_of, *, database_url=None))]
pub(crate) fn feature_history(py: Python<'_>, as_of: &str, database_url: Option<String>) -> PyResult<PyFeatureHistory> {
    let (url, until) = (url_of(py, database_url)?, moment("as_of", as_of)?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    let (columns, maturity) = run_blocking(py, &stop, Interrupt::Drains, move || {
        let Known { frauds, maturity } = known(&url, until).raise()?;
        let again = Replay { database_url: url, model: None, maturity: Some(maturity) };
        let mut columns = Columns::default();
        replay(&again, &token, |one| {
            if one.time < until {
                columns.features.extend_from_slice(&one.features.0);
                columns.frauds.push(frauds.contains(&one.id));
                columns.times.push(one.time.0);
                columns.cards.push(one.card.unwrap_or_default() as i64);
            }
        })
        .raise()?;
        Ok((columns, maturity))
    })?;
    let rows = columns.times.len();
    Ok(PyFeatureHistory {
        features: columns.features.into_pyarray(py).reshape([rows, COUNT])?.unbind(),
        labels: columns.frauds.into_pyarray(py).unbind(),
        times: columns.times.into_pyarray(py).unbind(),
        cards: columns.cards.into_pyarray(py).unbind(),
        as_of: until.0,
        maturity,
        names: DEFINITIONS.iter().map(|definition| definition.name).collect(),
        version: version(),
    })
}

/// Holds the scores that a model gives to transactions of the past.
#[pyclass(frozen, name = "Backtest", module = "ccstream")]
pub(crate) struct PyBacktest {
    ids: Vec<String>,
    scores: Py<PyArray1<f64>>,
    labels: Py<PyArray1<bool>>,
    times: Py<PyArray1<i64>>,
    cards: Py<PyArray1<i64>>,
}

#[pymethods]
impl PyBacktest {
    /// The ids of the transactions, as in ``orders``.
    #[getter]
    fn ids(&self) -> Vec<String> {
        self.ids.clone()
    }
    /// The score of each transaction: the probability that it is a fraud.
    #[getter]
    fn scores(&self, py: Python<'_>) -> Py<PyArray1<f64>> {
        self.scores.clone_ref(py)
    }
    /// Whether each transaction is known to be a fraud, by all labels.
    #[getter]
    fn labels(&self, py: Python<'_>) -> Py<PyArray1<bool>> {
        self.labels.clone_ref(py)
    }
    /// The times of the transactions, in microseconds since 1970 UTC.
    #[getter]
    fn times(&self, py: Python<'_>) -> Py<PyArray1<i64>> {
        self.times.clone_ref(py)
    }
    /// A number for the card of each transaction; 0 without a card.
    #[getter]
    fn cards(&self, py: Python<'_>) -> Py<PyArray1<i64>> {
        self.cards.clone_ref(py)
    }
    fn __repr__(&self) -> String {
        format!("Backtest({} transactions)", self.ids.len())
    }
}

/// Scores transactions of the past by a model, each with the labels that were known at its time.
///
/// The scores are those that the analyzer would have given, bit for bit. The function releases the GIL.
///
/// Args:
///     model: The model file, or the name of a model in the table ``models``; None for the rules.
///     start: The time from which transactions are scored, in the format of RFC 3339 or ISO 8601. Default: none.
///     end: The time before which transactions are scored. Default: none.
///     database_url: The database. Default: ``DATABASE_URL``, else the one of ``docker-compose.yml``.
///
/// Returns:
///     The scores.
///
/// Raises:
///     ConfigError: The model, the URL or a time cannot be used.
///     PostgresError: The database cannot be reached or read.
///     SchemaError: Scored transactions are not in ``orders``.
///
/// Example:
///     >>> ccstream.backtest(None, start="2026-01-01")
///     Backtest(5000 transactions)
#[pyfunction]
#[pyo3(signature = (model, *, start=None, end=None, database_url=None))]
pub(crate) fn backtest(
    py: Python<'_>,
    model: Option<PathBuf>,
    start: Option<&str>,
    end: Option<&str>,
    database_url: Option<String>,
) -> PyResult<PyBacktest> {
    let from = start.map_or(Ok(Micros(i64::MIN)), |text| moment("start", text))?;
    let until = end.map_or(Ok(Micros(i64::MAX)), |text| moment("end", text))?;
    let (url, stop) = (url_of(py, database_url)?, CancellationToken::new());
    let token = stop.clone();
    let columns = run_blocking(py, &stop, Interrupt::Drains, move || {
        let Known { frauds, .. } = known(&url, Micros::END).raise()?;
        let again = Replay { database_url: url, model, maturity: None };
        let mut columns = Columns::default();
        replay(&again, &token, |one| {
            if (from..until).contains(&one.time) {
                columns.frauds.push(frauds.contains(&one.id));
                columns.ids.push(one.id);
                columns.scores.push(one.score);
                columns.times.push(one.time.0);
                columns.cards.push(one.card.unwrap_or_default() as i64);
            }
        })
        .raise()?;
        Ok(columns)
    })?;
    Ok(PyBacktest {
        ids: columns.ids,
        scores: columns.scores.into_pyarray(py).unbind(),
        labels: columns.frauds.into_pyarray(py).unbind(),
        times: columns.times.into_pyarray(py).unbind(),
        cards: columns.cards.into_pyarray(py).unbind(),
    })
}
