//! Watches a measure of a series: how the last two hours went, how much it usually varies, and whether it is anomalous.

use super::cell::Cell;
use super::level::{Level, fading};
use super::measure::{Basis, Kpi};
use super::reading::Turn;
use super::scale::{angle, share};
use crate::bytes::{Number, Reader, Result};

/// The number of windows in a row outside the band that open an anomaly, and in a row inside that close it.
const TO_OPEN: i8 = 2;
const TO_CLOSE: u8 = 5;
/// An anomaly that has lasted for this number of minutes is what is usual now.
const LONGEST: i64 = 24 * 60;
/// The weight of the earlier weeks in the correction by the last two hours, in transactions.
const PRIOR: f64 = 30.0;
/// The least and the greatest factor of the correction.
const FACTORS: (f64, f64) = (0.2, 5.0);
/// The steps by which the median and the 99th percentile of deviations are learned.
const MIDDLE_STEP: f64 = 0.01;
const TAIL_STEP: f64 = 0.1;
const TAIL: f64 = 0.01;
/// The median and the 99th percentile of a standard normal deviation, without its sign.
const NORMAL_MIDDLE: f64 = 0.674_489_750_196_081_7;
const NORMAL_TAIL: f64 = 2.575_829_303_548_900_4;

/// A measure of a series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Watch {
    kpi: Kpi,
    basis: Basis,
    /// What was observed and what was expected in the last two hours, and of a share of how many: sums that fade.
    seen: f64,
    expected: f64,
    answered: f64,
    /// The median and the 99th percentile of deviations.
    middle: f64,
    tail: f64,
    /// The number of windows in a row outside the band; below 0 if they are below it.
    run: i8,
    /// The number of windows in a row that are well inside the band.
    back: u8,
    /// The minute in which the anomaly was opened; `i64::MIN` for none.
    opened: i64,
}

impl Watch {
    pub(super) fn new(kpi: Kpi) -> Self {
        // Chance gives counts and shares a spread of 1. Amounts of payments differ, so that of values is greater.
        let spread = if kpi == Kpi::Value { 1.5 } else { 1.1 };
        Self {
            kpi,
            basis: Basis::Nothing,
            seen: 0.0,
            expected: 0.0,
            answered: 0.0,
            middle: spread * NORMAL_MIDDLE,
            tail: spread * NORMAL_TAIL,
            run: 0,
            back: 0,
            opened: i64::MIN,
        }
    }

    /// Returns whether an anomaly is open.
    pub(super) fn is_open(&self) -> bool {
        self.opened != i64::MIN
    }

    /// Returns whether the last window was outside the band, or belongs to an anomaly.
    pub(super) fn is_disturbed(&self) -> bool {
        self.is_open() || self.run != 0
    }

    /// Returns the usual spread of deviations. It is never less than chance alone makes it.
    pub(super) fn spread(&self) -> f64 {
        let least = if self.kpi == Kpi::Value { 0.5 } else { 1.0 };
        (self.middle / NORMAL_MIDDLE).max(self.tail / NORMAL_TAIL).max(least)
    }

    /// Corrects what earlier weeks let expect by how the last two hours went.
    pub(super) fn corrected(&self, basis: Basis, usual: f64, per_event: f64) -> f64 {
        if basis < Basis::Days {
            return usual;
        }
        if self.kpi == Kpi::Approval {
            let answered = self.answered + PRIOR;
            let of = |approved: f64| angle((approved + PRIOR * usual) / answered);
            return share(angle(usual) + of(self.seen) - of(self.expected));
        }
        let prior = PRIOR * per_event;
        let below = self.expected + prior;
        let factor = if below > 0.0 { (self.seen + prior) / below } else { 1.0 };
        usual * factor.clamp(FACTORS.0, FACTORS.1)
    }

    /// Takes note of whether a window is outside the band (below: -1, above: 1), or well inside it.
    pub(super) fn step(&mut self, outside: i8, is_inside: bool, minute: i64) -> Option<Turn> {
        if self.is_open() {
            self.back = if is_inside { self.back + 1 } else { 0 };
            return (self.back >= TO_CLOSE).then(|| self.close());
        }
        self.run = match outside {
            0 => 0,
            _ if self.run.signum() == outside => self.run + outside,
            _ => outside,
        };
        (self.run.abs() >= TO_OPEN).then(|| {
            (self.opened, self.back) = (minute, 0);
            Turn::Opened
        })
    }

    /// Ends the anomaly.
    pub(super) fn close(&mut self) -> Turn {
        (self.opened, self.run, self.back) = (i64::MIN, 0, 0);
        Turn::Closed
    }

    /// Returns whether the anomaly has lasted so long that it is usual now.
    pub(super) fn is_usual(&self, minute: i64) -> bool {
        self.is_open() && minute - self.opened >= LONGEST
    }

    /// Learns from five minutes how the last two hours went. `level` is what earlier weeks let expect.
    pub(super) fn learn(&mut self, cell: &Cell, level: &Level) {
        let fading = fading();
        if level.basis == Basis::Nothing {
            // The series is too small at this hour. What is known of the hours before grows old.
            for sum in [&mut self.seen, &mut self.expected, &mut self.answered] {
                *sum *= fading;
            }
            return;
        }
        if self.basis != level.basis {
            // What was learned with another basis says nothing.
            *self =
                Self { basis: level.basis, run: self.run, back: self.back, opened: self.opened, ..Self::new(self.kpi) };
        }
        if self.is_disturbed() {
            return;
        }
        let (seen, expected) = self.parts(cell, level);
        self.seen = self.seen * fading + seen;
        self.expected = self.expected * fading + expected;
        self.answered = self.answered * fading + f64::from(cell.answered);
    }

    /// Takes the last five minutes as what is usual now.
    pub(super) fn accept(&mut self, cell: &Cell, level: &Level) {
        let weight = 1.0 / (1.0 - fading());
        let (seen, expected) = self.parts(cell, level);
        (self.seen, self.expected) = (seen * weight, expected * weight);
        self.answered = f64::from(cell.answered) * weight;
    }

    fn parts(&self, cell: &Cell, level: &Level) -> (f64, f64) {
        match self.kpi {
            Kpi::Rate => (cell.events.into(), level.events),
            Kpi::Value => (f64::from(cell.value) / 100.0, level.events * level.amount),
            Kpi::Approval => (cell.approved.into(), f64::from(cell.answered) * level.share),
        }
    }

    /// Learns how much deviations vary from that of five minutes.
    pub(super) fn vary(&mut self, deviation: f64) {
        let size = deviation.abs();
        self.middle *= if size > self.middle { 1.0 + MIDDLE_STEP } else { 1.0 - MIDDLE_STEP };
        self.tail *= if size > self.tail { 1.0 + TAIL_STEP * (1.0 - TAIL) } else { 1.0 - TAIL_STEP * TAIL };
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        (self.basis as u8).push(out);
        for number in [self.seen, self.expected, self.answered, self.middle, self.tail] {
            number.push(out);
        }
        self.run.push(out);
        self.back.push(out);
        self.opened.push(out);
    }

    pub(super) fn read(kpi: Kpi, reader: &mut Reader<'_>) -> Result<Self> {
        let basis = Basis::ALL[usize::from(reader.u8()?).min(Basis::ALL.len() - 1)];
        let mut next = || reader.finite("sum");
        let (seen, expected, answered, middle, tail) = (next()?, next()?, next()?, next()?, next()?);
        let (run, back, opened) = (reader.i8()?, reader.u8()?, reader.i64()?);
        Ok(Self { kpi, basis, seen, expected, answered, middle, tail, run, back, opened })
    }
}
