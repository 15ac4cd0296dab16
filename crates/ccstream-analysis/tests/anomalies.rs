//! Tests that what is planted in a stream is found, that what only resembles it is not, and that a state which is restored
//! continues as if nothing had happened.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use ccstream_analysis::anomalies::{Anomalies, Basis, Dimension, Kpi, Reading, Turn};
use ccstream_analysis::windows::{Facts, Fields};
use ccstream_core::event::{Cents, Micros, Transaction};
use ccstream_core::fields::Place;

mod common;

use common::Random;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// 2026-01-05, a Monday, in minutes.
const MONDAY: i64 = 20_458 * DAY;

/// A kind of transactions: issuer, network, country, category, merchant, and how many there are a minute at noon.
type Kind = ([&'static str; 5], f64);

const KINDS: [Kind; 4] = [
    (["Alderbank", "visa", "DE", "food", "Alder Books"], 30.0),
    (["Alderbank", "visa", "FR", "fuel", "Cedar Fuel"], 24.0),
    (["Brightwater", "amex", "DE", "food", "Birch Foods"], 30.0),
    (["Brightwater", "amex", "FR", "fuel", "Driftwood Fuel"], 20.0),
];
const NEW: Kind = (["Castlemoor", "visa", "DE", "food", "Alder Books"], 30.0);
const CENTS: [i64; 6] = [300, 700, 1_200, 2_000, 4_500, 11_000];

/// What is different from an ordinary minute: a factor of the rate of each kind, and whether its issuer answers.
type Change<'c> = &'c dyn Fn(i64, &Kind) -> (f64, bool);

const USUAL: Change<'static> = &|_, _| (1.0, true);

#[derive(Clone)]
struct Run {
    anomalies: Anomalies,
    fields: Fields,
    random: u64,
    minute: i64,
    readings: Vec<Reading>,
}

fn fields() -> Fields {
    let mut fields = Fields::default();
    fields.add(&Anomalies::places());
    fields
}

fn facts(fields: &Fields, values: [&'static str; 5], cents: i64, is_approved: bool) -> Facts {
    let mut transaction = Transaction::new("a", Micros(0), Cents(cents))
        .with(Place::STATUS, if is_approved { "approved" } else { "declined" })
        .with(Place::CURRENCY, "EUR");
    let places = [Place::ISSUER, Place::PAYMENT_METHOD, Place::COUNTRY, Place::CATEGORY, Place::MERCHANT];
    for (place, value) in places.into_iter().zip(values) {
        transaction = transaction.with(place, value);
    }
    fields.facts(&transaction)
}

/// Returns how many transactions an hour has, as a share of noon's.
fn shape(minute: i64) -> f64 {
    let (day, hour) = ((minute - MONDAY).rem_euclid(WEEK) / DAY, minute.rem_euclid(DAY) / HOUR);
    let of_day = [1.0, 1.0, 1.0, 1.0, 1.1, 0.8, 0.5][day as usize];
    of_day
        * [
            0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.4, 0.7, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9, 1.0, 1.1, 1.0, 0.8,
            0.6, 0.4, 0.3,
        ][hour as usize]
}

impl Run {
    fn new() -> Self {
        let fields = fields();
        Self { anomalies: Anomalies::new(&fields), fields, random: 7, minute: MONDAY, readings: Vec::new() }
    }

    /// Returns a stream of four weeks in which nothing was unusual.
    fn after_four_weeks() -> Self {
        static RUN: OnceLock<Run> = OnceLock::new();
        let make = || {
            let mut run = Self::new();
            run.go(&KINDS, 4 * WEEK, USUAL);
            run.readings.clear();
            run
        };
        RUN.get_or_init(make).clone()
    }

    /// Goes on for a number of minutes.
    fn go(&mut self, kinds: &[Kind], minutes: i64, change: Change<'_>) {
        let made: Vec<Vec<[Facts; 2]>> = kinds
            .iter()
            .map(|(values, _)| {
                CENTS.iter().map(|cents| [false, true].map(|is| facts(&self.fields, *values, *cents, is))).collect()
            })
            .collect();
        let mut random = Random(self.random);
        for minute in self.minute..self.minute + minutes {
            let mut all = Vec::new();
            for (kind, made) in kinds.iter().zip(&made) {
                let (factor, answers) = change(minute, kind);
                let mean = kind.1 * shape(minute) * factor;
                // Twelve draws from 0 to 1 have a variance of 1.
                let normal = (0..12).map(|_| random.below(1_000) as f64 / 1_000.0).sum::<f64>() - 6.0;
                let count = (mean + mean.sqrt() * normal).round().max(0.0) as u64;
                for _ in 0..count {
                    let is_approved = answers && random.below(25) > 0;
                    let time = minute * MINUTE + random.below(60_000_000) as i64;
                    all.push((time, &made[random.below(6) as usize][usize::from(is_approved)]));
                }
            }
            all.sort_by_key(|(time, _)| *time);
            for (time, facts) in all {
                self.anomalies.event(facts, Micros(time));
            }
            self.readings.extend(self.anomalies.close_minutes(Micros(0)));
        }
        (self.random, self.minute) = (random.0, self.minute + minutes);
    }

    /// Goes on as usual until an hour of a day from now.
    fn go_to(&mut self, days: i64, hour: i64) {
        let until = (self.minute.div_euclid(DAY) + days) * DAY + hour * HOUR;
        self.go(&KINDS, until - self.minute, USUAL);
    }

    /// Lists the anomalies that were opened.
    fn opened(&self) -> BTreeSet<(Dimension, &str, Kpi)> {
        let opened = self.readings.iter().filter(|reading| reading.turn == Some(Turn::Opened));
        opened.map(|reading| (reading.dimension, &*reading.series, reading.kpi)).collect()
    }

    /// Returns how many minutes after a minute the first anomaly of a series was opened and closed.
    fn turns(&self, since: i64, dimension: Dimension, name: &str, kpi: Kpi) -> Vec<(i64, Turn)> {
        let of = |reading: &&Reading| (reading.dimension, &*reading.series, reading.kpi) == (dimension, name, kpi);
        let turns = self.readings.iter().filter(of);
        turns.filter_map(|reading| Some((reading.end / MINUTE - since, reading.turn?))).collect()
    }
}

#[test]
fn an_issuer_that_is_out_is_found_within_minutes_and_its_end_as_well() {
    let mut run = Run::after_four_weeks();
    run.go_to(1, 10);
    let start = run.minute;
    run.go(&KINDS, 40, &|_, kind| (1.0, kind.0[0] != "Alderbank"));
    run.go(&KINDS, 60, USUAL);
    let turns = run.turns(start, Dimension::Issuer, "Alderbank", Kpi::Approval);
    let [(opened, Turn::Opened), (closed, Turn::Closed)] = turns[..] else { panic!("{turns:?}") };
    assert!(opened <= 6 && (40..=55).contains(&closed), "{opened} {closed}");
    // Who pays with other cards is not affected, though the approval rate of all falls.
    for name in ["Brightwater", "Birch Foods", "amex"] {
        assert!(run.opened().iter().all(|(_, series, _)| *series != name), "{:?}", run.opened());
    }
    assert!(run.opened().iter().all(|(_, _, kpi)| *kpi != Kpi::Rate));
    let during = run.readings.iter().filter(|reading| (start + 10..start + 35).contains(&(reading.end / MINUTE)));
    let mut during = during.filter(|reading| reading.dimension == Dimension::Issuer && &*reading.series == "Alderbank");
    let reading = during.find(|reading| reading.kpi == Kpi::Approval).unwrap();
    assert!(reading.is_anomalous && reading.deviation < -10.0 && reading.basis == Basis::Weeks);
    assert!(reading.low > 0.7 && reading.expected > reading.low && reading.high >= reading.expected, "{reading:?}");
}

#[test]
fn a_merchant_without_transactions_and_one_with_a_sale_are_found() {
    for (factor, name) in [(0.0, "Birch Foods"), (4.0, "Cedar Fuel")] {
        let mut run = Run::after_four_weeks();
        run.go_to(2, 15);
        let start = run.minute;
        run.go(&KINDS, 120, &|_, kind| (if kind.0[4] == name { factor } else { 1.0 }, true));
        let turns = run.turns(start, Dimension::Merchant, name, Kpi::Rate);
        let [(opened, Turn::Opened)] = turns[..] else { panic!("{turns:?}") };
        assert!(opened <= 6, "{opened}");
        assert!(!run.turns(start, Dimension::Merchant, name, Kpi::Value).is_empty());
        assert!(run.opened().iter().all(|(_, _, kpi)| *kpi != Kpi::Approval), "{:?}", run.opened());
        assert!(run.opened().iter().all(|(_, series, _)| !["Alder Books", "Driftwood Fuel"].contains(series)));
    }
}

#[test]
fn quiet_nights_weekends_and_mondays_are_usual() {
    let mut run = Run::after_four_weeks();
    run.go(&KINDS, 2 * WEEK, USUAL);
    assert_eq!(run.opened(), BTreeSet::new());
    assert!(run.readings.len() > 100_000);
    let key = |reading: &Reading| (reading.dimension, reading.series.clone(), reading.kpi, reading.end);
    let keys: BTreeSet<_> = run.readings.iter().map(key).collect();
    assert_eq!(keys.len(), run.readings.len(), "a series is watched twice");
}

#[test]
fn after_a_pause_of_two_days_earlier_weeks_are_still_known() {
    let mut run = Run::after_four_weeks();
    run.go_to(1, 12);
    run.go(&KINDS, 30, &|_, kind| (1.0, kind.0[0] != "Alderbank"));
    assert!(!run.opened().is_empty());
    run.minute += 2 * DAY;
    run.go(&KINDS, 30, USUAL);
    let turns = |turn: Turn| run.readings.iter().filter(|reading| reading.turn == Some(turn)).count();
    assert_eq!(turns(Turn::Opened), turns(Turn::Closed));
    assert!(run.readings.iter().rfind(|reading| reading.turn == Some(Turn::Closed)).unwrap().observed.is_none());
    run.readings.clear();
    // Neither the rest of the day on which the pause began nor the beginning of the one on which it ended has zeros.
    run.go(&KINDS, 2 * WEEK, USUAL);
    assert_eq!(run.opened(), BTreeSet::new());
    assert!(run.readings.iter().all(|reading| reading.basis == Basis::Weeks));
}

#[test]
fn what_stops_on_the_same_days_of_each_month_is_usual() {
    let kinds: Vec<Kind> =
        KINDS.into_iter().chain([(["Alderbank", "visa", "DE", "subscriptions", "Elm Streaming"], 80.0)]).collect();
    let mut run = Run::new();
    // 2026-03-20. The last days of March, and of April, have no payments of subscriptions.
    run.minute = MONDAY + 74 * DAY;
    let start = run.minute;
    let monthly = move |minute: i64, kind: &Kind| {
        let is_over = matches!((minute - start) / DAY, 9..=11 | 40..=41);
        (if kind.0[3] == "subscriptions" && is_over { 0.0 } else { 1.0 }, true)
    };
    run.go(&kinds, 38 * DAY + 10 * HOUR, &monthly);
    let (mut out, begin) = (run.clone(), run.minute);
    out.go(&kinds, 20, &|_, kind| (if kind.0[3] == "subscriptions" { 0.0 } else { 1.0 }, true));
    let turns = out.turns(begin, Dimension::Category, "subscriptions", Kpi::Rate);
    assert!(matches!(turns[..], [.., (1..=7, Turn::Opened)]), "{turns:?}");
    run.readings.clear();
    run.go(&kinds, 3 * DAY, &monthly);
    assert_eq!(run.opened(), BTreeSet::new());
}

#[test]
fn a_series_that_is_replaced_closes_its_anomaly() {
    let fields = fields();
    let mut anomalies = Anomalies::new(&fields);
    let names: Vec<String> = (0..17).map(|number| format!("network {number}")).collect();
    let networks: Vec<Facts> = names
        .iter()
        .map(|name| {
            fields.facts(&Transaction::new("a", Micros(0), Cents(100)).with(Place::PAYMENT_METHOD, name.clone()))
        })
        .collect();
    let mut turns = Vec::new();
    // From eight in the evening to half past midnight. One network is out of order before midnight, and one is new.
    for minute in 20 * HOUR..24 * HOUR + 30 {
        for (number, facts) in networks.iter().enumerate() {
            let count = match number {
                0 => 50 * i64::from(minute < 23 * HOUR + 30),
                16 => 200 * i64::from(minute > 20 * HOUR + 5),
                _ => 200,
            };
            (0..count).for_each(|_| anomalies.event(facts, Micros((MONDAY + minute) * MINUTE)));
        }
        let readings = anomalies.close_minutes(Micros(0)).into_iter();
        turns.extend(readings.filter(|reading| &*reading.series == "network 0").filter_map(|reading| reading.turn));
    }
    assert_eq!(turns, [Turn::Opened, Turn::Closed]);
}

#[test]
fn a_holiday_is_slow_as_a_whole_and_no_anomaly() {
    let mut run = Run::after_four_weeks();
    run.go_to(1, 0);
    let begin = run.minute;
    // Fewer and fewer people pay from midnight to morning, and half as many as usual all day.
    run.go(&KINDS, DAY, &|minute, _| (1.0 - 0.5 * ((minute - begin) as f64 / 420.0).min(1.0), true));
    assert_eq!(run.opened(), BTreeSet::new());
}

#[test]
fn a_rise_of_all_series_is_one_of_the_whole_alone() {
    let mut run = Run::after_four_weeks();
    run.go_to(1, 11);
    run.go(&KINDS, 60, &|_, _| (2.5, true));
    let opened = run.opened();
    assert!(opened.contains(&(Dimension::All, "", Kpi::Rate)));
    assert!(opened.iter().all(|(dimension, _, _)| *dimension == Dimension::All), "{opened:?}");
}

#[test]
fn a_new_series_is_no_anomaly_and_its_outage_is() {
    let mut run = Run::after_four_weeks();
    run.go_to(1, 9);
    let kinds: Vec<Kind> = KINDS.into_iter().chain([NEW]).collect();
    let of = |run: &Run| run.opened().iter().filter(|(_, name, _)| *name == "Castlemoor").count();
    let start = run.minute;
    run.go(&kinds, DAY, USUAL);
    assert_eq!(of(&run), 0, "{:?}", run.opened());
    let judged = run.readings.iter().find(|reading| &*reading.series == "Castlemoor").unwrap();
    assert!(judged.basis == Basis::Hour && judged.end / MINUTE < start + 50, "{judged:?}");
    let start = run.minute;
    run.go(&kinds, 30, &|_, kind| (1.0, kind.0[0] != "Castlemoor"));
    let turns = run.turns(start, Dimension::Issuer, "Castlemoor", Kpi::Approval);
    assert!(matches!(turns[..], [(1..=7, Turn::Opened)]), "{turns:?}");
}

#[test]
fn days_are_compared_while_there_are_no_weeks() {
    let mut run = Run::new();
    // From Monday to the evening of the next Monday: the Monday follows a Sunday with half as many transactions.
    run.go(&KINDS, WEEK + 20 * HOUR, USUAL);
    assert_eq!(run.opened(), BTreeSet::new());
    assert!(run.readings.iter().any(|reading| reading.basis == Basis::Days));
    let start = run.minute;
    run.go(&KINDS, 20, &|_, kind| (if kind.0[4] == "Alder Books" { 0.0 } else { 1.0 }, true));
    let turns = run.turns(start, Dimension::Merchant, "Alder Books", Kpi::Rate);
    assert!(matches!(turns[..], [(1..=7, Turn::Opened)]), "{turns:?}");
}

#[test]
fn an_anomaly_of_a_day_is_usual_then() {
    let mut run = Run::after_four_weeks();
    run.go_to(1, 12);
    let start = run.minute;
    run.go(&KINDS, 2 * DAY, &|_, kind| (if kind.0[4] == "Birch Foods" { 2.0 } else { 1.0 }, true));
    let turns = run.turns(start, Dimension::Merchant, "Birch Foods", Kpi::Rate);
    let (_, last) = turns.last().unwrap();
    assert!(*last == Turn::Closed && turns.iter().all(|(minute, _)| *minute < DAY + 60), "{turns:?}");
}

#[test]
fn wrong_clocks_neither_move_the_time_nor_count() {
    let mut run = Run::after_four_weeks();
    run.go_to(1, 12);
    let facts = facts(&run.fields, KINDS[0].0, 1_000, true);
    // Those of the very first minute were not counted either.
    let before = run.anomalies.missed();
    for _ in 0..120 {
        run.go(&KINDS, 1, USUAL);
        for hours in [-3, 5] {
            run.anomalies.event(&facts, Micros((run.minute + hours * HOUR) * MINUTE));
        }
    }
    assert_eq!(run.opened(), BTreeSet::new());
    let missed = run.anomalies.missed();
    assert_eq!((missed.late - before.late, missed.ahead - before.ahead), (120, 120));
}

#[test]
fn a_stream_that_stops_is_found_by_the_clock() {
    let mut run = Run::after_four_weeks();
    run.go_to(1, 12);
    let reached = run.minute;
    assert!(run.anomalies.close_minutes(Micros((reached - 30) * MINUTE)).is_empty());
    run.readings = run.anomalies.close_minutes(Micros((reached + 12) * MINUTE));
    assert!(run.opened().contains(&(Dimension::All, "", Kpi::Rate)));
}

/// What is stored of a state.
#[derive(Default)]
struct Stored {
    parts: BTreeMap<usize, Vec<u8>>,
    journals: Vec<(i64, Vec<u8>)>,
    open: Vec<u8>,
}

impl Stored {
    fn restored(&self, fields: &Fields) -> Anomalies {
        let mut anomalies = Anomalies::new(fields);
        self.parts.iter().for_each(|(part, data)| anomalies.load(*part, data).unwrap());
        self.journals.iter().for_each(|(_, data)| anomalies.replay(data).unwrap());
        anomalies.close_minutes(Micros(0));
        anomalies.load_open(&self.open).unwrap();
        anomalies
    }
}

/// Returns all that is known, as bytes.
fn all(anomalies: &Anomalies, before: &Stored) -> (BTreeMap<usize, Vec<u8>>, Vec<u8>) {
    let mut anomalies = anomalies.clone();
    let mut parts = before.parts.clone();
    parts.extend(anomalies.snapshot());
    (parts, anomalies.open_minutes())
}

#[test]
fn a_restored_state_equals_one_that_was_never_interrupted() {
    let mut never = Run::after_four_weeks();
    let mut stored = Stored { parts: never.anomalies.snapshot().into_iter().collect(), ..Stored::default() };
    never.anomalies.take_journals();
    let mut restored = never.clone();
    let change = |minute: i64, kind: &Kind| {
        let is_out = kind.0[0] == "Brightwater" && (400..460).contains(&minute.rem_euclid(DAY));
        (1.0, !is_out)
    };
    for (round, minutes) in [3, 1, 40, 7, 360, 30, 1, 2, 700, 90, 1_500, 11].into_iter().enumerate() {
        never.go(&KINDS, minutes, &change);
        restored.go(&KINDS, minutes, &change);
        assert_eq!(restored.readings, never.readings, "round {round}");
        stored.journals.extend(restored.anomalies.take_journals());
        if round % 4 == 2 {
            stored.parts.extend(restored.anomalies.snapshot());
            let complete = restored.anomalies.complete().unwrap();
            stored.journals.retain(|(minute, _)| *minute > complete);
        }
        stored.open = restored.anomalies.open_minutes();
        restored.anomalies = stored.restored(&restored.fields);
        assert!(all(&restored.anomalies, &stored) == all(&never.anomalies, &stored), "round {round}");
    }
    assert!(!never.opened().is_empty());
}

#[test]
fn bytes_that_are_cut_or_too_long_are_refused() {
    let mut run = Run::new();
    run.go(&KINDS, 30, USUAL);
    let journal = run.anomalies.take_journals().pop().unwrap().1;
    let open = run.anomalies.open_minutes();
    let parts = run.anomalies.snapshot();
    let is_refused = |data: &[u8], read: &dyn Fn(&mut Anomalies, &[u8]) -> bool| {
        let longer: Vec<u8> = data.iter().copied().chain([0]).collect();
        let shorter = (0..data.len()).step_by(7).all(|length| !read(&mut Anomalies::new(&fields()), &data[..length]));
        assert!(read(&mut Anomalies::new(&fields()), data));
        shorter && !read(&mut Anomalies::new(&fields()), &longer)
    };
    assert!(is_refused(&journal, &|anomalies, data| anomalies.replay(data).is_ok()));
    assert!(is_refused(&open, &|anomalies, data| anomalies.load_open(data).is_ok()));
    for (part, data) in parts {
        assert!(is_refused(&data, &|anomalies, data| anomalies.load(part, data).is_ok()), "part {part}");
    }
}

#[test]
fn a_million_merchants_take_bounded_memory_and_journals() {
    let fields = fields();
    let (mut anomalies, mut longest) = (Anomalies::new(&fields), 0);
    let mut number = 0_u32;
    for minute in 0..20 {
        for _ in 0..50_000 {
            number += 1;
            let name = if number.is_multiple_of(100) {
                "Large".to_owned()
            } else {
                format!("A merchant with the number {number}")
            };
            let transaction = Transaction::new("a", Micros(0), Cents(100)).with(Place::MERCHANT, name);
            anomalies.event(&fields.facts(&transaction), Micros((MONDAY + minute) * MINUTE));
        }
        let journals = anomalies.take_journals();
        longest = journals.iter().map(|(_, data)| data.len()).max().unwrap_or(0).max(longest);
    }
    let parts: usize = anomalies.snapshot().iter().map(|(_, data)| data.len()).sum();
    let open = anomalies.open_minutes().len();
    assert!(longest < 5_000 && parts < 400_000 && open < 400_000, "{longest} {parts} {open}");
}
