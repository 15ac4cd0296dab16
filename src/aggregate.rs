//! `ccstream.kpi.aggregate`: over `NumPy` columns as they lie in memory.

use crate::errors::{Raise, bad_argument};
use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::prelude::*;

use pyo3::types::PyDict;

use ccstream_kpi::query::aggregate::{Measure, Values, aggregate as aggregate_columns};

/// A column that is held while it is read.
enum Held<'py> {
    Whole(PyReadonlyArray1<'py, i64>),
    Real(PyReadonlyArray1<'py, f64>),
}

fn hold<'py>(columns: &Bound<'py, PyDict>, name: &str) -> PyResult<Held<'py>> {
    let refuse = |why: &str| bad_argument("columns", format!("{name} {why}"));
    let column = columns.get_item(name)?.ok_or_else(|| refuse("is not among the columns"))?;
    let held = if let Ok(whole) = column.extract() {
        Held::Whole(whole)
    } else {
        Held::Real(column.extract().map_err(|_| refuse("is no one-dimensional array of int64 or float64"))?)
    };
    Ok(held)
}

fn values<'a>(held: &'a Held<'_>) -> PyResult<Values<'a>> {
    let scattered = || bad_argument("columns", "a column is not contiguous; numpy.ascontiguousarray");
    Ok(match held {
        Held::Whole(column) => Values::Whole(column.as_slice().map_err(|_| scattered())?),
        Held::Real(column) => Values::Real(column.as_slice().map_err(|_| scattered())?),
    })
}

/// Groups rows and measures them, for ``ccstream.kpi.aggregate``.
///
/// Args:
///     columns: Contiguous arrays of int64 or float64 by name.
///     by: The name of the column to group by, of int64.
///     measures: Name, column and measure of each figure.
///
/// Returns:
///     The groups (int64, in rising order) and the figures (float64) by name.
///
/// Raises:
///     ConfigError: A column or a measure is not usable.
#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "as Python hands it over")]
pub(crate) fn aggregate<'py>(
    py: Python<'py>,
    columns: &Bound<'py, PyDict>,
    by: &str,
    measures: Vec<(String, String, String)>,
) -> PyResult<Bound<'py, PyDict>> {
    let keys = hold(columns, by)?;
    let Values::Whole(keys) = values(&keys)? else {
        return Err(bad_argument("by", format!("{by} is not of int64")));
    };
    let held = measures.iter().map(|(_, column, measure)| {
        let measure = Measure::named(measure).raise()?;
        let column = if measure == Measure::Count { None } else { Some(hold(columns, column)?) };
        Ok((column, measure))
    });
    let held = held.collect::<PyResult<Vec<_>>>()?;
    let wanted = held.iter().map(|(column, measure)| Ok((column.as_ref().map(values).transpose()?, *measure)));
    let wanted = wanted.collect::<PyResult<Vec<_>>>()?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (groups, figures) = py.detach(|| aggregate_columns(keys, &wanted, threads)).raise()?;
    let found = PyDict::new(py);
    found.set_item(by, groups.into_pyarray(py))?;
    for ((name, ..), figures) in measures.iter().zip(figures) {
        found.set_item(name, figures.into_pyarray(py))?;
    }
    Ok(found)
}
