//! Converts the arguments of queries from Python to the engine's types.

use std::collections::HashMap;
use std::time::Duration;

use ccstream_core::decimal;
use ccstream_core::event::Cents;
use ccstream_kpi::{By, Dimension, Filter, Grouping, Offsets};
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString};

use crate::errors::{Raise, bad_argument};

/// The selected values of each dimension. In Python, a single value or an iterable of values.
#[derive(Debug, Default)]
pub(crate) struct Filters(HashMap<String, Vec<Option<String>>>);

impl<'py> FromPyObject<'_, 'py> for Filters {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let pairs = given.cast::<PyMapping>()?.items()?;
        let pair = |pair: Bound<'py, PyAny>| {
            let (name, values): (String, Bound<'py, PyAny>) = pair.extract()?;
            let values = if values.is_none() || values.is_instance_of::<PyString>() {
                vec![values.extract()?]
            } else {
                values.try_iter()?.map(|value| value?.extract()).collect::<PyResult<_>>()?
            };
            Ok((name, values))
        };
        pairs.iter().map(pair).collect::<PyResult<_>>().map(Self)
    }
}

/// Converts a moment to microseconds since 1970 UTC. `name` is the argument's, for the error.
pub(crate) fn moment(name: &str, moment: &Bound<'_, PyAny>) -> PyResult<i64> {
    moment.py().import("ccstream.times")?.getattr("micros")?.call1((name, moment))?.extract()
}

/// Reads the UTC offsets of a ``tzinfo``.
pub(crate) fn offsets(zone: &Bound<'_, PyAny>) -> PyResult<Offsets> {
    let found = zone.py().import("ccstream.times")?.getattr("offsets")?.call1((zone,))?;
    let (first, changes) = found.extract()?;
    Ok(Offsets::changing(first, changes))
}

/// Converts a duration to microseconds, saturating. The engine refuses a duration that long.
pub(crate) fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn named(name: &str) -> PyResult<Dimension> {
    let known = || Dimension::all().map(Dimension::name).collect::<Vec<_>>().join(", ");
    Dimension::named(name)
        .ok_or_else(|| bad_argument("by", format!("there is no dimension {name:?}; the dimensions are {}", known())))
}

pub(crate) fn filter(
    filters: Option<Filters>,
    min_amount: Option<&Bound<'_, PyAny>>,
    max_amount: Option<&Bound<'_, PyAny>>,
) -> PyResult<Filter> {
    let only = filters.unwrap_or_default().0.into_iter();
    let only = only.map(|(name, values)| Ok((named(&name)?, values.into_iter().collect())));
    let filter = Filter {
        only: only.collect::<PyResult<_>>()?,
        min_cents: min_amount.map(|amount| cents("min_amount", amount)).transpose()?,
        max_cents: max_amount.map(|amount| cents("max_amount", amount)).transpose()?,
    };
    filter.validate().raise()?;
    Ok(filter)
}

/// Converts an amount to cents. Any type is accepted whose text is a number with at most two decimals.
fn cents(field: &'static str, amount: &Bound<'_, PyAny>) -> PyResult<i64> {
    let text = amount.str()?.to_string();
    decimal::scaled(&text, 2, Cents::MAX.0 as u64)
        .map_err(|_| bad_argument(field, format!("{text:?} is not an amount with at most two decimals")))
}

pub(crate) fn grouping(name: &str, more: &[String], top: Option<usize>) -> PyResult<Grouping> {
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
            "approved" | "decided" | "declined" | "risky" | "approved_share" | "purchases" | "value" | "refunds" => {
                grouping.outcomes = true;
            }
            "count" | "amounts" | "sum" | "mean" | "rate" => {}
            _ => {
                let known = "min, max, p50, p95, p99, cards, approved";
                return Err(bad_argument("by", format!("there is no measure {measure:?}; the measures are {known}")));
            }
        }
    }
    Ok(grouping)
}
