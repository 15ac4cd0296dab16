//! Builds the answer to a query from its counts: replaces codes by names and slots by times, and ranks the groups.

use std::cmp::Reverse;

use super::buckets::Buckets;
use super::chunk::{CountAndSum, Figures};
use super::groups::{Groups, is_of_kind};
use super::question::{AMOUNT_EDGES, By, Dimension, Grouping, Query, Window};
use super::state::State;
use crate::rows::attribute::Attribute;
use crate::rows::cards::FEW;
use crate::rows::columns::{Columns, Coordinates};
use crate::rows::outcome::OUTCOMES;

/// The fractions of p50, p95 and p99.
const FRACTIONS: [f64; 3] = [0.5, 0.95, 0.99];

/// Holds the figures of all rows that a query selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Counts and the sum of the amounts.
    pub figures: Figures,
    /// The smallest amount in cents; None if there is no amount.
    pub min: Option<i64>,
    /// The largest amount in cents; None if there is no amount.
    pub max: Option<i64>,
    /// The exact p50, p95 and p99 in cents, as PostgreSQL's `percentile_disc` defines them.
    pub percentiles: [Option<i64>; 3],
    /// The number of distinct cards.
    pub cards: u64,
}

/// Holds the keys of groups.
#[derive(Debug, Clone, PartialEq)]
pub enum Keys {
    /// Values of a dimension; None if the value is absent.
    Names(Vec<Option<String>>),
    /// Places, for the dimension `place`.
    Places(Vec<Place>),
    /// Starts of buckets, in microseconds since 1970 UTC.
    Times(Vec<i64>),
    /// Hours of the week, 0 being the first hour of Monday; or lower edges of bins of amounts, in cents.
    Numbers(Vec<i64>),
}

/// Describes a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The city; None if it is absent.
    pub city: Option<String>,
    /// The country; None if it is absent.
    pub country: Option<String>,
    /// Degrees north; None if unknown.
    pub latitude: Option<f64>,
    /// Degrees east; None if unknown.
    pub longitude: Option<f64>,
}

/// Holds the answer for one grouping. Unless stated otherwise, each list has one element for each key, or is empty if
/// it was not asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The grouping.
    pub by: By,
    /// The keys of the groups.
    pub keys: Keys,
    /// The figures of each group.
    pub figures: Vec<Figures>,
    /// The smallest and the largest amount of each group, in cents.
    pub extremes: Vec<Option<(i64, i64)>>,
    /// The p50, p95 and p99 of each group in cents, with an error of at most 1 %.
    pub percentiles: Vec<[Option<i64>; 3]>,
    /// The number of distinct cards in each group.
    pub cards: Vec<u64>,
    /// For a trend, the number of rows of each key in each bucket: the buckets of the first key, then of the second,
    /// etc.
    pub trend: Vec<u32>,
    /// For a trend, the starts of its buckets.
    pub times: Vec<i64>,
    /// For a grouping by time, the ends of its buckets.
    pub ends: Vec<i64>,
    /// The number of groups that are left out by `top`, and the sum of their figures. For a grouping by time, the
    /// number is 0 and the figures count the rows without a time.
    pub other: (usize, Figures),
}

/// Holds the answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The moment at which the answer is exact, in microseconds since 1970 UTC.
    pub at: i64,
    /// The start (inclusive) and end (exclusive) of the range in microseconds since 1970 UTC; None for all of time.
    pub range: Option<(i64, i64)>,
    /// The width of a bucket in microseconds; None if the query has no buckets.
    pub width: Option<i64>,
    /// The currency whose amounts are summed; None for the amounts of rows without a currency.
    pub currency: Option<String>,
    /// The figures of all rows in the range.
    pub totals: Totals,
    /// The figures of all rows in the preceding range of equal length; None if they were not asked for.
    pub before: Option<Totals>,
    /// The answers for the query's groupings, in their order.
    pub tables: Vec<Table>,
}

/// Returns the figures of all rows.
fn total(state: &State, columns: &Columns) -> Figures {
    let mut figures = Figures::default();
    for (kind, cells) in (0..).zip(state.kinds.as_chunks().0) {
        figures.count_kind(*cells, kind, columns);
    }
    figures
}

fn totals(state: &State, columns: &Columns) -> Totals {
    Totals {
        figures: total(state, columns),
        min: state.amounts.min(),
        max: state.amounts.max(),
        percentiles: state.amounts.percentiles(FRACTIONS),
        cards: state.cards.total(),
    }
}

fn table(grouping: &Grouping, groups: &Groups, state: &State, query: &Query, columns: &Columns) -> Table {
    let table = Table {
        by: grouping.by,
        keys: Keys::Numbers(Vec::new()),
        figures: Vec::new(),
        extremes: Vec::new(),
        percentiles: Vec::new(),
        cards: Vec::new(),
        trend: Vec::new(),
        times: Vec::new(),
        ends: Vec::new(),
        other: (0, Figures::default()),
    };
    match grouping.by {
        By::Dimension(dimension) => by_dimension(table, dimension, grouping, groups, state, columns),
        By::Trend(dimension) => by_trend(table, dimension, grouping, groups, (state, query), columns),
        By::Time => by_time(table, grouping, groups, state, query, columns),
        By::Week => {
            let hours: Vec<usize> = (0..168).collect();
            let keys = Keys::Numbers((0..168).collect());
            fill(Table { keys, ..table }, grouping, groups, &figures_of(grouping, groups), &hours)
        }
        By::Amount => by_amount(table, state),
    }
}

/// Returns the figures of every group.
fn figures_of(grouping: &Grouping, groups: &Groups) -> Vec<Figures> {
    let outcomes = if grouping.outcomes { OUTCOMES } else { 1 };
    let figures = |cells: &[CountAndSum]| {
        let mut figures = Figures::default();
        for (outcome, cell) in (0..).zip(cells) {
            figures.count_in(*cell, outcome);
        }
        figures
    };
    groups.cells.chunks_exact(outcomes).map(figures).collect()
}

/// Returns the figures of every value of an attribute that is a part of the kind, by summing over the kinds.
fn figures_by_part(attribute: Attribute, state: &State, columns: &Columns) -> Vec<Figures> {
    let mut figures = vec![Figures::default(); columns.dictionary(attribute).len()];
    for (kind, cells) in (0..).zip(state.kinds.as_chunks().0) {
        figures[columns.part(attribute, kind) as usize].count_kind(*cells, kind, columns);
    }
    figures
}

/// Fills in what was counted for the groups, in the given order.
fn fill(mut table: Table, grouping: &Grouping, groups: &Groups, figures: &[Figures], order: &[usize]) -> Table {
    table.figures = order.iter().map(|group| figures[*group]).collect();
    if grouping.extremes {
        let known = |(min, max): (i64, i64)| (min <= max).then_some((min, max));
        table.extremes = order.iter().map(|group| known(groups.extremes[*group])).collect();
    }
    if grouping.percentiles {
        table.percentiles = order.iter().map(|group| groups.sketches[*group].percentiles(FRACTIONS)).collect();
    }
    if grouping.cards {
        let mut counts = vec![0; figures.len()];
        groups.pairs.iter().for_each(|(group, _)| counts[group as usize] += 1);
        table.cards = order.iter().map(|group| counts[*group]).collect();
    }
    table
}

/// Returns the name of a group of a dimension. The name of a place is its city's.
fn name(dimension: Dimension, group: usize, columns: &Columns) -> Option<&str> {
    match dimension.attribute() {
        Some(attribute) => columns.dictionary(attribute).name(group as u32),
        None => columns.name(Attribute::CITY, group as u32),
    }
}

/// Ranks the groups that have rows by the number of rows, the largest first, and those with equal numbers by name.
/// Returns the first `top` groups in this order, and the others in no particular order.
///
/// Only the first `top` groups are sorted, and whole names are compared only if their first bytes are equal. Sorting
/// all names of 300,000 merchants with one row each took seconds.
fn rank(rows: &[u64], dimension: Dimension, top: Option<usize>, columns: &Columns) -> (Vec<usize>, Vec<usize>) {
    // The bytes of UTF-8 have the same order as the characters.
    let name = |group: usize| match dimension.attribute() {
        Some(attribute) => columns.dictionary(attribute).raw(group as u32),
        None => columns.raw_name(Attribute::CITY, group as u32),
    };
    let country = |group: usize| match dimension.attribute() {
        Some(_) => None,
        None => columns.raw_name(Attribute::COUNTRY, group as u32),
    };
    let full = (0..rows.len()).filter(|group| rows[*group] > 0);
    let mut order: Vec<(Reverse<u64>, u64, usize)> =
        full.map(|group| (Reverse(rows[group]), beginning(name(group)), group)).collect();
    let compare = |left: &(Reverse<u64>, u64, usize), right: &(Reverse<u64>, u64, usize)| {
        let names = || (name(left.2), country(left.2)).cmp(&(name(right.2), country(right.2)));
        (left.0, left.1).cmp(&(right.0, right.1)).then_with(names)
    };
    let top = top.unwrap_or(usize::MAX).min(order.len());
    if (1..order.len()).contains(&top) {
        order.select_nth_unstable_by(top - 1, compare);
    }
    let rest = order.split_off(top);
    order.sort_unstable_by(compare);
    let groups = |of: Vec<(Reverse<u64>, u64, usize)>| of.into_iter().map(|(_, _, group)| group).collect();
    (groups(order), groups(rest))
}

/// Returns the first eight bytes of a name, as a number with the same order.
fn beginning(name: Option<&[u8]>) -> u64 {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(name.unwrap_or_default()) {
        *to = *from;
    }
    u64::from_be_bytes(first)
}

fn by_dimension(
    table: Table,
    dimension: Dimension,
    grouping: &Grouping,
    groups: &Groups,
    state: &State,
    columns: &Columns,
) -> Table {
    let figures = match dimension.attribute() {
        Some(attribute) if is_of_kind(grouping) => figures_by_part(attribute, state, columns),
        _ => figures_of(grouping, groups),
    };
    let rows: Vec<u64> = figures.iter().map(|figures| figures.count).collect();
    let (order, rest) = rank(&rows, dimension, grouping.top, columns);
    let other = rest.iter().fold(Figures::default(), |sum, group| sum + figures[*group]);
    let keys = keys(dimension, &order, columns);
    fill(Table { keys, other: (rest.len(), other), ..table }, grouping, groups, &figures, &order)
}

fn keys(dimension: Dimension, order: &[usize], columns: &Columns) -> Keys {
    let owned = |name: Option<&str>| name.map(str::to_owned);
    if dimension.attribute().is_some() {
        return Keys::Names(order.iter().map(|group| owned(name(dimension, *group, columns))).collect());
    }
    let place = |group: &usize| {
        let code = *group as u32;
        let Coordinates { latitude, longitude } = columns.coordinates(code);
        let (city, country) = (columns.name(Attribute::CITY, code), columns.name(Attribute::COUNTRY, code));
        Place { city: owned(city), country: owned(country), latitude, longitude }
    };
    Keys::Places(order.iter().map(place).collect())
}

/// Returns the numbers of the buckets to show: all buckets of a window that moves with time, otherwise those from the
/// first to the last with rows.
fn shown(buckets: &Buckets, state: &State, query: &Query, has_rows: impl Fn(usize) -> bool) -> Vec<i64> {
    if let (Window::Last(_), Some((from, _))) = (query.window, state.range) {
        return buckets.numbers().filter(|number| buckets.start(number + 1) > from).collect();
    }
    let full = |number: &i64| has_rows(buckets.slot(*number));
    let (first, last) = (buckets.numbers().find(full), buckets.numbers().rev().find(full));
    first.zip(last).map(|(first, last)| (first..=last).collect()).unwrap_or_default()
}

fn by_time(
    table: Table,
    grouping: &Grouping,
    groups: &Groups,
    state: &State,
    query: &Query,
    columns: &Columns,
) -> Table {
    let Some(buckets) = &state.buckets else { return table };
    let figures = figures_of(grouping, groups);
    let numbers = shown(buckets, state, query, |slot| figures[slot].count > 0);
    let order: Vec<usize> = numbers.iter().map(|number| buckets.slot(*number)).collect();
    let keys = Keys::Times(numbers.iter().map(|number| buckets.start(*number)).collect());
    let ends = numbers.iter().map(|number| buckets.start(number + 1)).collect();
    let timed = figures.iter().fold(Figures::default(), |sum, figures| sum + *figures);
    let total = total(state, columns);
    let untimed = Figures { count: total.count - timed.count, sum: total.sum - timed.sum, ..Figures::default() };
    let mut table = fill(Table { keys, ends, other: (0, untimed), ..table }, grouping, groups, &figures, &order);
    if grouping.cards && buckets.len <= FEW {
        table.cards = order.iter().map(|slot| state.cards.in_slot(*slot)).collect();
    }
    table
}

fn by_trend(
    table: Table,
    dimension: Dimension,
    grouping: &Grouping,
    groups: &Groups,
    (state, query): (&State, &Query),
    columns: &Columns,
) -> Table {
    let Some(buckets) = &state.buckets else { return table };
    let counts = |group: usize| &groups.trend[group * buckets.len..(group + 1) * buckets.len];
    let sum = |group: usize| counts(group).iter().map(|count| u64::from(*count)).sum::<u64>();
    let rows: Vec<u64> = (0..groups.trend.len() / buckets.len).map(sum).collect();
    let (order, rest) = rank(&rows, dimension, grouping.top, columns);
    let any = |slot: usize| groups.trend.iter().skip(slot).step_by(buckets.len).any(|count| *count > 0);
    let numbers = shown(buckets, state, query, any);
    let slots: Vec<usize> = numbers.iter().map(|number| buckets.slot(*number)).collect();
    let figures = |count: u64| Figures { count, ..Figures::default() };
    Table {
        keys: keys(dimension, &order, columns),
        trend: order.iter().flat_map(|group| slots.iter().map(|slot| counts(*group)[*slot])).collect(),
        times: numbers.iter().map(|number| buckets.start(*number)).collect(),
        figures: order.iter().map(|group| figures(rows[*group])).collect(),
        other: (rest.len(), figures(rest.iter().map(|group| rows[*group]).sum())),
        ..table
    }
}

fn by_amount(table: Table, state: &State) -> Table {
    let figures = |(count, sum)| Figures { count, amounts: count, sum, ..Figures::default() };
    let figures: Vec<Figures> = state.amounts.bins(&AMOUNT_EDGES).into_iter().map(figures).collect();
    let full = |figures: &Figures| figures.count > 0;
    let first = figures.iter().position(full).unwrap_or(figures.len());
    let last = figures.iter().rposition(full).map_or(first, |last| last + 1);
    Table { keys: Keys::Numbers(AMOUNT_EDGES[first..last].to_vec()), figures: figures[first..last].to_vec(), ..table }
}

impl Answer {
    pub(crate) fn new(
        at: i64,
        query: &Query,
        currency: Option<String>,
        state: &State,
        before: Option<&State>,
        columns: &Columns,
    ) -> Self {
        let tables = query.groupings.iter().zip(&state.groups);
        Self {
            at,
            range: state.range,
            width: state.buckets.as_ref().map(Buckets::width),
            currency,
            totals: totals(state, columns),
            before: before.map(|before| totals(before, columns)),
            tables: tables.map(|(grouping, groups)| table(grouping, groups, state, query, columns)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::columns::OrderRow;

    /// Returns the names in the order in which they are shown, and the number of names left out.
    fn ranked(counts: &[(Option<&str>, u64)], top: Option<usize>) -> (Vec<Option<String>>, usize) {
        let mut columns = Columns::default();
        for (name, _) in counts {
            columns.push(&OrderRow { merchant: name.map(str::as_bytes), ..OrderRow::default() }).unwrap();
        }
        let dimension = Dimension::Of(Attribute::MERCHANT);
        let mut rows = vec![0; columns.dictionary(Attribute::MERCHANT).len()];
        for (name, count) in counts {
            rows[columns.dictionary(Attribute::MERCHANT).find(*name).unwrap() as usize] = *count;
        }
        let (order, rest) = rank(&rows, dimension, top, &columns);
        (order.iter().map(|group| name(dimension, *group, &columns).map(str::to_owned)).collect(), rest.len())
    }

    #[test]
    fn most_rows_come_first_and_then_names() {
        let counts = [
            (Some("the same beginning, b"), 2),
            (Some("é"), 2),
            (None, 2),
            (Some(""), 2),
            (Some("the same beginning, a"), 2),
            (Some("z"), 9),
            (Some("none"), 0),
            (Some("a\u{0}"), 2),
            (Some("a"), 2),
        ];
        let all = [
            Some("z"),
            None,
            Some(""),
            Some("a"),
            Some("a\u{0}"),
            Some("the same beginning, a"),
            Some("the same beginning, b"),
            Some("é"),
        ]
        .map(|name| name.map(str::to_owned));
        assert_eq!(ranked(&counts, None), (all.to_vec(), 0));
        for top in 0..=all.len() + 1 {
            let shown = top.min(all.len());
            assert_eq!(ranked(&counts, Some(top)), (all[..shown].to_vec(), all.len() - shown), "top {top}");
        }
    }
}
