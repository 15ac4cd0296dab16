//! Groups and measures columns of numbers that the caller owns. The columns are not copied as a whole.

use std::collections::HashMap;
use std::thread;

use crate::rows::multiset::rank;
use ccstream_core::error::{Error, Result};

/// Borrows a column to measure.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// A column of integers.
    Whole(&'a [i64]),
    /// A column of floats; NaN means that the value is absent.
    Real(&'a [f64]),
}

impl Values<'_> {
    fn get(&self, row: usize) -> f64 {
        match self {
            Self::Whole(values) => values[row] as f64,
            Self::Real(values) => values[row],
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
        }
    }
}

/// Lists the measures of a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// The number of rows, absent values included. It needs no column.
    Count,
    /// The sum of the values.
    Sum,
    /// The arithmetic mean of the values.
    Mean,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The value at this fraction, from 0 to 1, as PostgreSQL's `percentile_disc` defines it.
    Percentile(f64),
    /// The number of distinct values.
    Distinct,
}

impl Measure {
    /// Returns the measure with a name in Python. Fails if there is none.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "mean" => Self::Mean,
            "min" => Self::Min,
            "max" => Self::Max,
            "p50" => Self::Percentile(0.5),
            "p95" => Self::Percentile(0.95),
            "p99" => Self::Percentile(0.99),
            "distinct" => Self::Distinct,
            _ => return Err(Error::config("measures", format!("there is no measure {name:?}"))),
        })
    }

    /// Measures the present values, in any order, of a group with `rows` rows. Without values the sum, the mean, the
    /// extremes and the percentiles are NaN.
    fn of(self, values: &mut [f64], rows: usize) -> f64 {
        match self {
            Self::Count => return rows as f64,
            Self::Distinct => {
                values.sort_unstable_by(f64::total_cmp);
                return values.chunk_by(|left, right| left.total_cmp(right).is_eq()).count() as f64;
            }
            _ if values.is_empty() => return f64::NAN,
            _ => {}
        }
        match self {
            Self::Count | Self::Distinct => unreachable!("the match above returns for these"),
            Self::Sum => values.iter().sum(),
            Self::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Self::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Percentile(fraction) => {
                let at = rank(fraction, values.len() as u64) as usize - 1;
                *values.select_nth_unstable_by(at, f64::total_cmp).1
            }
        }
    }
}

/// Groups the rows by `by` and computes the measures of each group, on a number of threads. Returns the groups in
/// ascending order, and for each measure a column with the figures of the groups. Fails if the columns have different
/// lengths, or more than `u32::MAX` rows.
pub fn aggregate(
    by: &[i64],
    measures: &[(Option<Values<'_>>, Measure)],
    threads: usize,
) -> Result<(Vec<i64>, Vec<Vec<f64>>)> {
    for (values, _) in measures {
        if values.is_some_and(|values| values.len() != by.len()) {
            return Err(Error::config("data", "the columns have different lengths"));
        }
    }
    u32::try_from(by.len()).map_err(|_| Error::config("data", "the columns have more than 4,294,967,295 rows"))?;
    let mut rows: HashMap<i64, Vec<u32>, hashbrown::DefaultHashBuilder> = HashMap::default();
    for (row, group) in by.iter().enumerate() {
        rows.entry(*group).or_default().push(row as u32);
    }
    let mut groups: Vec<(i64, Vec<u32>)> = rows.into_iter().collect();
    groups.sort_unstable_by_key(|(group, _)| *group);
    let measure = |group: &(i64, Vec<u32>)| -> Vec<f64> {
        measures
            .iter()
            .map(|(values, measure)| {
                let mut found: Vec<f64> = values.map_or_else(Vec::new, |values| {
                    let found = group.1.iter().map(|row| values.get(*row as usize));
                    found.filter(|value| !value.is_nan()).collect()
                });
                measure.of(&mut found, group.1.len())
            })
            .collect()
    };
    let share = groups.len().div_ceil(threads.max(1)).max(1);
    let found: Vec<Vec<f64>> = thread::scope(|scope| {
        let parts: Vec<_> = groups
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(measure).collect::<Vec<_>>()))
            .collect();
        let join = |part: thread::ScopedJoinHandle<'_, Vec<Vec<f64>>>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        parts.into_iter().flat_map(join).collect()
    });
    let columns = (0..measures.len()).map(|at| found.iter().map(|group| group[at]).collect()).collect();
    Ok((groups.into_iter().map(|(group, _)| group).collect(), columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_numbers() {
        let by = [3, -1, 3, 3, -1, 7];
        let real = [1.0, f64::NAN, 5.0, 1.0, f64::NAN, 0.5];
        let whole = [10, 20, 30, 40, 50, 60];
        let all = ["count", "sum", "mean", "min", "max", "p50", "distinct"].map(|name| Measure::named(name).unwrap());
        let of_real: Vec<_> = all.iter().map(|measure| (Some(Values::Real(&real)), *measure)).collect();
        let (groups, figures) = aggregate(&by, &of_real, 2).unwrap();
        assert_eq!(groups, [-1, 3, 7]);
        let second: Vec<f64> = figures.iter().map(|column| column[1]).collect();
        assert_eq!(second, [3.0, 7.0, 7.0 / 3.0, 1.0, 5.0, 1.0, 2.0]);
        assert_eq!((figures[0][0], figures[6][0]), (2.0, 0.0));
        assert!(figures[1][0].is_nan() && figures[5][0].is_nan());
        let (_, figures) = aggregate(&by, &[(Some(Values::Whole(&whole)), Measure::Percentile(0.95))], 1).unwrap();
        assert_eq!(figures[0], [50.0, 40.0, 60.0]);
        assert!(aggregate(&by, &[(Some(Values::Whole(&whole[1..])), Measure::Sum)], 1).is_err());
        assert!(Measure::named("mode").is_err());
    }
}
