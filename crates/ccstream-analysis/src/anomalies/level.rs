//! Computes what is usual for a series in five minutes, from the same minutes of earlier weeks or days.

use ccstream_core::units::Micros;

use super::MINUTE;
use super::cell::Cell;
use super::history::{BUCKET, DAY, History, Past};
use super::measure::{Basis, Kpi};
use crate::bytes::{Number, Reader, Result};
use crate::numbers::exp;

const WEEK: i64 = 7 * DAY;
/// The number of weeks, and of days, that are compared, and the least of them.
const WEEKS: i64 = 4;
const LAST_DAYS: i64 = 7;
const LEAST: usize = 2;
/// Shares and mean amounts change slowly: they are taken from this number of buckets before and after, half an hour.
const NEAR: i64 = 6;
/// Buckets at an edge, such as the hour at which shops open, are compared with those on their side of it. It is an edge if
/// the buckets around it vary this many times as much as chance makes them, and those on one side by this part of that.
const EDGE: f64 = 3.0;
const SIDE: f64 = 0.4;
/// With fewer transactions, a series is not judged, whatever the correction.
const NEGLIGIBLE: f64 = 8.0;
/// The variance of the square root of a Poisson count.
const ROOT_VARIANCE: f64 = 0.25;
/// The time constant of the last hour, in buckets, and the sum of weights from which it is known.
const HOUR: f64 = 12.0;
const KNOWN: f64 = 4.5;

/// What is usual in five minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    pub(super) basis: Basis,
    /// The number of transactions.
    pub(super) events: f64,
    /// The value by transaction, in multiples of the usual payment.
    pub(super) amount: f64,
    /// The share of approved transactions.
    pub(super) share: f64,
}

impl Level {
    pub(super) const NOTHING: Self = Self { basis: Basis::Nothing, events: 0.0, amount: 0.0, share: 0.0 };

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        (self.basis as u8).push(out);
        for number in [self.events, self.amount, self.share] {
            number.push(out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let basis = Basis::ALL[usize::from(reader.u8()?).min(Basis::ALL.len() - 1)];
        Ok(Self {
            basis,
            events: reader.finite("level")?,
            amount: reader.finite("level")?,
            share: reader.finite("level")?,
        })
    }
}

/// Returns the factor by which weights of the last hour fade in five minutes.
pub(super) fn fading() -> f64 {
    exp(-1.0 / HOUR)
}

/// What a series did in the last hour: sums of buckets that fade.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Recent {
    weight: f64,
    events: f64,
    answered: f64,
    approved: f64,
    value: f64,
}

impl Recent {
    pub(super) fn add(&mut self, cell: &Cell) {
        let fading = fading();
        let add = |sum: &mut f64, number: f64| *sum = *sum * fading + number;
        add(&mut self.weight, 1.0);
        add(&mut self.events, cell.events.into());
        add(&mut self.answered, cell.answered.into());
        add(&mut self.approved, cell.approved.into());
        add(&mut self.value, f64::from(cell.value) / 100.0);
    }

    fn level(&self) -> Level {
        if self.weight < KNOWN {
            return Level::NOTHING;
        }
        Level {
            basis: Basis::Hour,
            events: self.events / self.weight,
            amount: ratio(self.value, self.events),
            share: ratio(self.approved, self.answered),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for number in [self.weight, self.events, self.answered, self.approved, self.value] {
            number.push(out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut next = || reader.finite("sum");
        Ok(Self { weight: next()?, events: next()?, answered: next()?, approved: next()?, value: next()? })
    }
}

/// Returns what is usual for a series in a bucket. `born` is the first bucket in which all of its transactions were counted.
pub(super) fn level(history: &History, series: usize, born: i64, bucket: i64, recent: &Recent) -> Level {
    for (basis, step, most) in [(Basis::Weeks, WEEK, WEEKS), (Basis::Days, DAY, LAST_DAYS)] {
        // A pause that is not counted is longer than this, so what is between two buckets that are known is known.
        let is_held = |at: i64| history.get(series, at).is_some();
        let known = |at: &i64| at - NEAR >= born && is_held(at - NEAR) && is_held(at + NEAR);
        let times: Vec<i64> = (1..=most).map(|number| bucket - number * step).filter(known).collect();
        if times.len() >= LEAST {
            let around = Around { history, series };
            let events = around.events(&times);
            if events < NEGLIGIBLE {
                return Level { events, ..Level::NOTHING };
            }
            return Level { basis, events, amount: around.amount(&times), share: around.share(&times) };
        }
    }
    recent.level()
}

/// Returns by what factor a series was larger at the same time and day of the last month than `level` lets expect; None if
/// it is not known. Bills are paid monthly, which weeks do not show. What was an anomaly then is none if it comes again.
pub(super) fn month(history: &History, series: usize, born: i64, bucket: i64, level: &Level) -> Option<f64> {
    let today = Micros(bucket * BUCKET * MINUTE).to_utc().date();
    let last = today.first_of_month().yesterday().ok()?;
    let at = bucket - i64::from(last.day()) * DAY;
    let around = Around { history, series };
    let is_known = today.day() <= last.day() && at - NEAR >= born && (-2..=2).all(|by| around.get(at + by).is_some());
    (is_known && level.events > 0.0).then(|| around.events(&[at]) / level.events)
}

/// The buckets around the same time of several weeks or days.
struct Around<'h> {
    history: &'h History,
    series: usize,
}

impl Around<'_> {
    fn get(&self, bucket: i64) -> Option<Past<'_>> {
        self.history.get(self.series, bucket)
    }

    /// Returns the times at which a measure was usual; all of them if it was at fewer than two.
    fn usual(&self, times: &[i64], kpi: Kpi, near: i64) -> Vec<i64> {
        let was = |at: i64| self.get(at).is_some_and(|past| past.was_anomalous(kpi));
        let usual: Vec<i64> = times.iter().copied().filter(|at| !(-near..=near).any(|by| was(at + by))).collect();
        if usual.len() < LEAST { times.to_vec() } else { usual }
    }

    /// Returns the median number of transactions, each the mean of three buckets.
    fn events(&self, times: &[i64]) -> f64 {
        let times = self.usual(times, Kpi::Rate, 1);
        let count = |bucket: i64| self.get(bucket).map_or(0.0, |past| f64::from(past.cell.events));
        let variance = |middle: i64| -> f64 {
            let of = |at: i64| {
                let roots = [-1, 0, 1].map(|by| count(at + middle + by).sqrt());
                let mean = roots.iter().sum::<f64>() / 3.0;
                roots.iter().map(|root| (root - mean) * (root - mean)).sum::<f64>()
            };
            times.iter().map(|at| of(*at)).sum()
        };
        let (by_chance, around) = (2.0 * ROOT_VARIANCE * times.len() as f64, variance(0));
        let mut middle = 0;
        if around > EDGE * by_chance {
            let side = if variance(-1) < variance(1) { -1 } else { 1 };
            if variance(side) < SIDE * around {
                middle = side;
            }
        }
        median(times.iter().map(|at| [-1, 0, 1].iter().map(|by| count(at + middle + by)).sum::<f64>() / 3.0).collect())
    }

    fn share(&self, times: &[i64]) -> f64 {
        self.pooled(&self.usual(times, Kpi::Approval, NEAR), |cell| (cell.approved.into(), cell.answered.into()))
    }

    fn amount(&self, times: &[i64]) -> f64 {
        self.pooled(&self.usual(times, Kpi::Value, NEAR), |cell| (f64::from(cell.value) / 100.0, cell.events.into()))
    }

    /// Returns the median of a ratio, each of the sums of the buckets around a time.
    fn pooled(&self, times: &[i64], parts: impl Fn(&Cell) -> (f64, f64)) -> f64 {
        let of = |at: &i64| {
            let near = (-NEAR..=NEAR).filter_map(|by| self.get(at + by)).map(|past| parts(past.cell));
            near.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
        };
        median(times.iter().map(of).filter(|(_, below)| *below > 0.0).map(|(above, below)| above / below).collect())
    }
}

pub(super) fn ratio(above: f64, below: f64) -> f64 {
    if below > 0.0 { above / below } else { 0.0 }
}

/// Returns the median; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}
