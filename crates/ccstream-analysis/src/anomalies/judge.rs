//! Judges the window that ends with a minute, and learns from it once in five minutes.

use super::MINUTE;
use super::bound::bound;
use super::cell::Cell;
use super::history::{BUCKET, bit};
use super::level::{Level, level, month};
use super::measure::{Basis, Kpi};
use super::reading::{Reading, Turn};
use super::scale::{self, Expected, angle, band, deviation, observed, share, trifles};
use super::series::Series;
use super::state::Anomalies;

/// A series is judged from this number of expected transactions in a window on, and until it falls to the second number
/// while it is anomalous.
const LEAST: f64 = 50.0;
const LEAST_OPEN: f64 = 25.0;
/// The number of expected transactions from which on deviations are learned from.
const LEAST_LEARNED: f64 = 20.0;

/// How all transactions together differ from what was expected, by measure: a factor, or a difference of angles.
type Whole = [Option<f64>; 3];

/// What a window is compared with besides what is expected. Only what differs from these as well is an anomaly.
struct Others<'o> {
    /// How all transactions together differ.
    whole: Option<f64>,
    /// How the same time and day of the last month differed: a factor of the rate.
    month: &'o dyn Fn() -> Option<f64>,
}

impl Anomalies {
    pub(super) fn judge(&mut self, minute: i64) {
        let bucket = minute.div_euclid(BUCKET);
        if minute.rem_euclid(BUCKET) == 0 {
            for (at, one) in self.series.iter_mut().enumerate() {
                let next = level(&self.history, at, one.born_bucket(), bucket, &one.recent);
                one.levels = [one.levels[1], next];
            }
        }
        let expected: Vec<[Expected; 3]> = self.series.iter().map(|one| one.expected(minute)).collect();
        let is_judged = |one: &Series, expected: &Expected| {
            one.is_complete(minute) && expected.basis > Basis::Nothing && expected.events >= LEAST
        };
        let judged = self.series.iter().zip(&expected);
        let judged = judged.flat_map(|(one, all)| all.iter().filter(|expected| is_judged(one, expected)));
        let bound = bound(judged.count());
        let whole = self.series.first().map(|all| all.whole(&expected[0])).unwrap_or_default();
        let is_end = minute.rem_euclid(BUCKET) == BUCKET - 1;
        for (at, one) in self.series.iter_mut().enumerate() {
            if !one.is_complete(minute) {
                continue;
            }
            let (window, born, level) = (one.window(), one.born_bucket(), one.levels[1]);
            let month = || month(&self.history, at, born, bucket, &level);
            for kpi in Kpi::ALL {
                let expected = &expected[at][kpi as usize];
                let others = Others { whole: if at == 0 { None } else { whole[kpi as usize] }, month: &month };
                self.readings.extend(one.judge(minute, &window, kpi, expected, &others, bound));
            }
            if is_end {
                let flags = one.learn(&window, &expected[at]);
                self.history.set(at, bucket, window, flags);
            }
        }
    }
}

impl Series {
    /// Returns what is expected of each measure in the window that ends with a minute.
    fn expected(&self, minute: i64) -> [Expected; 3] {
        let [before, now] = &self.levels;
        let part = (minute.rem_euclid(BUCKET) + 1) as f64 / BUCKET as f64;
        let basis = if part < 1.0 { before.basis.min(now.basis) } else { now.basis };
        let mixed = |of: fn(&Level) -> f64| part * of(now) + (1.0 - part) * of(before);
        let corrected =
            |kpi: Kpi, usual: f64, per_event: f64| self.watches[kpi as usize].corrected(basis, usual, per_event);
        let events = corrected(Kpi::Rate, mixed(|level| level.events), 1.0);
        if events < LEAST_LEARNED {
            // It is not judged, and most series are small.
            return [Expected { basis, events, value: 0.0 }; 3];
        }
        let value = corrected(Kpi::Value, mixed(|level| level.events * level.amount), now.amount);
        let approval = corrected(Kpi::Approval, mixed(|level| level.share), 1.0);
        [events, value, approval].map(|value| Expected { basis, events, value })
    }

    /// Returns how this series, of all transactions, differs from what was expected.
    fn whole(&self, expected: &[Expected; 3]) -> Whole {
        let window = self.window();
        Kpi::ALL.map(|kpi| {
            let expected = &expected[kpi as usize];
            let value =
                observed(kpi, &window).filter(|_| expected.basis > Basis::Nothing && expected.events >= LEAST)?;
            Some(match kpi {
                Kpi::Approval => angle(value) - angle(expected.value),
                _ if expected.value > 0.0 => value / expected.value,
                _ => return None,
            })
        })
    }

    /// Judges a measure.
    fn judge(
        &mut self,
        minute: i64,
        window: &Cell,
        kpi: Kpi,
        expected: &Expected,
        others: &Others<'_>,
        bound: f64,
    ) -> Option<Reading> {
        let watch = &mut self.watches[kpi as usize];
        let least = if watch.is_open() { LEAST_OPEN } else { LEAST };
        let is_judged = expected.basis > Basis::Nothing && expected.events >= least;
        let value = observed(kpi, window).filter(|_| is_judged);
        let width = bound * watch.spread();
        let limits = |expected: &Expected| {
            let (band, trifles) = (band(kpi, window, expected, width), trifles(kpi, expected));
            (band.0.min(trifles.0), band.1.max(trifles.1))
        };
        let side = |value: f64, (low, high): (f64, f64)| i8::from(value > high) - i8::from(value < low);
        let (low, high) = limits(expected);
        let (mut outside, mut is_inside) = (0, true);
        if let Some(value) = value {
            outside = side(value, (low, high));
            is_inside = side(value, (f64::midpoint(expected.value, low), f64::midpoint(expected.value, high))) == 0;
            let compare = |with: f64, outside: i8| {
                if side(value, limits(&Expected { value: with, ..*expected })) == outside { outside } else { 0 }
            };
            if let Some(whole) = others.whole {
                outside = match kpi {
                    Kpi::Approval => compare(share(angle(expected.value) + whole), outside),
                    _ => compare(expected.value * whole, outside),
                };
            }
            if outside != 0
                && kpi != Kpi::Approval
                && let Some(month) = (others.month)()
            {
                let is_little = expected.events * month < LEAST_OPEN;
                outside = if outside < 0 && is_little { 0 } else { compare(expected.value * month, outside) };
            }
        }
        let mut turn = if value.is_some() { watch.step(outside, is_inside, minute) } else { None };
        if watch.is_open() && !is_judged || watch.is_usual(minute) {
            let is_usual = is_judged;
            turn = Some(watch.close());
            if is_usual {
                watch.accept(window, &self.levels[1]);
            }
        }
        if value.is_none() && turn.is_none() {
            return None;
        }
        let deviation = value.map_or(0.0, |value| deviation(kpi, window, value, expected) / watch.spread());
        Some(Reading {
            dimension: self.dimension,
            series: self.name.clone(),
            kpi,
            end: (minute + 1) * MINUTE,
            expected: expected.value,
            low: low.max(0.0),
            high: if kpi == Kpi::Approval { high.min(1.0) } else { high },
            observed: value,
            deviation,
            basis: expected.basis,
            events: expected.events,
            is_anomalous: watch.is_open(),
            turn: turn.filter(|turn| (*turn == Turn::Opened) == watch.is_open()),
        })
    }

    /// Closes all anomalies, because the series is not watched any more, or the stream has paused.
    pub(super) fn end(&mut self, minute: i64) -> Vec<Reading> {
        let (expected, mut readings) = (self.expected(minute), Vec::new());
        for kpi in Kpi::ALL {
            let watch = &mut self.watches[kpi as usize];
            if !watch.is_open() {
                continue;
            }
            let Expected { basis, events, value } = expected[kpi as usize];
            readings.push(Reading {
                dimension: self.dimension,
                series: self.name.clone(),
                kpi,
                end: (minute + 1) * MINUTE,
                expected: value,
                low: value,
                high: value,
                observed: None,
                deviation: 0.0,
                basis,
                events,
                is_anomalous: false,
                turn: Some(watch.close()),
            });
        }
        readings
    }

    /// Learns from the five minutes. Returns the bits of the measures that are anomalous.
    fn learn(&mut self, window: &Cell, expected: &[Expected; 3]) -> u8 {
        let mut flags = 0;
        for kpi in Kpi::ALL {
            let (watch, expected) = (&mut self.watches[kpi as usize], &expected[kpi as usize]);
            watch.learn(window, &self.levels[1]);
            if watch.is_disturbed() {
                flags |= bit(kpi);
                continue;
            }
            let value = observed(kpi, window).filter(|_| expected.events >= LEAST_LEARNED);
            if let Some(value) = value.filter(|_| expected.basis == Basis::Weeks || expected.basis == Basis::Days) {
                watch.vary(scale::deviation(kpi, window, value, expected));
            }
        }
        if flags == 0 {
            self.recent.add(window);
        }
        flags
    }
}
