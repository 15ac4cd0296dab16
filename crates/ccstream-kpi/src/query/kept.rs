//! Queries that are asked again: what they have counted is kept, so that an answer costs the new rows alone.

use std::collections::HashMap;

use super::answer::Answer;
use super::buckets::Buckets;
use super::chunk::Terms;
use super::question::Query;
use super::state::{Asked, State, fits, time_of};
use crate::rows::codes::SECOND;
use crate::rows::columns::Columns;
use ccstream_core::error::Result;

/// So many queries are kept, those asked last, and no more than take so many bytes.
const KEPT: usize = 128;
const KEPT_BYTES: usize = 512 << 20;
/// And none that nobody has asked for so long (microseconds): its page is closed or shows something else.
const KEPT_FOR: i64 = 120 * SECOND;

#[derive(Debug)]
struct Kept {
    state: State,
    before: Option<State>,
    /// The number of the question that asked it last.
    asked: u64,
    /// And when that was.
    asked_at: i64,
}

/// The queries that were asked, with their counts.
#[derive(Debug, Default)]
pub struct KeptQueries {
    kept: HashMap<Query, Kept>,
    /// How many questions there were.
    asked: u64,
}

impl KeptQueries {
    /// Answers a query at a moment (microseconds since 1970 UTC), using so many threads if it is new.
    pub fn answer(&mut self, query: &Query, now: i64, columns: &Columns, threads: usize) -> Result<Answer> {
        query.validate()?;
        let currency = query.currency.clone().unwrap_or_else(|| columns.main_currency().map(str::to_owned));
        let key = Query { currency: Some(currency.clone()), ..query.clone() };
        let terms = Terms::new(&key.filter, currency.as_deref(), columns);
        let asked = Asked::new(&key, &key.groupings, &terms, columns);
        // Of the time before, the totals alone.
        let asked_before = Asked::new(&key, &[], &terms, columns);
        let (range, buckets) = time_of(&key, now, columns)?;
        fits(&key, buckets.as_ref(), columns)?;
        let shifted = earlier(&key, range, buckets.as_ref());
        self.asked += 1;
        let mut kept = self.kept.remove(&key);
        if let Some(one) = &mut kept {
            let fresh = one.state.advance(&asked, range, buckets.clone(), columns);
            let before = one.before.as_mut().zip(shifted.clone());
            let fresh_before = before
                .is_none_or(|(state, (range, buckets))| state.advance(&asked_before, Some(range), buckets, columns));
            if !fresh || !fresh_before {
                kept = None;
            }
        }
        let mut kept = kept.unwrap_or_else(|| Kept {
            state: State::count(&asked, range, buckets.as_ref(), columns, threads),
            before: shifted
                .map(|(range, buckets)| State::count(&asked_before, Some(range), buckets.as_ref(), columns, threads)),
            asked: 0,
            asked_at: 0,
        });
        (kept.asked, kept.asked_at) = (self.asked, now);
        let answer = Answer::new(now, &key, currency, &kept.state, kept.before.as_ref(), columns);
        self.kept.insert(key, kept);
        self.forget(now);
        Ok(answer)
    }

    /// Forgets what is asked no more, and the longest ago where there is too much.
    fn forget(&mut self, now: i64) {
        self.kept.retain(|_, kept| now - kept.asked_at <= KEPT_FOR);
        let bytes = |kept: &Kept| kept.state.bytes() + kept.before.as_ref().map_or(0, State::bytes);
        let mut all: usize = self.kept.values().map(bytes).sum();
        while self.kept.len() > KEPT || all > KEPT_BYTES && self.kept.len() > 1 {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.asked).map(|(query, _)| query.clone());
            all -= oldest.and_then(|query| self.kept.remove(&query)).as_ref().map_or(0, bytes);
        }
    }
}

/// The range of equal length before, in buckets of the same ring.
fn earlier(
    query: &Query,
    range: Option<(i64, i64)>,
    buckets: Option<&Buckets>,
) -> Option<((i64, i64), Option<Buckets>)> {
    let (from, to) = range.filter(|_| query.before)?;
    Some(((from - (to - from), from), buckets.map(|buckets| buckets.before(from))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::answer::{Keys, Totals};
    use super::super::offsets::Offsets;
    use super::super::question::{By, Dimension, Filter, Grouping, Window};
    use super::*;
    use crate::rows::attribute::{Attribute, KINDS};
    use crate::rows::codes::ABSENT;
    use crate::rows::columns::OrderRow;

    const MINUTE: i64 = 60 * SECOND;

    /// Every grouping, with all that may be asked of it and still be carried over a range that moves.
    fn groupings(extremes: bool) -> Vec<Grouping> {
        let plain = [
            By::Dimension(Dimension::Of(Attribute::CITY)),
            By::Dimension(Dimension::Of(Attribute::STATUS)),
            By::Week,
            By::Amount,
        ]
        .map(Grouping::new);
        let rich =
            |by| Grouping { percentiles: true, cards: true, extremes: true, outcomes: true, ..Grouping::new(by) };
        let mut all = vec![
            Grouping::new(By::Trend(Dimension::Of(Attribute::MERCHANT))),
            rich(By::Time),
            Grouping { top: Some(2), ..Grouping::new(By::Dimension(Dimension::Of(Attribute::MERCHANT))) },
            Grouping::new(By::Trend(Dimension::Of(Attribute::COUNTRY))),
        ];
        all.push(Grouping {
            percentiles: true,
            extremes,
            cards: extremes,
            outcomes: true,
            ..Grouping::new(By::Dimension(Dimension::Of(Attribute::COUNTRY)))
        });
        all.extend(plain);
        all
    }

    type Drawn = (Option<i64>, Option<i64>, u8, Option<bool>);

    fn push(columns: &mut Columns, (time, cents, pick, risk): Drawn) {
        let names = ["a", "b", "c", "d", "e"];
        let of = |from: u8| (pick % (from + 1) > 0).then(|| names[usize::from(pick % (from + 1)) - 1]);
        let status = (!pick.is_multiple_of(3)).then(|| ["approved", "declined"][usize::from(pick % 3) - 1]);
        // One currency, however it is spelt.
        let currency = [None, Some("EUR"), None, Some("eur")][usize::from(pick % 4)];
        let risk = risk.map(|risk| if risk { "\u{1}" } else { "\0" });
        let mut kind = [None; KINDS];
        for (attribute, name) in [(Attribute::STATUS, status), (Attribute::CURRENCY, currency), (Attribute::RISK, risk)]
        {
            kind[attribute.part()] = name;
        }
        columns
            .push(&OrderRow {
                time: time.unwrap_or(ABSENT),
                cents: cents.unwrap_or(ABSENT),
                merchant: of(4).map(str::as_bytes),
                card: of(3).map(str::as_bytes),
                place: &fields(&[of(5), of(2)]),
                kind: &fields(&kind),
                ..OrderRow::default()
            })
            .unwrap();
    }

    /// Fields as COPY has them.
    fn fields(texts: &[Option<&str>]) -> Vec<u8> {
        let field = |text: Option<&str>| match text {
            None => (-1i32).to_be_bytes().to_vec(),
            Some(text) => [&(text.len() as i32).to_be_bytes(), text.as_bytes()].concat(),
        };
        texts.iter().copied().flat_map(field).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<Drawn>>> {
        // Edges of ranges and buckets are whole minutes.
        let time = prop_oneof![0..200 * MINUTE, (0..200i64).prop_map(|minute| minute * MINUTE)];
        let odd = prop_oneof![Just(i64::from(i32::MIN)), Just(i64::from(i32::MAX)), Just(-3_000_000_000)];
        let cents = prop_oneof![40 => -500_000i64..20_000_000, 1 => odd];
        let row = || {
            (
                prop::option::weighted(0.95, time.clone()),
                prop::option::weighted(0.95, cents.clone()),
                any::<u8>(),
                any::<Option<bool>>(),
            )
        };
        // Few rows span little time, and those that follow make buckets wider.
        let step = prop_oneof![prop::collection::vec(row(), 0..4), prop::collection::vec(row(), 0..80)];
        prop::collection::vec(step, 1..8)
    }

    /// The rows that a query is about, one by one.
    fn chosen(rows: &[Drawn], filter: &Filter, range: Option<(i64, i64)>) -> Vec<Drawn> {
        let in_city = |pick: u8| {
            let city =
                (!pick.is_multiple_of(6)).then(|| ["a", "b", "c", "d", "e"][usize::from(pick % 6) - 1].to_owned());
            filter.only.get(&Dimension::Of(Attribute::CITY)).is_none_or(|cities| cities.contains(&city))
        };
        let is_chosen = |(time, cents, pick, _): &&Drawn| {
            range.is_none_or(|(from, to)| time.is_some_and(|time| from <= time && time < to))
                && in_city(*pick)
                && filter.min_cents.is_none_or(|min| cents.is_some_and(|cents| cents >= min))
        };
        rows.iter().filter(is_chosen).copied().collect()
    }

    /// Microseconds east of UTC at a moment.
    fn local(time: i64, query: &Query) -> i64 {
        let stretch = query.offsets.stretches().find(|stretch| time < stretch.until);
        stretch.map_or(0, |stretch| stretch.shift)
    }

    /// An answer against what its rows say, one by one.
    fn check(answer: &Answer, query: &Query, all: &[Drawn]) {
        let rows = chosen(all, &query.filter, answer.range);
        let totals = |rows: &[Drawn]| {
            let mut paid: Vec<i64> = rows.iter().filter(|row| row.2 % 2 == 1).filter_map(|row| row.1).collect();
            paid.sort_unstable();
            let at = |fraction: f64| paid.get((fraction * paid.len() as f64).ceil().max(1.0) as usize - 1).copied();
            let cards: std::collections::BTreeSet<u8> =
                rows.iter().map(|row| row.2 % 4).filter(|card| *card > 0).collect();
            let percentiles = if paid.is_empty() { [None; 3] } else { [0.5, 0.95, 0.99].map(at) };
            (
                rows.len() as u64,
                paid.iter().sum::<i64>(),
                paid.first().copied(),
                paid.last().copied(),
                percentiles,
                cards.len() as u64,
            )
        };
        let said = |found: &Totals| {
            (found.figures.count, found.figures.sum, found.min, found.max, found.percentiles, found.cards)
        };
        assert_eq!(said(&answer.totals), totals(&rows));
        if let (Some(before), Some((from, to))) = (&answer.before, answer.range) {
            assert_eq!(said(before), totals(&chosen(all, &query.filter, Some((from - (to - from), from)))));
        }
        let approved = rows.iter().filter(|row| row.2 % 3 == 1).count() as u64;
        assert_eq!(answer.totals.figures.approved, approved);
        for table in &answer.tables {
            match (table.by, &table.keys) {
                (By::Time, Keys::Times(starts)) => {
                    let inside = |start: i64, end: i64| {
                        let inside = |row: &&Drawn| row.0.is_some_and(|time| start <= time && time < end);
                        totals(&rows.iter().filter(inside).copied().collect::<Vec<_>>())
                    };
                    assert!(starts.iter().skip(1).eq(table.ends.iter().take(starts.len().saturating_sub(1))));
                    if let (Window::Last(_), Some((from, to))) = (query.window, answer.range) {
                        assert!(starts[0] <= from && from < table.ends[0] && to <= table.ends[starts.len() - 1]);
                    }
                    for (at, start) in starts.iter().enumerate() {
                        let (count, sum, min, max, _, cards) = inside(*start, table.ends[at]);
                        let said =
                            (table.figures[at].count, table.figures[at].sum, table.extremes[at], table.cards[at]);
                        assert_eq!(said, (count, sum, min.zip(max), cards), "bucket {start}");
                    }
                    let timed: u64 = table.figures.iter().map(|figures| figures.count).sum();
                    let sum: i64 = table.figures.iter().map(|figures| figures.sum).sum();
                    let other = (table.other.1.count, table.other.1.sum);
                    assert_eq!(other, (answer.totals.figures.count - timed, answer.totals.figures.sum - sum));
                }
                (By::Week, Keys::Numbers(hours)) => {
                    for (hour, figures) in hours.iter().zip(&table.figures) {
                        let of = |time: i64| ((time + local(time, query)) / (3600 * SECOND) + 72) % 168;
                        let count = rows.iter().filter(|row| row.0.is_some_and(|time| of(time) == *hour)).count();
                        assert_eq!(figures.count, count as u64, "hour {hour}");
                    }
                }
                (By::Dimension(Dimension::Of(Attribute::MERCHANT)), Keys::Names(names)) => {
                    assert_eq!(
                        names.len() + table.other.0,
                        rows.iter().map(|row| row.2 % 5).collect::<std::collections::BTreeSet<_>>().len()
                    );
                    for (name, figures) in names.iter().zip(&table.figures) {
                        let of = |pick: u8| {
                            (!pick.is_multiple_of(5))
                                .then(|| ["a", "b", "c", "d"][usize::from(pick % 5) - 1].to_owned())
                        };
                        let count = rows.iter().filter(|row| of(row.2) == *name).count();
                        assert_eq!(figures.count, count as u64, "{name:?}");
                    }
                    let all = table.figures.iter().fold(table.other.1, |sum, figures| sum + *figures);
                    assert_eq!((all.count, all.sum), (answer.totals.figures.count, answer.totals.figures.sum));
                }
                (By::Dimension(Dimension::Of(Attribute::COUNTRY)), Keys::Names(names)) => {
                    for (name, figures) in names.iter().zip(&table.figures) {
                        let of = |pick: u8| {
                            (!pick.is_multiple_of(3)).then(|| ["a", "b"][usize::from(pick % 3) - 1].to_owned())
                        };
                        let count = rows.iter().filter(|row| of(row.2) == *name).count();
                        assert_eq!(figures.count, count as u64, "{name:?}");
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn what_nobody_asks_is_forgotten() {
        let (columns, mut queries) = (Columns::default(), KeptQueries::default());
        let mut ask = |min: i64, now: i64| {
            let filter = Filter { min_cents: Some(min), ..Filter::default() };
            queries.answer(&Query { filter, ..Query::default() }, now, &columns, 1).unwrap();
            let mut kept: Vec<_> = queries.kept.keys().filter_map(|query| query.filter.min_cents).collect();
            kept.sort_unstable();
            kept
        };
        for min in 0..KEPT as i64 {
            ask(min, 0);
        }
        ask(0, KEPT_FOR);
        assert_eq!(ask(1000, KEPT_FOR), (0..1).chain(2..KEPT as i64).chain([1000]).collect::<Vec<_>>());
        assert_eq!(ask(1000, KEPT_FOR + 1), [0, 1000]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
        #[test]
        fn carried_forward_is_counted_anew(
            steps in rows(),
            moves in prop::collection::vec(prop_oneof![0..20 * MINUTE, (0..20i64).prop_map(|by| by * MINUTE)], 8),
            last in prop_oneof![1i64..20, 63i64..90],
            width in prop_oneof![Just(None), Just(Some(MINUTE)), Just(Some(20 * MINUTE))],
            least in prop::option::of(prop_oneof![Just(0), Just(-5_000_000_000i64)]),
            extremes in any::<bool>(),
            changes in prop_oneof![
                Just(vec![]),
                Just(vec![(95 * MINUTE, 1800)]),
                Just(vec![(70 * MINUTE, 6000), (141 * MINUTE + 1, 5400)]),
            ],
        ) {
            let mut filter = Filter::default();
            if let Some(least) = least {
                filter.only.insert(Dimension::Of(Attribute::CITY), [Some("a".into()), Some("c".into()), None].into());
                filter.min_cents = Some(least);
            }
            let windows = [Window::All, Window::Last(last * MINUTE), Window::Between(50 * MINUTE, 120 * MINUTE)];
            let mut columns = Columns::default();
            let mut queries = KeptQueries::default();
            let mut now = 100 * MINUTE;
            let mut all = Vec::new();
            for (step, by) in steps.into_iter().zip(moves) {
                for row in step {
                    push(&mut columns, row);
                    all.push(row);
                }
                now += by;
                for window in windows {
                    let query = Query {
                        filter: filter.clone(),
                        offsets: Offsets::changing(5400, changes.clone()),
                        width,
                        window,
                        currency: Some(Some("Eur".into())),
                        groupings: groupings(extremes),
                        before: window != Window::All,
                    };
                    let carried = queries.answer(&query, now, &columns, 1).unwrap();
                    let anew = KeptQueries::default().answer(&query, now, &columns, 2).unwrap();
                    check(&carried, &query, &all);
                    prop_assert_eq!(carried, anew);
                }
            }
        }
    }
}
