//! Counts the transactions of a key in a window, by panes.

use crate::bytes::{Number, Reader, Result};

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
    /// Since when it holds.
    since: Option<i64>,
}

impl Rate {
    /// Adds a transaction. Returns whether the rule fires.
    pub(super) fn add(&mut self, time: i64, is_hit: bool, wanted: &Wanted) -> bool {
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
        let (all, hits) = self.counts();
        let is_enough = wanted.share.is_none_or(|share| hits as f64 >= share * all as f64);
        self.since = (hits >= u64::from(wanted.least) && is_enough).then(|| self.since.unwrap_or(time));
        is_hit && self.since.is_some_and(|since| time - since >= wanted.holds_for)
    }

    /// Returns the number of transactions in the window, and of those that meet the condition.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.panes.iter().fold((0, 0), |(all, hits), pane| (all + u64::from(pane.all), hits + u64::from(pane.hits)))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.since.unwrap_or(i64::MIN).push(out);
        (self.panes.len() as u16).push(out);
        for pane in &self.panes {
            pane.start.push(out);
            pane.all.push(out);
            pane.hits.push(out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let since = Some(reader.i64()?).filter(|since| *since != i64::MIN);
        let panes = reader.u16()?;
        let mut pane = || Ok(Pane { start: reader.i64()?, all: reader.u32()?, hits: reader.u32()? });
        Ok(Self { since, panes: (0..panes).map(|_| pane()).collect::<Result<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { least: 3, share: None, size: 300, is_tumbling: false, holds_for: 0 };

    fn fires(wanted: &Wanted, hits: &[(i64, bool)]) -> Vec<bool> {
        let mut rate = Rate::default();
        hits.iter().map(|(time, is_hit)| rate.add(*time, *is_hit, wanted)).collect()
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
