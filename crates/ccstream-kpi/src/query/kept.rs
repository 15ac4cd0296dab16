//! Caches the counts of queries, so that answering a query again only counts the rows added since.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::Answer;
use super::buckets::Buckets;
use super::chunk::Terms;
use super::question::Query;
use super::state::{Asked, State, fits, time_of};
use crate::rows::codes::SECOND;
use crate::rows::columns::Columns;
use ccstream_core::error::Result;

/// The maximum number of queries that are kept. Beyond it, the queries asked least recently are dropped.
const KEPT: usize = 128;
/// The default maximum number of bytes of all kept counts.
const KEPT_BYTES: usize = 512 << 20;
/// A query is dropped after this time (microseconds) without being asked: its page is closed or shows something else.
const KEPT_FOR: i64 = 120 * SECOND;

/// Holds the counts of a query for its range and, if asked for, for the preceding range.
#[derive(Debug)]
struct Counted {
    state: State,
    before: Option<State>,
}

/// Holds the counts of a query. The lock is held while they are computed, so that a second caller of the same query
/// waits for the first. Callers of other queries do not wait.
#[derive(Debug, Default)]
struct Kept {
    counted: Mutex<Option<Counted>>,
    /// The size of the counts in bytes.
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Entry {
    kept: Arc<Kept>,
    /// The number of the most recent call with this query.
    asked: u64,
    /// The time of the most recent call with this query.
    asked_at: i64,
}

#[derive(Debug, Default)]
struct Questions {
    entries: HashMap<Query, Entry>,
    /// The number of calls so far.
    count: u64,
}

/// Answers queries, and keeps their counts for the next call.
#[derive(Debug)]
pub struct KeptQueries {
    questions: Mutex<Questions>,
    most_bytes: usize,
}

impl Default for KeptQueries {
    fn default() -> Self {
        Self::new(KEPT_BYTES)
    }
}

/// Locks a mutex, even if a thread panicked while holding it. The data is consistent nevertheless: counts are removed
/// from the mutex while they change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeptQueries {
    /// Creates an empty cache with a maximum size of all counts in bytes.
    pub fn new(most_bytes: usize) -> Self {
        Self { questions: Mutex::default(), most_bytes }
    }

    /// Answers a query at the moment `now` (microseconds since 1970 UTC). If nothing can be reused, all rows are
    /// counted on `threads` threads. Fails with [`Error::Config`](ccstream_core::Error::Config) if the query is
    /// invalid.
    pub fn answer(&self, query: &Query, now: i64, columns: &Columns, threads: usize) -> Result<Answer> {
        query.validate()?;
        let currency = query.currency.clone().unwrap_or_else(|| columns.main_currency().map(str::to_owned));
        let key = Query { currency: Some(currency.clone()), ..query.clone() };
        let terms = Terms::new(&key.filter, currency.as_deref(), columns);
        let asked = Asked::new(&key, &key.groupings, &terms, columns);
        // For the preceding range, only the totals are counted.
        let asked_before = Asked::new(&key, &[], &terms, columns);
        let (range, buckets) = time_of(&key, now, columns)?;
        fits(&key, buckets.as_ref(), columns)?;
        let shifted = earlier(&key, range, buckets.as_ref());
        let kept = self.note(&key, now);
        let mut slot = lock(&kept.counted);
        let mut counted = slot.take();
        if let Some(one) = &mut counted {
            let fresh = one.state.advance(&asked, range, buckets.clone(), columns);
            let before = one.before.as_mut().zip(shifted.clone());
            let fresh_before = before
                .is_none_or(|(state, (range, buckets))| state.advance(&asked_before, Some(range), buckets, columns));
            if !fresh || !fresh_before {
                counted = None;
            }
        }
        let counted = counted.unwrap_or_else(|| Counted {
            state: State::count(&asked, range, buckets.as_ref(), columns, threads),
            before: shifted
                .map(|(range, buckets)| State::count(&asked_before, Some(range), buckets.as_ref(), columns, threads)),
        });
        let answer = Answer::new(now, &key, currency, &counted.state, counted.before.as_ref(), columns);
        kept.bytes.store(counted.state.bytes() + counted.before.as_ref().map_or(0, State::bytes), Relaxed);
        *slot = Some(counted);
        drop(slot);
        self.forget(now);
        Ok(answer)
    }

    /// Notes a call with a query; returns what is kept of the query.
    fn note(&self, query: &Query, now: i64) -> Arc<Kept> {
        let mut questions = lock(&self.questions);
        questions.count += 1;
        let number = questions.count;
        let entry = questions.entries.entry(query.clone()).or_default();
        (entry.asked, entry.asked_at) = (number, now);
        Arc::clone(&entry.kept)
    }

    /// Drops queries that are no longer asked; while there are too many or they are too large, also those that were
    /// asked least recently.
    fn forget(&self, now: i64) {
        let mut questions = lock(&self.questions);
        let entries = &mut questions.entries;
        entries.retain(|_, entry| now - entry.asked_at <= KEPT_FOR);
        let mut all: usize = entries.values().map(|entry| entry.kept.bytes.load(Relaxed)).sum();
        while entries.len() > KEPT || all > self.most_bytes && entries.len() > 1 {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.asked).map(|(query, _)| query.clone());
            let gone = oldest.and_then(|query| entries.remove(&query));
            all -= gone.map_or(0, |gone| gone.kept.bytes.load(Relaxed)).min(all);
        }
    }
}

/// Returns the preceding range of equal length and its buckets; None if the query does not ask for it.
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

    /// Returns every kind of grouping, with options whose counts can follow a moving range. With `extremes`, one has
    /// options whose counts cannot.
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
        // There is one currency, in different spellings.
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

    /// Encodes fields in the format of COPY.
    fn fields(texts: &[Option<&str>]) -> Vec<u8> {
        let field = |text: Option<&str>| match text {
            None => (-1i32).to_be_bytes().to_vec(),
            Some(text) => [&(text.len() as i32).to_be_bytes(), text.as_bytes()].concat(),
        };
        texts.iter().copied().flat_map(field).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<Drawn>>> {
        // Ranges and buckets begin and end at whole minutes, so times at these edges are tested too.
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
        // A few rows span little time, and later rows make the buckets wider.
        let step = prop_oneof![prop::collection::vec(row(), 0..4), prop::collection::vec(row(), 0..80)];
        prop::collection::vec(step, 1..8)
    }

    /// Returns the rows that a query selects, testing them one by one.
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

    /// Returns the offset at a moment, in microseconds east of UTC.
    fn local(time: i64, query: &Query) -> i64 {
        let stretch = query.offsets.stretches().find(|stretch| time < stretch.until);
        stretch.map_or(0, |stretch| stretch.shift)
    }

    /// Compares an answer with one that is computed from the rows one by one.
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
        let answered = |found: &Totals| {
            (found.figures.count, found.figures.sum, found.min, found.max, found.percentiles, found.cards)
        };
        assert_eq!(answered(&answer.totals), totals(&rows));
        if let (Some(before), Some((from, to))) = (&answer.before, answer.range) {
            assert_eq!(answered(before), totals(&chosen(all, &query.filter, Some((from - (to - from), from)))));
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
                        let answered =
                            (table.figures[at].count, table.figures[at].sum, table.extremes[at], table.cards[at]);
                        assert_eq!(answered, (count, sum, min.zip(max), cards), "bucket {start}");
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
    fn a_slow_query_does_not_delay_others() {
        let (columns, queries) = (Columns::default(), KeptQueries::default());
        let slow = Query { currency: Some(None), before: true, window: Window::Last(SECOND), ..Query::default() };
        let kept = queries.note(&slow, 0);
        let _being_counted = lock(&kept.counted);
        let (done, answered) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| done.send(queries.answer(&Query::default(), 0, &columns, 1)).unwrap());
            answered.recv_timeout(std::time::Duration::from_secs(60)).expect("the query is answered").unwrap();
        });
    }

    #[test]
    fn queries_that_are_no_longer_asked_are_dropped() {
        let (columns, queries) = (Columns::default(), KeptQueries::default());
        let ask = |min: i64, now: i64| {
            let filter = Filter { min_cents: Some(min), ..Filter::default() };
            queries.answer(&Query { filter, ..Query::default() }, now, &columns, 1).unwrap();
            let mut kept: Vec<_> =
                lock(&queries.questions).entries.keys().filter_map(|query| query.filter.min_cents).collect();
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
        fn updated_counts_equal_new_counts(
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
            let queries = KeptQueries::default();
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
                    let updated = queries.answer(&query, now, &columns, 1).unwrap();
                    let recounted = KeptQueries::default().answer(&query, now, &columns, 2).unwrap();
                    check(&updated, &query, &all);
                    prop_assert_eq!(updated, recounted);
                }
            }
        }
    }
}
