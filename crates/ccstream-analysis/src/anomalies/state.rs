//! Counts transactions by minute, and changes its state with each minute that is complete.

use std::collections::BTreeMap;

use ccstream_core::fields::Place;
use ccstream_core::units::Micros;
use hashbrown::HashMap;

use super::MINUTE;
use super::cell::Cell;
use super::clock::Clock;
use super::currencies::{self, Currencies};
use super::history::History;
use super::measure::Dimension;
use super::minute::Minute;
use super::open::Open;
use super::reading::Reading;
use super::series::{self, Candidates, Series};
use crate::SnapshotError;
use crate::key::Key;
use crate::windows::{Facts, Fields};

/// A minute is complete when this number of minutes after it has begun: one for what is late, and the next.
const LATENESS: i64 = 1;
/// A stream that pauses for longer than this number of minutes is not judged for the time of its pause.
const LONGEST_PAUSE: i64 = 24 * 60;
pub(super) const MINUTES_OF_DAY: i64 = 24 * 60;

/// Watches the measures of all series.
///
/// Only a complete minute changes what it knows, and the order of transactions within a minute does not matter. So what it
/// knows follows from its parts of any time, and from the [journals](Self::take_journals) of the minutes since.
#[derive(Debug, Clone)]
pub struct Anomalies {
    /// The numbers of the dimensions among the fields, and that of the currency.
    dimensions: [Option<usize>; 5],
    currency: Option<usize>,
    /// The first one is of all transactions.
    pub(super) series: Vec<Series>,
    by_key: HashMap<Key, usize>,
    pub(super) candidates: Candidates,
    pub(super) currencies: Currencies,
    pub(super) history: History,
    /// The last complete minute; None before the first transaction.
    pub(super) minute: Option<i64>,
    pub(super) clock: Clock,
    pub(super) open: BTreeMap<i64, Open>,
    pub(super) readings: Vec<Reading>,
    journals: Vec<(i64, Vec<u8>)>,
    missed: Missed,
}

/// The numbers of transactions that were not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// Their minutes were complete.
    pub late: u64,
    /// Their times were far ahead of all others.
    pub ahead: u64,
}

impl Anomalies {
    /// Returns the fields that facts must have.
    pub fn places() -> Vec<Place> {
        Dimension::FIELDS.iter().filter_map(|one| one.place()).chain([Place::CURRENCY]).collect()
    }

    /// Creates a state that has seen nothing. The fields must have all [`places`](Self::places).
    pub fn new(fields: &Fields) -> Self {
        let number = |place: Place| fields.number(place.into());
        Self {
            dimensions: Dimension::FIELDS.map(|one| one.place().and_then(number)),
            currency: number(Place::CURRENCY),
            series: Vec::new(),
            by_key: HashMap::new(),
            candidates: Candidates::default(),
            currencies: Currencies::default(),
            history: History::new(),
            minute: None,
            clock: Clock::default(),
            open: BTreeMap::new(),
            readings: Vec::new(),
            journals: Vec::new(),
            missed: Missed::default(),
        }
    }

    /// Counts a transaction in its minute, unless that is complete. Completes the minutes before, less one for what is late.
    pub fn event(&mut self, facts: &Facts, time: Micros) {
        let number = time.0.div_euclid(MINUTE);
        if !self.clock.see(time.0) {
            self.missed.ahead += 1;
            return;
        }
        // The first minute is complete only from the first transaction on, so counting begins with the next one.
        let last = *self.minute.get_or_insert(number);
        self.complete_until(number - LATENESS);
        if number <= self.minute.unwrap_or(last) {
            self.missed.late += 1;
            return;
        }
        let open = self.open.entry(number).or_default();
        let code = self.currency.and_then(|at| facts.text(at)).and_then(|text| text.as_bytes().try_into().ok());
        let mut multiple = 0;
        if let Some(code) = code
            && facts.cents() > 0
            && facts.approved() == Some(true)
        {
            multiple = self.currencies.multiple(code, facts.cents());
            if open.paid.len() < currencies::MOST || open.paid.contains_key(&code) {
                open.paid.entry(code).or_default().add(facts.cents());
            }
        }
        let cell = Cell::of(facts.approved(), multiple);
        open.add(0, &cell);
        for (at, dimension) in self.dimensions.iter().zip(Dimension::FIELDS) {
            let Some(at) = *at else { continue };
            let Some(name) = facts.one(at) else { continue };
            let key = series::pair(dimension, name);
            match self.by_key.get(&key) {
                Some(series) => open.add(*series, &cell),
                None => open.others.add(key, dimension, facts.text(at).unwrap_or_default()),
            }
        }
    }

    /// Returns the readings of the minutes that were completed since this was last called. Completes those, too, that end up
    /// to a time, which matters if there are no transactions any more: for that, the time is one of a clock. The time of the
    /// newest transaction, or an earlier one, completes none, so that readings follow from the transactions alone.
    pub fn close_minutes(&mut self, watermark: Micros) -> Vec<Reading> {
        let until = watermark.0.div_euclid(MINUTE);
        let reached = self.clock.reached().map_or(i64::MAX, |reached| reached.div_euclid(MINUTE));
        if until > reached + LATENESS {
            self.complete_until(until);
        }
        std::mem::take(&mut self.readings)
    }

    /// Completes the minutes before a minute.
    fn complete_until(&mut self, until: i64) {
        let Some(mut last) = self.minute else { return };
        while last + 1 < until {
            let next = self.open.keys().next().map_or(until - 1, |first| (*first).min(until - 1));
            // Of a long pause, the last minute is enough.
            last = if next - last > LONGEST_PAUSE { next } else { last + 1 };
            let minute = self.open.remove(&last).unwrap_or_default().complete(last);
            self.journals.push((last, minute.write()));
            self.apply(&minute);
        }
    }

    /// Returns the journals of the minutes that were completed since this was last called, each with its minute.
    pub fn take_journals(&mut self) -> Vec<(i64, Vec<u8>)> {
        std::mem::take(&mut self.journals)
    }

    /// Applies the journal of a minute, unless the state has it. Journals must be in order.
    ///
    /// Errors: the bytes are no journal.
    pub fn replay(&mut self, journal: &[u8]) -> Result<(), SnapshotError> {
        let minute = Minute::read(journal)?;
        if self.minute.is_none_or(|last| minute.number > last) {
            self.apply(&minute);
        }
        Ok(())
    }

    /// Returns how many transactions were not counted since the state was created or loaded.
    pub fn missed(&self) -> Missed {
        self.missed
    }

    fn apply(&mut self, minute: &Minute) {
        let number = minute.number;
        if self.minute.is_some_and(|last| number - last > LONGEST_PAUSE) {
            for one in &mut self.series {
                self.readings.extend(one.end(number));
                one.resume(number);
            }
        }
        if self.series.is_empty() {
            self.push(Series::new(Dimension::All, "", number, 0.0));
        }
        self.minute = Some(number);
        let mut cells = vec![Cell::default(); self.series.len()];
        for (at, cell) in &minute.cells {
            if let Some(place) = cells.get_mut(usize::from(*at)) {
                *place = *cell;
            }
        }
        for (one, cell) in self.series.iter_mut().zip(cells) {
            one.set(number, cell);
        }
        self.judge(number);
        for (code, paid) in &minute.paid {
            self.currencies.learn(*code, *paid);
        }
        for other in &minute.others {
            // Minutes that were open when a value was chosen still count it among the others.
            if !self.by_key.contains_key(&series::key_of(other.dimension, &other.name)) {
                self.candidates.add(other);
            }
        }
        self.choose(number);
    }

    /// Chooses the series that are watched: the largest of each dimension.
    fn choose(&mut self, minute: i64) {
        let is_new_day = (minute + 1).rem_euclid(MINUTES_OF_DAY) == 0;
        for dimension in Dimension::FIELDS {
            let of = |all: &[Series]| all.iter().filter(|one| one.dimension == dimension).count();
            for _ in of(&self.series)..dimension.most() {
                let Some((name, weight)) = self.candidates.take(dimension, 0.0) else { break };
                self.push(Series::new(dimension, &name, minute + 2, weight));
            }
            while is_new_day && of(&self.series) == dimension.most() {
                let all = self.series.iter().enumerate().filter(|(_, one)| one.dimension == dimension);
                let Some((at, least)) = all.min_by(|one, other| one.1.weight.total_cmp(&other.1.weight)) else { break };
                let Some((name, weight)) = self.candidates.take_for(dimension, least.weight) else { break };
                self.replace(at, minute, Series::new(dimension, &name, minute + 2, weight));
            }
        }
        if is_new_day {
            self.candidates.halve();
            self.series.iter_mut().for_each(|one| one.weight /= 2.0);
        }
    }

    pub(super) fn push(&mut self, series: Series) {
        self.by_key.insert(series::key_of(series.dimension, &series.name), self.series.len());
        self.series.push(series);
    }

    fn replace(&mut self, at: usize, minute: i64, series: Series) {
        let before = &mut self.series[at];
        self.readings.extend(before.end(minute));
        self.by_key.remove(&series::key_of(before.dimension, &before.name));
        self.by_key.insert(series::key_of(series.dimension, &series.name), at);
        self.series[at] = series;
        self.open.values_mut().for_each(|open| open.clear(at));
    }
}
