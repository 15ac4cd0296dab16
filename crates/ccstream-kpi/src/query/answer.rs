//! What was counted, in the words of the question: names for codes, times for slots, the first few and the rest.

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

/// Figures of all rows in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Counts and sum.
    pub figures: Figures,
    /// The smallest amount in cents.
    pub min: Option<i64>,
    /// The greatest.
    pub max: Option<i64>,
    /// p50, p95 and p99 in cents, exact: `percentile_disc`.
    pub percentiles: [Option<i64>; 3],
    /// Different cards.
    pub cards: u64,
}

/// What groups are called.
#[derive(Debug, Clone, PartialEq)]
pub enum Keys {
    /// A dimension's values; None is unknown.
    Names(Vec<Option<String>>),
    /// City, country, latitude and longitude in degrees.
    Places(Vec<Place>),
    /// Beginnings of buckets in microseconds since 1970 UTC.
    Times(Vec<i64>),
    /// Hours of the week from Monday on, or lower edges of amounts in cents.
    Numbers(Vec<i64>),
}

/// A place on the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// None: unknown.
    pub city: Option<String>,
    /// None: unknown.
    pub country: Option<String>,
    /// Degrees.
    pub latitude: Option<f64>,
    /// Degrees.
    pub longitude: Option<f64>,
}

/// One grouping's answer: as many elements in each list as there are keys, or none where it was not asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The grouping.
    pub by: By,
    /// The groups.
    pub keys: Keys,
    /// Their figures.
    pub figures: Vec<Figures>,
    /// Smallest and greatest amount in cents.
    pub extremes: Vec<Option<(i64, i64)>>,
    /// p50, p95 and p99 in cents, within 1 %.
    pub percentiles: Vec<[Option<i64>; 3]>,
    /// Different cards.
    pub cards: Vec<u64>,
    /// Of a trend: rows of each key in each of `times`, key by key.
    pub trend: Vec<u32>,
    /// Of a trend: the beginnings of its buckets.
    pub times: Vec<i64>,
    /// Of a series: the ends of its buckets.
    pub ends: Vec<i64>,
    /// Groups that are not among the first few, and what they add up to; of a series, the rows without a time.
    pub other: (usize, Figures),
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The moment that it is true for.
    pub at: i64,
    /// From when, and before when; None for all of time.
    pub range: Option<(i64, i64)>,
    /// Microseconds of a bucket, where there are any.
    pub width: Option<i64>,
    /// Whose amounts were added up; None: those of rows that name none.
    pub currency: Option<String>,
    /// All rows of the range.
    pub totals: Totals,
    /// All rows of the range before, if asked for.
    pub before: Option<Totals>,
    /// As the query's groupings.
    pub tables: Vec<Table>,
}

/// The figures of all rows.
fn total(state: &State, columns: &Columns) -> Figures {
    let mut figures = Figures::default();
    for (kind, cell) in (0..).zip(&state.kinds) {
        figures.count_in(*cell, columns.outcome(kind));
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

/// The figures of every group.
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

/// The figures of every value of a part of the kind.
fn figures_by_part(attribute: Attribute, state: &State, columns: &Columns) -> Vec<Figures> {
    let mut figures = vec![Figures::default(); columns.dictionary(attribute).len()];
    for (kind, cell) in (0..).zip(&state.kinds) {
        figures[columns.part(attribute, kind) as usize].count_in(*cell, columns.outcome(kind));
    }
    figures
}

/// All that was counted of the groups in that order.
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

/// The name of a dimension's group; of a place the city's.
fn name(dimension: Dimension, group: usize, columns: &Columns) -> Option<&str> {
    match dimension.attribute() {
        Some(attribute) => columns.dictionary(attribute).name(group as u32),
        None => columns.name(Attribute::CITY, group as u32),
    }
}

/// The groups that have rows, those with the most first, those with as many by their names; and the rest of them, in no
/// order.
///
/// Only the groups that are shown are sorted, and names are compared where their beginnings are the same: of 300,000
/// merchants with a row each, sorting all by name took seconds.
fn rank(rows: &[u64], dimension: Dimension, top: Option<usize>, columns: &Columns) -> (Vec<usize>, Vec<usize>) {
    // The order of UTF-8's bytes is that of its characters.
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

/// A name's first eight bytes, as a number that is ordered as they are.
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

/// The numbers of the buckets to show: of a range that moves on all of it, else from the first with rows to the last.
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

    /// The names in the order in which they are shown, and how many are left out.
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
