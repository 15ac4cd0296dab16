//! Compares windows with a plain recount of the same transactions, and with windows that were stored and loaded again.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::{BTreeMap, BTreeSet};

use ccstream_analysis::segments::Segments;
use ccstream_analysis::windows::{Definition, Event, Facts, Fields, Missed, Shape, Window, parse};
use ccstream_core::event::{Cents, Micros, Transaction};
use ccstream_core::fields::Place;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;

/// A transaction: its time in seconds, its issuer and its card.
#[derive(Debug, Clone, Copy)]
struct Paid {
    time: i64,
    issuer: Option<u8>,
    card: u8,
    cents: i64,
}

/// The start and the issuer of a row.
type Key = (i64, Option<String>);

/// A row of the table, as far as it is compared: end, count, late, sum, min, max, cards.
type Row = (i64, i64, i64, i64, i64, i64, u64);

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Counted {
    rows: BTreeMap<Key, Row>,
    late: i64,
}

fn definition(text: &str) -> Definition {
    let text = format!(
        "[[window]]\nname = \"w\"\nby = [\"issuer\", \"currency\"]\nmeasures = [\"count\", \"sum\", \"cards\"]\n{text}"
    );
    let parsed = parse(&text);
    assert!(parsed.wrong.is_empty(), "{:?}", parsed.wrong);
    parsed.right[0].clone()
}

fn facts(fields: &Fields, paid: &Paid) -> Facts {
    let mut transaction = Transaction::new("a", Micros(paid.time * SECOND), Cents(paid.cents))
        .with(Place::CARD_TOKEN, format!("card{}", paid.card))
        .with(Place::STATUS, "approved");
    if let Some(issuer) = paid.issuer {
        transaction = transaction.with(Place::ISSUER, format!("issuer{issuer}"));
    }
    fields.facts(&transaction)
}

/// The table and the stored parts of a window that is killed and loaded again.
struct Stored {
    fields: Fields,
    window: Window,
    table: Counted,
    parts: BTreeMap<usize, (u64, Vec<u8>)>,
}

impl Stored {
    fn new(definition: &Definition) -> Self {
        let mut fields = Fields::default();
        fields.add(&[Place::CITY]);
        fields.add(&definition.by);
        let window = Window::new(definition.clone(), &fields);
        let parts = (0..32).map(|part| (part, (0, Vec::new()))).collect();
        Self { fields, window, table: Counted::default(), parts }
    }

    fn add(&mut self, seq: u64, paid: &Paid, reached: Option<i64>) -> Missed {
        let facts = facts(&self.fields, paid);
        self.window.add(&Event { seq, time: paid.time * SECOND, reached, facts: &facts, score: Some(0.5) })
    }

    fn flush(&mut self, seq: u64, reached: Option<i64>, most: usize) {
        let flushed = self.window.flush(reached);
        let keys: BTreeMap<u64, Option<String>> = self.names();
        for (start, key) in flushed.gone {
            if let Some(issuer) = keys.get(&key) {
                self.table.rows.remove(&(start / SECOND, issuer.clone()));
            }
        }
        for row in flushed.rows {
            let values: Vec<Option<&str>> = row.values().collect();
            let issuer = values[0].map(ToOwned::to_owned);
            assert_eq!((values.len(), values[1], row.cards.1), (2, None, true));
            let totals = row.totals;
            let found = (row.end / SECOND, totals.count, totals.late, totals.sum, totals.min, totals.max, row.cards.0);
            self.table.rows.insert((row.start / SECOND, issuer), found);
        }
        let (parts, unchanged) = self.window.snapshot(seq, most);
        for part in unchanged {
            self.parts.get_mut(&part).unwrap().0 = seq;
        }
        self.parts.extend(parts.into_iter().map(|one| (one.part, (seq, one.data))));
    }

    fn names(&self) -> BTreeMap<u64, Option<String>> {
        let issuers = (0..8).map(Some).chain([None]);
        let key = |issuer| {
            let paid = Paid { time: 0, issuer, card: 0, cents: 0 };
            let mut other = Window::new(self.window.definition().clone(), &self.fields);
            let facts = facts(&self.fields, &paid);
            other.add(&Event { seq: 1, time: 0, reached: None, facts: &facts, score: None });
            (other.flush(None).rows[0].key, issuer.map(|number| format!("issuer{number}")))
        };
        issuers.map(key).collect()
    }

    fn restart(&mut self) {
        self.window = Window::new(self.window.definition().clone(), &self.fields);
        for (part, (seq, data)) in &self.parts {
            self.window.load(*part, *seq, data).unwrap();
        }
    }
}

/// Returns the greatest time before each transaction.
fn reached(paid: &[Paid]) -> Vec<Option<i64>> {
    let before = paid.iter().scan(None, |reached, one| {
        let before = *reached;
        *reached = (*reached).max(Some(one.time * SECOND));
        Some(before)
    });
    before.collect()
}

/// Counts without panes, buckets or sessions that are kept open.
fn recount(definition: &Definition, paid: &[Paid]) -> Counted {
    let mut counted = Counted::default();
    let mut cells: BTreeMap<Key, (i64, Vec<(Paid, bool)>)> = BTreeMap::new();
    let mut closed: BTreeMap<Key, (i64, Vec<(Paid, bool)>)> = BTreeMap::new();
    for (one, before) in paid.iter().zip(reached(paid)) {
        let issuer = one.issuer.map(|number| format!("issuer{number}"));
        let watermark = before.map_or(i64::MIN, |before| before - definition.lateness);
        let entry = (*one, before.is_some_and(|before| one.time * SECOND < before));
        match definition.shape {
            Shape::Fixed { size, hop } => {
                let last = (one.time * SECOND).div_euclid(hop) * hop;
                for start in (0..size / hop).map(|number| last - number * hop) {
                    if start + size <= watermark {
                        counted.late += 1;
                        continue;
                    }
                    let cell = cells.entry((start / SECOND, issuer.clone())).or_default();
                    cell.0 = (start + size) / SECOND;
                    cell.1.push(entry);
                }
            }
            Shape::Session { gap, .. } => {
                if one.time * SECOND + gap < watermark {
                    counted.late += 1;
                    continue;
                }
                let gap = gap / SECOND;
                let mut rows = vec![entry];
                let is_closed = |end: i64| end * SECOND < watermark;
                let keys: Vec<Key> = cells.keys().cloned().collect();
                let (mut first, mut last) = (one.time, one.time);
                for key in keys {
                    if is_closed(cells[&key].0) {
                        closed.insert(key.clone(), cells.remove(&key).unwrap());
                    } else if key.1 == issuer && key.0 <= one.time + gap && one.time <= cells[&key].0 {
                        let joined = cells.remove(&key).unwrap();
                        (first, last) = (first.min(key.0), last.max(joined.0 - gap));
                        rows.extend(joined.1);
                    }
                }
                cells.insert((first, issuer), (last + gap, rows));
            }
        }
    }
    for (key, (end, rows)) in cells.into_iter().chain(closed) {
        let cents = || rows.iter().map(|(one, _)| one.cents);
        let late = rows.iter().filter(|(_, is_late)| *is_late).count() as i64;
        let cards: BTreeSet<u8> = rows.iter().map(|(one, _)| one.card).collect();
        let row = (
            end,
            rows.len() as i64,
            late,
            cents().sum(),
            cents().min().unwrap(),
            cents().max().unwrap(),
            cards.len() as u64,
        );
        counted.rows.insert(key, row);
    }
    counted
}

fn payments() -> impl Strategy<Value = Vec<Paid>> {
    let one = (-40..10i64, proptest::option::of(0..3u8), 0..20u8, -50..500i64);
    prop::collection::vec(one, 1..250).prop_map(|steps| {
        let mut now = 1_000;
        let later = |(step, issuer, card, cents)| {
            now += 3;
            Paid { time: now + step, issuer, card, cents }
        };
        steps.into_iter().map(later).collect()
    })
}

fn definitions() -> impl Strategy<Value = Definition> {
    let texts = [
        "size = \"10s\"",
        "size = \"10s\"\nlateness = \"25s\"",
        "size = \"30s\"\nhop = \"5s\"\nlateness = \"12s\"",
        "size = \"20s\"\nhop = \"10s\"",
        "gap = \"6s\"\nlateness = \"60s\"",
        "gap = \"4s\"\nlateness = \"10s\"",
        "gap = \"9s\"",
    ];
    (0..texts.len()).prop_map(move |at| definition(texts[at]))
}

proptest! {
    #[test]
    fn windows_equal_a_recount_however_often_they_are_killed(
        paid in payments(),
        definition in definitions(),
        kills in prop::collection::vec((1..60usize, 1..40usize, 0..3_000usize), 0..8),
    ) {
        let mut stored = Stored::new(&definition);
        let before = reached(&paid);
        let mut kills = kills.into_iter();
        let (mut flush_every, mut kill_after, mut most) = kills.next().unwrap_or((7, 1_000, 1_000));
        let (mut at, mut counted, mut since, mut flushed) = (0, 0, 0, 0);
        while at < paid.len() {
            let missed = stored.add(at as u64 + 1, &paid[at], before[at]);
            at += 1;
            // The number of late ones is committed with the place.
            if at > counted {
                stored.table.late += missed.late;
                counted = at;
            }
            if at % flush_every == 0 && at >= flushed {
                flushed = at;
                let now = before[at - 1].max(Some(paid[at - 1].time * SECOND));
                stored.flush(at as u64, now, most);
            }
            since += 1;
            if since == kill_after {
                stored.restart();
                at = stored.window.resumes_after() as usize;
                since = 0;
                (flush_every, kill_after, most) = kills.next().unwrap_or((7, 1_000, 1_000));
            }
        }
        let now = before[paid.len() - 1].max(Some(paid[paid.len() - 1].time * SECOND));
        stored.flush(paid.len() as u64, now, usize::MAX);
        prop_assert_eq!(stored.table, recount(&definition, &paid));
    }
}

#[test]
fn a_session_becomes_no_longer_than_its_limit() {
    let definition = definition("gap = \"10s\"\nlongest = \"25s\"\nlateness = \"100s\"");
    let paid = |time| Paid { time, issuer: None, card: 0, cents: 1 };
    let mut stored = Stored::new(&definition);
    let times = [0, 10, 20, 30, 40, 50, 25, 60];
    let all: Vec<Paid> = times.map(paid).into();
    for (at, before) in reached(&all).into_iter().enumerate() {
        assert_eq!(stored.add(at as u64 + 1, &all[at], before), Missed::default());
        stored.flush(at as u64 + 1, Some(60 * SECOND), 0);
    }
    let found: Vec<_> = stored.table.rows.iter().map(|((start, _), row)| (*start, row.0, row.1)).collect();
    assert_eq!(found, [(0, 35, 4), (30, 60, 3), (60, 70, 1)]);
}

#[test]
fn cells_are_limited_and_what_has_no_room_is_counted() {
    let definition = definition("size = \"10s\"\nhop = \"5s\"\ncells = 32");
    let mut stored = Stored::new(&definition);
    let mut missed = Missed::default();
    for issuer in 0..=255 {
        let paid = Paid { time: 3, issuer: Some(issuer), card: 0, cents: 1 };
        let one = stored.add(u64::from(issuer) + 1, &paid, None);
        (missed.late, missed.no_room) = (missed.late + one.late, missed.no_room + one.no_room);
    }
    let rows = stored.window.flush(Some(3 * SECOND)).rows.len() as i64;
    assert_eq!((rows + missed.no_room, missed.late), (512, 0));
    assert!(rows <= 64, "{rows}");
    // Once windows are closed, there is room again.
    let paid = Paid { time: 100, issuer: Some(0), card: 0, cents: 1 };
    assert_eq!(stored.add(300, &paid, Some(99 * SECOND)), Missed::default());
}

#[test]
fn definitions_survive_being_written() {
    for text in ["size = \"5m\"", "size = \"1h\"\nhop = \"90s\"\nlateness = \"2d\"", "gap = \"30m\"\ncells = 7"] {
        let one = definition(text);
        assert_eq!(parse(&one.to_string()).right, [one]);
    }
}

#[test]
fn a_window_by_segment() {
    let definition = definition("size = \"1m\"").to_string().replace("\"issuer\"", "\"segment\"");
    let definition = parse(&definition).right.remove(0);
    let mut fields = Fields::default();
    fields.add(&definition.by);
    // What is needed later comes after the segment.
    fields.add(&[Place::CITY]);
    let mut window = Window::new(definition, &fields);
    let of = |merchant: Option<&'static str>| {
        let mut transaction = Transaction::new("a", Micros(0), Cents(100)).with(Place::CITY, "Bonn");
        if let Some(merchant) = merchant {
            transaction = transaction.with(Place::MERCHANT, merchant);
        }
        fields.facts(&transaction)
    };
    let [first, second] = ["rare", "large"].map(|name| [("Alder Books", name)].into_iter().collect::<Segments>());
    let mut all = vec![of(Some("Alder Books"))];
    for (merchant, segments) in [
        (Some("Alder Books"), &first),
        (Some("Alder Books"), &second),
        (Some("Birch Cafe"), &first),
        (None, &first),
        (Some("Alder Books"), &first),
    ] {
        let mut facts = of(merchant);
        facts.assign(segments);
        let values: Vec<Option<&str>> = facts.values().collect();
        assert_eq!(values, [merchant.and_then(|merchant| segments.of(merchant)), None, Some("Bonn")]);
        all.push(facts);
    }
    // What is read from the tables has the same key.
    let mut named = of(Some("Alder Books"));
    named.assign_name("rare");
    assert_eq!(named, all[1]);
    for (at, facts) in all.iter().enumerate() {
        window.add(&Event { seq: at as u64 + 1, time: 0, reached: None, facts, score: None });
    }
    let counted: BTreeMap<Option<String>, i64> = window
        .flush(None)
        .rows
        .iter()
        .map(|row| (row.values().next().flatten().map(ToOwned::to_owned), row.totals.count))
        .collect();
    let expected = [(None, 3), (Some("large".to_owned()), 1), (Some("rare".to_owned()), 2)];
    assert_eq!(counted, expected.into());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let right = "name = \"a\"\nsize = \"5m\"\nmeasures = [\"count\"]\n";
    for (text, expected) in [
        ("[[window]\n", "line 1, column 10"),
        ("[window]\nname = \"a\"\n", "line 1, column 2: write each window"),
        ("x = 1\n", "line 1, column 1: there is no key \"x\""),
        ("[[window]]\nsize = \"5m\"\n", "line 1, column 1: a window needs a name"),
        ("[[window]]\nname = \"A\"\n", "line 2, column 8: A: a name has"),
        ("[[window]]\nname = \"a\"\nwidth = \"5m\"\n", "line 3, column 1: a: there is no key \"width\""),
        ("[[window]]\nname = \"a\"\nsize = 5\n", "line 3, column 8: a: write size as"),
        (
            "[[window]]\nname = \"a\"\nsize = \"32d\"\n",
            "line 3, column 8: a: write size as a whole number and s, m, h, d or w, from 1s to 31d",
        ),
        ("[[window]]\nname = \"a\"\nsize = \"5m\"\nhop = \"2m\"\n", "line 4, column 7: a: the size must be"),
        ("[[window]]\nname = \"a\"\nsize = \"5m\"\ngap = \"2m\"\n", "line 4, column 7: a: a window has a size, or"),
        ("[[window]]\nname = \"a\"\ngap = \"5m\"\nhop = \"2m\"\n", "line 4, column 7: a: hop needs size"),
        ("[[window]]\nname = \"a\"\nsize = \"5m\"\n", "line 1, column 1: a: a window needs measures"),
        (
            "[[window]]\nname = \"a\"\nsize = \"5m\"\nby = [\"issuer\", \"ä\"]\n",
            "line 4, column 17: a: there is no dim",
        ),
        (
            "[[window]]\nname = \"a\"\nsize = \"5m\"\nmeasures = [\"count\", \"sum\"]\n",
            "line 4, column 22: a: sum needs",
        ),
        ("[[window]]\nname = \"a\"\nsize = \"5m\"\nmeasures = [\"n\"]\n", "line 4, column 13: a: there is no measure"),
    ] {
        let parsed = parse(text);
        let found: Vec<String> = parsed.wrong.iter().map(ToString::to_string).collect();
        assert!(found[0].starts_with(expected), "{text}: {found:?}");
        assert!(parsed.right.is_empty());
    }
    let both = format!("[[window]]\n{right}\n[[window]]\n{right}\n[[window]]\nname = \"b\"\n{}", &right[11..]);
    let parsed = parse(&both);
    assert_eq!(parsed.right.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(parsed.wrong[0].to_string(), "line 7, column 8: a: another window has this name");
}
