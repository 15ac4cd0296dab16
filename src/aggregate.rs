//! Implements `ccstream.kpi.aggregate`, which reads `NumPy` columns without copying them.

use ccstream_kpi::query::aggregate::{Measure, Values, aggregate as aggregate_columns};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

use crate::errors::{Raise, bad_argument};

type Column<'py, T> = Bound<'py, PyArray1<T>>;

/// A column that is borrowed while it is read.
enum Held<'py> {
    Whole(PyReadonlyArray1<'py, i64>),
    Real(PyReadonlyArray1<'py, f64>),
}

fn hold<'py>(what: &str, column: &Bound<'py, PyAny>) -> PyResult<Held<'py>> {
    if let Ok(whole) = column.extract() {
        return Ok(Held::Whole(whole));
    }
    let refuse = |_| bad_argument("data", format!("{what} is not a one-dimensional array of int64 or float64"));
    column.extract().map(Held::Real).map_err(refuse)
}

fn values<'a>(held: &'a Held<'_>) -> PyResult<Values<'a>> {
    let scattered = || bad_argument("data", "a column is not contiguous; convert it with numpy.ascontiguousarray");
    Ok(match held {
        Held::Whole(column) => Values::Whole(column.as_slice().map_err(|_| scattered())?),
        Held::Real(column) => Values::Real(column.as_slice().map_err(|_| scattered())?),
    })
}

/// Groups rows and computes measures of each group. Use ``ccstream.kpi.aggregate``, which calls this function.
///
/// Args:
///     keys: The group of each row, as a contiguous array of int64 of length n.
///     measures: Pairs of a column and a measure's name. A column is a contiguous array of int64 or float64 of length
///         n; None for the measure ``count``.
///
/// Returns:
///     The groups (int64, ascending), and for each measure an array with a figure for each group (float64).
///
/// Raises:
///     ConfigError: A column or a measure cannot be used.
///
/// Example:
///     >>> keys, cents = np.array([2, 1, 2]), np.array([100, 250, 50])
///     >>> groups, (counts, sums) = aggregate(keys, [(None, "count"), (cents, "sum")])
///     >>> groups.tolist(), counts.tolist(), sums.tolist()
///     ([1, 2], [1.0, 2.0], [250.0, 150.0])
#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "as Python hands it over")]
pub(crate) fn aggregate<'py>(
    py: Python<'py>,
    keys: &Bound<'py, PyAny>,
    measures: Vec<(Option<Bound<'py, PyAny>>, String)>,
) -> PyResult<(Column<'py, i64>, Vec<Column<'py, f64>>)> {
    let keys = hold("by", keys)?;
    let Values::Whole(keys) = values(&keys)? else {
        return Err(bad_argument("by", "the column is not of type int64"));
    };
    let held = measures.iter().map(|(column, measure)| {
        let column = column.as_ref().map(|column| hold("a measured column", column)).transpose()?;
        Ok((column, Measure::named(measure).raise()?))
    });
    let held = held.collect::<PyResult<Vec<_>>>()?;
    let wanted = held.iter().map(|(column, measure)| Ok((column.as_ref().map(values).transpose()?, *measure)));
    let wanted = wanted.collect::<PyResult<Vec<_>>>()?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (groups, figures) = py.detach(|| aggregate_columns(keys, &wanted, threads)).raise()?;
    Ok((groups.into_pyarray(py), figures.into_iter().map(|figures| figures.into_pyarray(py)).collect()))
}
