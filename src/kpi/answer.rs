//! What was counted, in the words of the question: names for codes, times for slots, the first few and the rest.

use std::collections::BTreeMap;

use super::buckets::{Buckets, FEW};
use super::chunk::{Cell, Figures, add};
use super::columns::{Columns, Coordinates};
use super::query::{AMOUNT_EDGES, By, Dimension, Grouping, Query, Window};
use super::sketch::Sketch;
use super::state::{Groups, State};

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
    /// Groups that are not among the first few, and what they add up to; of a series, the rows without a time.
    pub other: (usize, Figures),
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
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

pub(crate) fn totals(state: &State) -> Totals {
    Totals {
        figures: Figures::from(state.total),
        min: state.amounts.min(),
        max: state.amounts.max(),
        percentiles: state.amounts.percentiles(FRACTIONS),
        cards: state.cards.total(),
    }
}

pub(crate) fn table(grouping: &Grouping, groups: &Groups, state: &State, query: &Query, columns: &Columns) -> Table {
    let table = Table {
        by: grouping.by,
        keys: Keys::Numbers(Vec::new()),
        figures: Vec::new(),
        extremes: Vec::new(),
        percentiles: Vec::new(),
        cards: Vec::new(),
        trend: Vec::new(),
        times: Vec::new(),
        other: (0, Figures::default()),
    };
    match grouping.by {
        By::Dimension(dimension) => by_dimension(table, dimension, grouping, groups, columns),
        By::Trend(dimension) => by_trend(table, dimension, grouping, groups, state, columns),
        By::Time => by_time(table, grouping, groups, state, query),
        By::Week => {
            let order: Vec<usize> = (0..groups.cells.len()).collect();
            let keys = Keys::Numbers(order.iter().map(|hour| *hour as i64).collect());
            let table = fill(Table { keys, ..table }, &order, groups);
            if grouping.cards { Table { cards: paired(groups, &order), ..table } } else { table }
        }
        By::Amount => by_amount(table, state),
    }
}

/// Figures of the groups in that order.
fn fill(mut table: Table, order: &[usize], groups: &Groups) -> Table {
    table.figures = order.iter().map(|group| Figures::from(groups.cells[*group])).collect();
    if !groups.extremes.is_empty() {
        let known = |(min, max): (i64, i64)| (min <= max).then_some((min, max));
        table.extremes = order.iter().map(|group| known(groups.extremes[*group])).collect();
    }
    if !groups.sketches.is_empty() {
        table.percentiles = order.iter().map(|group| groups.sketches[*group].percentiles(FRACTIONS)).collect();
    }
    table
}

/// Different cards of the groups in that order.
fn paired(groups: &Groups, order: &[usize]) -> Vec<u64> {
    let mut counts = vec![0; groups.cells.len()];
    groups.pairs.iter().for_each(|(group, _)| counts[group as usize] += 1);
    order.iter().map(|group| counts[*group]).collect()
}

/// A dimension's values by what rows have in common: cities of one name in two countries are one.
struct Named<'a> {
    names: Vec<Option<&'a str>>,
    /// The place in `names` of each code.
    of_code: Vec<usize>,
}

fn named(dimension: Dimension, len: usize, columns: &Columns) -> Named<'_> {
    let name = |code: u32| match dimension {
        Dimension::City => columns.place(code).0,
        Dimension::Country => columns.place(code).1,
        _ => columns.dictionary(dimension.column()).name(code),
    };
    if !matches!(dimension, Dimension::City | Dimension::Country) {
        return Named { names: (0..len as u32).map(name).collect(), of_code: (0..len).collect() };
    }
    let (mut names, mut of_code) = (Vec::new(), Vec::new());
    let mut seen: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for code in 0..len as u32 {
        let at = *seen.entry(name(code)).or_insert_with(|| {
            names.push(name(code));
            names.len() - 1
        });
        of_code.push(at);
    }
    Named { names, of_code }
}

/// Groups of codes put together as their names are.
fn fold(groups: &Groups, named: &Named<'_>) -> Groups {
    let len = named.names.len();
    let mut folded = Groups { cells: vec![Cell::default(); len], ..Groups::default() };
    folded.extremes.resize(if groups.extremes.is_empty() { 0 } else { len }, (i64::MAX, i64::MIN));
    folded.sketches.resize(if groups.sketches.is_empty() { 0 } else { len }, Sketch::default());
    for (code, at) in named.of_code.iter().enumerate() {
        add(&mut folded.cells[*at], &groups.cells[code]);
        if let Some((min, max)) = groups.extremes.get(code) {
            let mine = &mut folded.extremes[*at];
            *mine = (mine.0.min(*min), mine.1.max(*max));
        }
        if let Some(sketch) = groups.sketches.get(code) {
            folded.sketches[*at].merge(sketch);
        }
    }
    for (group, card) in groups.pairs.iter() {
        folded.pairs.add(card, named.of_code[group as usize] as u32);
    }
    folded
}

/// The groups that have rows, those with the most first, those with as many by their names.
fn rank(rows: impl Fn(usize) -> u64, names: &[Option<&str>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..names.len()).filter(|group| rows(*group) > 0).collect();
    order.sort_unstable_by_key(|group| (std::cmp::Reverse(rows(*group)), names[*group]));
    order
}

fn by_dimension(table: Table, dimension: Dimension, grouping: &Grouping, groups: &Groups, columns: &Columns) -> Table {
    let named = named(dimension, groups.cells.len(), columns);
    let folded;
    let groups = if named.names.len() == groups.cells.len() {
        groups
    } else {
        folded = fold(groups, &named);
        &folded
    };
    let mut order = rank(|group| Figures::from(groups.cells[group]).count, &named.names);
    let rest = order.split_off(grouping.top.unwrap_or(usize::MAX).min(order.len()));
    let mut other = Cell::default();
    for group in &rest {
        add(&mut other, &groups.cells[*group]);
    }
    let keys = keys(dimension, &order, &named, columns);
    let mut table = fill(Table { keys, other: (rest.len(), Figures::from(other)), ..table }, &order, groups);
    if grouping.cards {
        table.cards = paired(groups, &order);
    }
    table
}

fn keys(dimension: Dimension, order: &[usize], named: &Named<'_>, columns: &Columns) -> Keys {
    if dimension != Dimension::Place {
        return Keys::Names(order.iter().map(|group| named.names[*group].map(str::to_owned)).collect());
    }
    let place = |group: &usize| {
        let (city, country) = columns.place(*group as u32);
        let Coordinates { latitude, longitude } = columns.coordinates(*group as u32);
        Place { city: city.map(str::to_owned), country: country.map(str::to_owned), latitude, longitude }
    };
    Keys::Places(order.iter().map(place).collect())
}

/// The numbers of the buckets to show: of a range that moves all of them, else from the first with rows to the last.
fn shown(buckets: Buckets, window: Window, has_rows: impl Fn(usize) -> bool) -> Vec<i64> {
    if matches!(window, Window::Last(_)) {
        return buckets.numbers().collect();
    }
    let full = |number: &i64| has_rows(buckets.slot(*number));
    let (first, last) = (buckets.numbers().find(full), buckets.numbers().rev().find(full));
    first.zip(last).map(|(first, last)| (first..=last).collect()).unwrap_or_default()
}

fn by_time(table: Table, grouping: &Grouping, groups: &Groups, state: &State, query: &Query) -> Table {
    let Some(buckets) = state.buckets else { return table };
    let numbers = shown(buckets, query.window, |slot| Figures::from(groups.cells[slot]).count > 0);
    let order: Vec<usize> = numbers.iter().map(|number| buckets.slot(*number)).collect();
    let keys = Keys::Times(numbers.iter().map(|number| buckets.start(*number)).collect());
    let mut other = state.total;
    for cell in &groups.cells {
        other.iter_mut().zip(cell).for_each(|(rest, part)| *rest = rest.wrapping_sub(*part));
    }
    let mut table = fill(Table { keys, other: (0, Figures::from(other)), ..table }, &order, groups);
    if grouping.cards && buckets.len <= FEW {
        table.cards = order.iter().map(|slot| state.cards.in_slot(*slot)).collect();
    } else if grouping.cards {
        table.cards = paired(groups, &order);
    }
    table
}

fn by_trend(
    table: Table,
    dimension: Dimension,
    grouping: &Grouping,
    groups: &Groups,
    state: &State,
    columns: &Columns,
) -> Table {
    let Some(buckets) = state.buckets else { return table };
    let len = groups.trend.len() / buckets.len;
    let named = named(dimension, len, columns);
    let mut rows = vec![vec![0u32; 0]; named.names.len()];
    for (code, at) in named.of_code.iter().enumerate() {
        let counts = &groups.trend[code * buckets.len..(code + 1) * buckets.len];
        rows[*at].resize(buckets.len, 0);
        rows[*at].iter_mut().zip(counts).for_each(|(mine, theirs)| *mine += theirs);
    }
    let sums: Vec<u64> = rows.iter().map(|counts| counts.iter().map(|count| u64::from(*count)).sum()).collect();
    let mut order = rank(|group| sums[group], &named.names);
    let rest = order.split_off(grouping.top.unwrap_or(usize::MAX).min(order.len()));
    let any = |slot: usize| rows.iter().any(|counts| counts.get(slot).is_some_and(|count| *count > 0));
    let numbers = shown(buckets, if state.range.is_some() { Window::Last(1) } else { Window::All }, any);
    let slots: Vec<usize> = numbers.iter().map(|number| buckets.slot(*number)).collect();
    let figures = |count: u64| Figures { count, ..Figures::default() };
    Table {
        keys: keys(dimension, &order, &named, columns),
        trend: order.iter().flat_map(|group| slots.iter().map(|slot| rows[*group][*slot])).collect(),
        times: numbers.iter().map(|number| buckets.start(*number)).collect(),
        figures: order.iter().map(|group| figures(sums[*group])).collect(),
        other: (rest.len(), figures(rest.iter().map(|group| sums[*group]).sum())),
        ..table
    }
}

fn by_amount(table: Table, state: &State) -> Table {
    let mut figures = vec![Figures::default(); AMOUNT_EDGES.len()];
    let mut bin = 0;
    for (cents, count) in state.amounts.iter() {
        while bin + 1 < AMOUNT_EDGES.len() && cents >= AMOUNT_EDGES[bin + 1] {
            bin += 1;
        }
        figures[bin].count += count;
        figures[bin].amounts += count;
        figures[bin].sum += cents * count as i64;
    }
    let full = |figures: &Figures| figures.count > 0;
    let first = figures.iter().position(full).unwrap_or(figures.len());
    let last = figures.iter().rposition(full).map_or(first, |last| last + 1);
    Table { keys: Keys::Numbers(AMOUNT_EDGES[first..last].to_vec()), figures: figures[first..last].to_vec(), ..table }
}

impl Answer {
    pub(crate) fn new(
        query: &Query,
        currency: Option<String>,
        state: &State,
        before: Option<&State>,
        columns: &Columns,
    ) -> Self {
        let tables = query.groupings.iter().zip(&state.groups);
        Self {
            range: state.range,
            width: state.buckets.map(|buckets| buckets.width),
            currency,
            totals: totals(state),
            before: before.map(totals),
            tables: tables.map(|(grouping, groups)| table(grouping, groups, state, query, columns)).collect(),
        }
    }
}
