//! Counts the transactions of a key in a window, by panes.

use super::keys::MAX_VALUES;
use crate::bytes::{Number, Reader, Result};
use crate::key::Key;

/// The number of panes of a window that moves.
const PANES: i64 = 30;

/// What a rate waits for, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) least: u32,
    pub(super) share: Option<f64>,
    pub(super) size: i64,
    pub(super) is_tumbling: bool,
    pub(super) holds_for: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pane {
    start: i64,
    all: u32,
    hits: u32,
}

/// The transactions of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rate {
    /// In the order of their starts, without empty ones.
    panes: Vec<Pane>,
    /// The different values, each with the start of the last pane that has it; empty if transactions are counted. If there
    /// are too many, those of the oldest panes are left out.
    values: Vec<(Key, i64)>,
    /// Since when it holds.
    since: Option<i64>,
}

impl Rate {
    /// Adds a transaction, with its value if different values are counted. Returns whether the rule fires.
    pub(super) fn add(&mut self, time: i64, is_hit: bool, value: Option<Key>, wanted: &Wanted) -> bool {
        let pane = if wanted.is_tumbling { wanted.size } else { (wanted.size / PANES).max(1) };
        let start = time.div_euclid(pane) * pane;
        let newest = self.panes.last().map_or(start, |last| last.start.max(start));
        // A transaction that is late by more than the window is not counted.
        if start <= newest - wanted.size {
            return false;
        }
        self.panes.retain(|pane| pane.start > newest - wanted.size);
        let at = self.panes.partition_point(|pane| pane.start < start);
        if self.panes.get(at).is_none_or(|pane| pane.start != start) {
            self.panes.insert(at, Pane { start, all: 0, hits: 0 });
        }
        self.panes[at].all += 1;
        self.panes[at].hits += u32::from(is_hit);
        self.values.retain(|(_, start)| *start > newest - wanted.size);
        if let Some(value) = value {
            self.note(value, start);
        }
        let (all, hits) = self.counts();
        let is_enough = wanted.share.is_none_or(|share| hits as f64 >= share * all as f64);
        self.since = (hits >= u64::from(wanted.least) && is_enough).then(|| self.since.unwrap_or(time));
        is_hit && self.since.is_some_and(|since| time - since >= wanted.holds_for)
    }

    fn note(&mut self, value: Key, start: i64) {
        if let Some((_, last)) = self.values.iter_mut().find(|(one, _)| *one == value) {
            *last = start.max(*last);
            return;
        }
        if self.values.len() == MAX_VALUES
            && let Some(oldest) = (0..MAX_VALUES).min_by_key(|at| self.values[*at].1)
        {
            self.values.swap_remove(oldest);
        }
        self.values.push((value, start));
    }

    /// Returns whether different values are counted.
    pub(super) fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// Returns the number of transactions in the window, and of those that meet the condition or of their different values.
    pub(super) fn counts(&self) -> (u64, u64) {
        let (all, hits) = self
            .panes
            .iter()
            .fold((0, 0), |(all, hits), pane| (all + u64::from(pane.all), hits + u64::from(pane.hits)));
        (all, if self.has_values() { self.values.len() as u64 } else { hits })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.since.unwrap_or(i64::MIN).push(out);
        (self.panes.len() as u16).push(out);
        for pane in &self.panes {
            pane.start.push(out);
            pane.all.push(out);
            pane.hits.push(out);
        }
        if self.has_values() {
            (self.values.len() as u8).push(out);
            for (value, start) in &self.values {
                value.push(out);
                start.push(out);
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, has_values: bool) -> Result<Self> {
        let since = Some(reader.i64()?).filter(|since| *since != i64::MIN);
        let panes = reader.u16()?;
        let mut pane = || Ok(Pane { start: reader.i64()?, all: reader.u32()?, hits: reader.u32()? });
        let panes = (0..panes).map(|_| pane()).collect::<Result<_>>()?;
        let values = if has_values { reader.u8()? } else { 0 };
        let values = (0..values).map(|_| Ok((reader.u64()?, reader.i64()?))).collect::<Result<_>>()?;
        Ok(Self { panes, values, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { least: 3, share: None, size: 300, is_tumbling: false, holds_for: 0 };

    fn fires(wanted: &Wanted, hits: &[(i64, bool)]) -> Vec<bool> {
        let mut rate = Rate::default();
        hits.iter().map(|(time, is_hit)| rate.add(*time, *is_hit, None, wanted)).collect()
    }

    #[test]
    fn different_values_count_once_and_leave_with_the_window() {
        let mut rate = Rate::default();
        let mut add = |time, value| rate.add(time, true, Some(value), &WANTED);
        assert_eq!([add(0, 1), add(1, 1), add(2, 2), add(3, 1)], [false; 4]);
        assert!(add(4, 3));
        // The value 2 is no longer in the window, whereas 1 is seen again before it leaves.
        assert_eq!([add(200, 1), add(310, 3)], [true, false]);
        assert!(add(311, 4));
        assert_eq!(rate.counts(), (3, 3));
        let mut out = Vec::new();
        rate.write(&mut out);
        assert_eq!(Rate::read(&mut Reader(&out), true), Ok(rate));
    }

    #[test]
    fn many_values_take_bounded_memory_and_still_fire() {
        let mut rate = Rate::default();
        let wanted = Wanted { least: MAX_VALUES as u32, ..WANTED };
        let fired: Vec<bool> = (0..10_000).map(|value| rate.add(5, true, Some(value), &wanted)).collect();
        assert_eq!(fired.iter().position(|fired| *fired), Some(MAX_VALUES - 1));
        assert!(fired[MAX_VALUES..].iter().all(|fired| *fired));
        assert_eq!(rate.values.len(), MAX_VALUES);
    }

    #[test]
    fn three_within_the_window_fire_and_three_in_a_longer_time_do_not() {
        assert_eq!(fires(&WANTED, &[(0, true), (100, true), (290, true)]), [false, false, true]);
        assert_eq!(fires(&WANTED, &[(0, true), (100, true), (300, true)]), [false, false, false]);
        // Others do not count, and a late one counts in its pane.
        assert_eq!(fires(&WANTED, &[(0, true), (100, true), (290, false), (95, true)]), [false, false, false, true]);
        // Too late to count.
        assert_eq!(fires(&WANTED, &[(400, true), (401, true), (50, true)]), [false, false, false]);
    }

    #[test]
    fn a_tumbling_window_begins_anew_at_its_multiple() {
        let wanted = Wanted { is_tumbling: true, ..WANTED };
        assert_eq!(fires(&wanted, &[(0, true), (100, true), (299, true)]), [false, false, true]);
        assert_eq!(fires(&wanted, &[(100, true), (299, true), (300, true), (301, true)]), [false; 4]);
    }

    #[test]
    fn a_share_and_a_time_must_hold() {
        let wanted = Wanted { share: Some(0.5), ..WANTED };
        assert_eq!(fires(&wanted, &[(0, true), (1, true), (2, false), (3, true)]), [false, false, false, true]);
        let others = [(0, false), (1, false), (2, false), (2, false), (3, true), (3, true), (3, true)];
        assert_eq!(fires(&wanted, &others), [false; 7]);
        let wanted = Wanted { holds_for: 50, ..WANTED };
        assert_eq!(
            fires(&wanted, &[(0, true), (1, true), (2, true), (51, true), (52, true)]),
            [false, false, false, false, true]
        );
        // It does not hold in between.
        assert_eq!(
            fires(&wanted, &[(0, true), (1, true), (2, true), (301, true), (302, true), (303, true)]),
            [false; 6]
        );
    }
}
