//! Defines `ccstream.Detector`, which scores transactions in memory, and what it returns.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ccstream_analysis::event::{Event, Seen};
use ccstream_analysis::features::{COUNT, DEFINITIONS, Features};
use ccstream_core::event::Micros;
use ccstream_core::settings::AnalyzerConfig;
use ccstream_core::validate::validate;
use ccstream_services::analyze::{Detected, Detector};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySlice, PyString};

use crate::errors::{Raise, bad_argument};
use crate::history::moment;

/// Scores transactions in memory as the analyzer does, without Kafka and PostgreSQL.
///
/// A detector remembers cards, merchants and terminals from one call to the next. Its scores equal the analyzer's, bit
/// for bit, if it has the same model, and gets the same transactions and labels in the same order from the beginning.
///
/// Args:
///     model: The model file, as ``ccstream train`` writes it, or ``habits-2``, the model that comes with ccstream for
///         streams of the simulated world. Default: None, the rules.
///     cards: The maximum number of cards that are remembered. Default: 1,000,000.
///     merchants: The maximum number of merchants that are remembered. Default: 100,000.
///
/// Raises:
///     ConfigError: The model or a number cannot be used.
///
/// Example:
///     >>> usual = {"card_token": "tok_1", "merchant": "Fig & Fern", "currency": "EUR"}
///     >>> amounts = ["20.00", "25.00", "19.50", "22.00", "180.00"]
///     >>> orders = [
///     ...     {"transaction_id": f"t{day}", "timestamp": f"2026-03-0{day}T12:00:00Z", "amount": amount, **usual}
///     ...     for day, amount in enumerate(amounts, 1)
///     ... ]
///     >>> detector = ccstream.Detector()
///     >>> found = detector.score(orders)
///     >>> found.scores.round(2).tolist()
///     [0.0, 0.0, 0.0, 0.0, 0.96]
///     >>> found.reasons[-1]
///     ["8.5 times this card's usual amount", "8.4 times this merchant's usual amount"]
#[pyclass(frozen, name = "Detector", module = "ccstream")]
pub(crate) struct PyDetector(Mutex<Detector>);

impl PyDetector {
    fn lock(&self) -> MutexGuard<'_, Detector> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyDetector {
    #[new]
    #[allow(clippy::needless_pass_by_value, reason = "pyo3 creates the path, and does not lend it")]
    #[pyo3(signature = (model=None, *, cards=None, merchants=None))]
    fn new(model: Option<PathBuf>, cards: Option<usize>, merchants: Option<usize>) -> PyResult<Self> {
        let default = AnalyzerConfig::default();
        let (cards, merchants) = (cards.unwrap_or(default.cards), merchants.unwrap_or(default.merchants));
        Ok(Self(Mutex::new(Detector::new(model.as_deref(), cards, merchants).raise()?)))
    }

    /// The name of the model: that of its file without the ending, or ``rules``.
    #[getter]
    fn model(&self) -> String {
        self.lock().model().to_owned()
    }
    /// The names of the features, in the order of the columns of ``Detection.features``.
    #[getter]
    #[allow(clippy::unused_self, reason = "a property of Python has self")]
    fn feature_names(&self) -> Vec<&'static str> {
        names()
    }
    /// The number of transactions that were scored.
    #[getter]
    fn transactions(&self) -> usize {
        self.lock().transactions()
    }
    /// The number of transactions that came after one of a later time. Sort the transactions if it is not 0.
    #[getter]
    fn late(&self) -> u64 {
        self.lock().late()
    }

    /// Scores transactions in their order, which has to be that of their times, and remembers them.
    ///
    /// Labels are applied in between, each as soon as the time of the transactions has reached its own.
    ///
    /// Args:
    ///     transactions: An iterable of mappings with the fields of a message, such as ``json.loads`` returns, or a
    ///         DataFrame with these columns (pandas, polars, or others through Arrow). A missing value of a
    ///         DataFrame is an absent field.
    ///
    /// Returns:
    ///     A row for each transaction.
    ///
    /// Raises:
    ///     ConfigError: A transaction is invalid, for a reason for which the consumer would reject it, or its id was
    ///         scored before. The message has its index. No transaction of the call is scored then. It is a
    ///         ``ValueError``.
    ///
    /// Example:
    ///     >>> order = {"transaction_id": "t9", "timestamp": "2026-03-09T12:00:00Z", "amount": 12.5}
    ///     >>> ccstream.Detector().score([order]).feature("amount").tolist()
    ///     [12.5]
    fn score(slf: &Bound<'_, Self>, transactions: &Bound<'_, PyAny>) -> PyResult<PyDetection> {
        let py = slf.py();
        let read = read(transactions)?;
        let this = slf.get();
        let (ids, times, found) = py.detach(|| {
            let mut detector = this.lock();
            if let Some(index) = detector.find_duplicate(&read) {
                let id = &read[index].0;
                return Err(refused(
                    index,
                    &format!("the id {id:?} was scored before; a new Detector scores it again"),
                ));
            }
            let found: Vec<Detected> = read.iter().map(|(id, seen)| detector.score(id, seen)).collect();
            let times: Vec<i64> = read.iter().map(|(_, seen)| seen.time).collect();
            Ok((read.into_iter().map(|(id, _)| id.into()).collect(), times, found))
        })?;
        let scores: Vec<f64> = found.iter().map(|one| one.score).collect();
        let features: Vec<f32> = found.iter().flat_map(|one| one.features.0).collect();
        Ok(PyDetection {
            detector: slf.clone().unbind(),
            ids,
            scores: scores.into_pyarray(py).unbind(),
            features: features.into_pyarray(py).reshape([found.len(), COUNT])?.unbind(),
            times: times.into_pyarray(py).unbind(),
        })
    }

    /// Adds a label: from a time on, it is known whether a transaction is a fraud.
    ///
    /// The label is applied before the first transaction at this time or later. Of several labels of a transaction, the
    /// one with the latest time counts. A second label with the same time is ignored. A label of a transaction that was
    /// not scored yet waits for it.
    ///
    /// Args:
    ///     transaction_id: The id of the transaction.
    ///     fraud: Whether it is a fraud. Only labels of frauds and corrections are needed. Default: True.
    ///     at: The time, as a ``datetime``, or in the format of RFC 3339 or ISO 8601; UTC unless it has an offset.
    ///         Default: the greatest time of a transaction so far.
    ///
    /// Raises:
    ///     ConfigError: The time cannot be used.
    ///
    /// Example:
    ///     >>> ccstream.Detector().label("t1", at="2026-03-09T12:00:00Z")
    #[pyo3(signature = (transaction_id, fraud=true, at=None))]
    fn label(&self, transaction_id: &str, fraud: bool, at: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let at = at.map(text_of).transpose()?.map(|text| moment("at", &text)).transpose()?;
        self.lock().label(transaction_id, fraud, at);
        Ok(())
    }

    fn __repr__(&self) -> String {
        let detector = self.lock();
        format!("Detector({}, {} transactions)", detector.model(), detector.transactions())
    }
}

/// Holds the scores, features and reasons of transactions that a :class:`Detector` has scored.
#[pyclass(frozen, name = "Detection", module = "ccstream")]
pub(crate) struct PyDetection {
    detector: Py<PyDetector>,
    ids: Vec<String>,
    scores: Py<PyArray1<f64>>,
    features: Py<PyArray2<f32>>,
    times: Py<PyArray1<i64>>,
}

#[pymethods]
impl PyDetection {
    /// The ids of the transactions.
    #[getter]
    fn ids(&self) -> Vec<String> {
        self.ids.clone()
    }
    /// The score of each transaction: the probability that it is a fraud, from 0 to 1.
    #[getter]
    fn scores(&self, py: Python<'_>) -> Py<PyArray1<f64>> {
        self.scores.clone_ref(py)
    }
    /// The features, a row for each transaction and a column for each feature; NaN is a missing value.
    #[getter]
    fn features(&self, py: Python<'_>) -> Py<PyArray2<f32>> {
        self.features.clone_ref(py)
    }
    /// The times of the transactions, in microseconds since 1970 UTC.
    #[getter]
    fn times(&self, py: Python<'_>) -> Py<PyArray1<i64>> {
        self.times.clone_ref(py)
    }
    /// The names of the features, in the order of the columns.
    #[getter]
    #[allow(clippy::unused_self, reason = "a property of Python has self")]
    fn names(&self) -> Vec<&'static str> {
        names()
    }
    /// The reasons for each score in words, the greatest first; at most three. Each access computes them.
    #[getter]
    fn reasons(&self, py: Python<'_>) -> PyResult<Vec<Vec<String>>> {
        self.explained(py, 0..self.ids.len())
    }

    /// Returns the values of one feature, an element for each transaction; NaN is a missing value.
    ///
    /// Args:
    ///     name: The name of the feature, as in ``names``.
    ///
    /// Raises:
    ///     ConfigError: No feature has this name.
    fn feature<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let Some(at) = DEFINITIONS.iter().position(|definition| definition.name == name) else {
            return Err(bad_argument("name", format!("there is no feature {name:?}")));
        };
        self.features.bind(py).get_item((PySlice::full(py), at))
    }

    /// Returns the reasons for one score in words, the greatest first: at most three.
    ///
    /// Args:
    ///     index: The index of the transaction.
    ///
    /// Raises:
    ///     IndexError: There is no such transaction.
    fn explain(&self, py: Python<'_>, index: usize) -> PyResult<Vec<String>> {
        if index >= self.ids.len() {
            return Err(PyIndexError::new_err(format!("there are {} transactions", self.ids.len())));
        }
        Ok(self.explained(py, index..index + 1)?.swap_remove(0))
    }

    fn __len__(&self) -> usize {
        self.ids.len()
    }

    fn __repr__(&self) -> String {
        format!("Detection({} transactions)", self.ids.len())
    }
}

impl PyDetection {
    fn explained(&self, py: Python<'_>, range: Range<usize>) -> PyResult<Vec<Vec<String>>> {
        let (features, times) = (self.features.bind(py).readonly(), self.times.bind(py).readonly());
        let (features, times) = (features.as_slice()?, times.as_slice()?);
        let detector = self.detector.get().lock();
        let (rows, _) = features.as_chunks::<COUNT>();
        let explain = |at: usize| detector.reasons(&Features(rows[at]), Micros(times[at]));
        Ok(range.map(explain).collect())
    }
}

fn names() -> Vec<&'static str> {
    DEFINITIONS.iter().map(|definition| definition.name).collect()
}

/// Returns the exception for a transaction that cannot be scored.
fn refused(index: usize, why: &str) -> PyErr {
    bad_argument("transactions", format!("index {index}: {why}"))
}

/// Reads transactions as the consumer reads their messages.
fn read(transactions: &Bound<'_, PyAny>) -> PyResult<Vec<(Box<str>, Seen)>> {
    let messages = transactions.py().import("ccstream.frames")?.getattr("messages")?.call1((transactions,))?;
    let one = |(index, message): (usize, PyResult<Bound<'_, PyAny>>)| {
        let message = message?.cast_into::<PyBytes>()?;
        match validate(Some(message.as_bytes())) {
            Ok(transaction) => Ok((Box::from(&*transaction.order_id), Seen::from(&Event::from(&transaction)))),
            Err(rejection) => Err(refused(index, &format!("{}: {}", rejection.reason, rejection.detail))),
        }
    };
    messages.try_iter()?.enumerate().map(one).collect()
}

/// Returns a time as text.
fn text_of(time: &Bound<'_, PyAny>) -> PyResult<String> {
    if time.is_instance_of::<PyString>() { time.extract() } else { time.call_method0("isoformat")?.extract() }
}
