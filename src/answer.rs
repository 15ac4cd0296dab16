//! Defines `ccstream.KpiAnswer`, which returns a query's figures as `NumPy` arrays.

use std::time::Duration;

use numpy::datetime::{Datetime, units::Microseconds};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use ccstream_kpi::{Answer, By, Figures, Grouping, Keys, Table, Totals};

use crate::errors::bad_argument;

/// Holds the answer to :meth:`KpiEngine.query`. All amounts are in cents; ``ccstream.kpi.units`` converts them.
///
/// ``answer["category"]`` returns the grouping ``category`` as a dict of columns of one length n. It raises
/// ``KeyError`` if the query had no such grouping. Every grouping has the following columns:
///
/// ``key`` identifies the groups. For a dimension it is a list of names, with None for an absent one. For ``time`` it
/// is an array of the buckets' starts (``datetime64[us]``, UTC). For ``hour_of_week`` it is an array of hours (int64; 0
/// is Monday from 0:00 to 1:00). For ``amount`` it is an array of the bins' lower edges in cents (int64).
///
/// ``count`` is the number of rows (int64).
///
/// Every grouping but a trend also has ``amounts``, the number of rows with an amount in the currency (int64), ``sum``
/// in cents (int64), and ``mean`` in cents (float64; NaN without amounts).
///
/// ``time`` also has ``end``, the buckets' exclusive ends (as ``key``), and ``rate``, in rows per second (float64).
/// ``place`` also has ``country`` (a list), ``latitude`` and ``longitude`` (degrees, float64; NaN if unknown).
///
/// A trend also has ``time``, the starts of m buckets (``datetime64[us]``, UTC), and ``counts``, the number of rows by
/// group and bucket (uint32, n by m).
///
/// The measure ``approved`` adds ``approved``, ``decided``, ``declined`` and ``risky`` (int64), ``approved_share``,
/// which is ``approved / decided`` (float64; NaN if none are decided), and the money that moved, in cents (int64):
/// ``value`` is the sum of the amounts of purchases, which are approved rows with an amount of at least 0, and
/// ``purchases`` is their number; ``refunds`` is the sum of approved amounts below 0, as a positive number. ``min`` or
/// ``max`` adds both (cents, float64). ``p50``, ``p95`` or ``p99`` adds all three (cents, float64, within 1 %).
/// ``cards`` adds the number of distinct cards (int64).
///
/// ``other_groups``, ``other_count`` and ``other_sum`` (int), and ``other_value`` with the measure ``approved``,
/// describe the groups that are not among the ``top``. For ``time``, ``other_count`` is the number of rows without a
/// time.
///
/// Example:
///     >>> answer = engine.query(by={"category": ["p95"]}, top=3)
///     >>> answer.keys(), len(answer["category"]["key"]), answer["category"]["p95"].dtype
///     (['category'], 3, dtype('float64'))
#[pyclass(frozen, name = "KpiAnswer", module = "ccstream")]
pub(crate) struct PyKpiAnswer {
    pub(crate) answer: Answer,
    pub(crate) groupings: Vec<(String, Grouping)>,
    /// The query's ``tzinfo``, if it named one.
    pub(crate) zone: Option<Py<PyAny>>,
}

#[pymethods]
impl PyKpiAnswer {
    /// The time of the snapshot that the answer describes, in microseconds since 1970 UTC, by PostgreSQL's clock.
    #[getter]
    fn at(&self) -> i64 {
        self.answer.at
    }

    /// Start of the range (inclusive), in microseconds since 1970 UTC; None for all of time.
    #[getter]
    fn start(&self) -> Option<i64> {
        self.answer.range.map(|range| range.0)
    }

    /// End of the range (exclusive), in microseconds since 1970 UTC; None for all of time.
    #[getter]
    fn end(&self) -> Option<i64> {
        self.answer.range.map(|range| range.1)
    }

    /// The width of the time buckets; None if the query has none.
    ///
    /// A bucket in which the clocks change may be longer or shorter.
    #[getter]
    fn width(&self) -> Option<Duration> {
        self.answer.width.map(|width| Duration::from_micros(width as u64))
    }

    /// The currency of all amounts in the answer; None for the amounts of rows without a currency.
    #[getter]
    fn currency(&self) -> Option<&str> {
        self.answer.currency.as_deref()
    }

    /// The figures of all rows in the range, as a dict.
    ///
    /// ``count`` (rows), ``amounts`` (rows with an amount in the currency), ``approved``, ``decided``, ``declined``,
    /// ``risky``, ``purchases`` (approved rows with an amount of at least 0) and ``cards`` (distinct) are int. ``sum``,
    /// ``value`` (of purchases), ``refunds`` (of approved amounts below 0, as a positive number), ``min``, ``max``,
    /// ``p50``, ``p95`` and ``p99`` are int, in cents and exact (as ``percentile_disc``). ``mean`` (cents),
    /// ``approved_share`` (``approved / decided``, 0 to 1) and ``rate`` (rows per second of the range) are float. A
    /// figure is None if there is nothing to measure; ``rate`` is also None for all of time.
    #[getter]
    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        totals(py, &self.answer.totals, self.answer.range)
    }

    /// The figures of the preceding range of equal length, as in :attr:`totals`.
    ///
    /// None unless the query had ``before=True``.
    #[getter]
    fn before<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.answer.before.as_ref().map(|before| totals(py, before, self.answer.range)).transpose()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
        let at = self.groupings.iter().position(|(own, _)| own == name);
        let at = at.ok_or_else(|| pyo3::exceptions::PyKeyError::new_err(name.to_owned()))?;
        table(py, &self.answer.tables[at], &self.groupings[at].1)
    }

    /// Returns a grouping as a pandas DataFrame. This requires pandas.
    ///
    /// Args:
    ///     name: The grouping's name. Default: the only one.
    ///
    /// Returns:
    ///     A DataFrame with the columns of ``answer[name]``, indexed by its ``key``. The index has the grouping's name.
    ///     Times are in the query's time zone. For a trend, the values are the counts, with a column for each bucket.
    ///     The frame's ``attrs`` are ``other_groups``, ``other_count`` and ``other_sum``, and ``other_value`` with the
    ///     measure ``approved``.
    ///
    /// Raises:
    ///     ConfigError: pandas is not installed, or no name is given although the answer does not have exactly one
    ///         grouping.
    ///     KeyError: The query had no such grouping.
    ///
    /// Example:
    ///     >>> frame = engine.query(by={"category": ["p95"]}).to_pandas()
    ///     >>> frame.index.name, kpi.units(frame["p95"]).dtype
    ///     ('category', dtype('float64'))
    #[pyo3(signature = (name=None))]
    fn to_pandas<'py>(&self, py: Python<'py>, name: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
        let name = match (name, self.groupings.as_slice()) {
            (Some(name), _) => name,
            (None, [(only, _)]) => only,
            (None, []) => return Err(bad_argument("name", "the answer has no groupings")),
            (None, all) => return Err(bad_argument("name", format!("name one of the {} groupings", all.len()))),
        };
        let convert = py.import("ccstream.frames")?.getattr("to_pandas")?;
        convert.call1((name, self.__getitem__(py, name)?, self.zone.as_ref()))
    }

    /// Lists the names of the groupings, in the order of the query.
    fn keys(&self) -> Vec<String> {
        self.groupings.iter().map(|(name, _)| name.clone()).collect()
    }

    fn __repr__(&self) -> String {
        format!("KpiAnswer(count={}, by={:?})", self.answer.totals.figures.count, self.keys())
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { f64::NAN } else { part as f64 / of as f64 }
}

fn mean(figures: &Figures) -> f64 {
    if figures.amounts == 0 { f64::NAN } else { figures.sum as f64 / figures.amounts as f64 }
}

fn totals<'py>(py: Python<'py>, totals: &Totals, range: Option<(i64, i64)>) -> PyResult<Bound<'py, PyDict>> {
    let figures = &totals.figures;
    let found = PyDict::new(py);
    for (name, count) in [
        ("count", figures.count),
        ("amounts", figures.amounts),
        ("approved", figures.approved),
        ("decided", figures.decided),
        ("declined", figures.declined),
        ("risky", figures.risky),
        ("purchases", figures.purchases),
        ("cards", totals.cards),
    ] {
        found.set_item(name, count)?;
    }
    found.set_item("sum", figures.sum)?;
    found.set_item("value", figures.value)?;
    found.set_item("refunds", figures.refunds)?;
    let [p50, p95, p99] = totals.percentiles;
    for (name, cents) in [("min", totals.min), ("max", totals.max), ("p50", p50), ("p95", p95), ("p99", p99)] {
        found.set_item(name, cents)?;
    }
    let known = |value: f64| Some(value).filter(|value| !value.is_nan());
    found.set_item("mean", known(mean(figures)))?;
    found.set_item("approved_share", known(share(figures.approved, figures.decided)))?;
    let seconds = range.map(|(from, to)| (to - from) as f64 / 1e6);
    found.set_item("rate", seconds.map(|seconds| figures.count as f64 / seconds))?;
    Ok(found)
}

fn times<'py>(py: Python<'py>, times: &[i64]) -> Bound<'py, PyArray1<Datetime<Microseconds>>> {
    times.iter().map(|time| Datetime::from(*time)).collect::<Vec<Datetime<Microseconds>>>().into_pyarray(py)
}

fn keys<'py>(py: Python<'py>, keys: &Keys, found: &Bound<'py, PyDict>) -> PyResult<()> {
    match keys {
        Keys::Names(names) => found.set_item("key", PyList::new(py, names)?),
        Keys::Times(starts) => found.set_item("key", times(py, starts)),
        Keys::Numbers(numbers) => found.set_item("key", PyArray1::from_slice(py, numbers)),
        Keys::Places(places) => {
            let cities = places.iter().map(|place| place.city.as_deref());
            found.set_item("key", PyList::new(py, cities.collect::<Vec<_>>())?)?;
            let countries = places.iter().map(|place| place.country.as_deref());
            found.set_item("country", PyList::new(py, countries.collect::<Vec<_>>())?)?;
            let degrees = |of: fn(&ccstream_kpi::Place) -> Option<f64>| {
                places.iter().map(|place| of(place).unwrap_or(f64::NAN)).collect::<Vec<f64>>().into_pyarray(py)
            };
            found.set_item("latitude", degrees(|place| place.latitude))?;
            found.set_item("longitude", degrees(|place| place.longitude))
        }
    }
}

fn table<'py>(py: Python<'py>, table: &Table, asked: &Grouping) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    keys(py, &table.keys, &found)?;
    let column = |of: fn(&Figures) -> i64| table.figures.iter().map(of).collect::<Vec<i64>>().into_pyarray(py);
    let ratio = |of: fn(&Figures) -> f64| table.figures.iter().map(of).collect::<Vec<f64>>().into_pyarray(py);
    found.set_item("count", column(|figures| figures.count as i64))?;
    if let By::Trend(_) = table.by {
        found.set_item("time", times(py, &table.times))?;
        let shape = [table.figures.len(), table.times.len()];
        let counts: Bound<'py, PyArray2<u32>> = PyArray1::from_slice(py, &table.trend).reshape(shape)?;
        found.set_item("counts", counts)?;
    } else {
        found.set_item("amounts", column(|figures| figures.amounts as i64))?;
        found.set_item("sum", column(|figures| figures.sum))?;
        found.set_item("mean", ratio(mean))?;
    }
    if asked.outcomes {
        found.set_item("approved", column(|figures| figures.approved as i64))?;
        found.set_item("decided", column(|figures| figures.decided as i64))?;
        found.set_item("declined", column(|figures| figures.declined as i64))?;
        found.set_item("risky", column(|figures| figures.risky as i64))?;
        found.set_item("purchases", column(|figures| figures.purchases as i64))?;
        found.set_item("value", column(|figures| figures.value))?;
        found.set_item("refunds", column(|figures| figures.refunds))?;
        found.set_item("approved_share", ratio(|figures| share(figures.approved, figures.decided)))?;
    }
    if let (By::Time, Keys::Times(starts)) = (table.by, &table.keys) {
        let seconds = starts.iter().zip(&table.ends).map(|(start, end)| (end - start) as f64 / 1e6);
        let rates = table.figures.iter().zip(seconds).map(|(figures, seconds)| figures.count as f64 / seconds);
        found.set_item("rate", rates.collect::<Vec<f64>>().into_pyarray(py))?;
        found.set_item("end", times(py, &table.ends))?;
    }
    let cents = |values: Vec<Option<i64>>| {
        values.iter().map(|cents| cents.map_or(f64::NAN, |cents| cents as f64)).collect::<Vec<f64>>().into_pyarray(py)
    };
    if asked.extremes {
        found.set_item("min", cents(table.extremes.iter().map(|pair| pair.map(|pair| pair.0)).collect()))?;
        found.set_item("max", cents(table.extremes.iter().map(|pair| pair.map(|pair| pair.1)).collect()))?;
    }
    if asked.percentiles {
        for (at, name) in ["p50", "p95", "p99"].into_iter().enumerate() {
            found.set_item(name, cents(table.percentiles.iter().map(|three| three[at]).collect()))?;
        }
    }
    if asked.cards {
        found.set_item("cards", table.cards.iter().map(|cards| *cards as i64).collect::<Vec<_>>().into_pyarray(py))?;
    }
    let (groups, figures) = &table.other;
    found.set_item("other_groups", groups)?;
    found.set_item("other_count", figures.count)?;
    found.set_item("other_sum", figures.sum)?;
    if asked.outcomes {
        found.set_item("other_value", figures.value)?;
    }
    Ok(found)
}
