//! This module adds up how often transactions of a day were not counted in a window.

use std::collections::BTreeMap;

use ccstream_analysis::windows::Missed;

const DAY: i64 = 86_400_000_000;

/// How often transactions of each day, from 1970, were not counted.
#[derive(Debug, Default)]
pub(super) struct MissedDays(BTreeMap<i32, Missed>);

impl MissedDays {
    /// Adds what a transaction of this time, in microseconds, has missed.
    pub(super) fn add(&mut self, time: i64, missed: Missed) {
        if missed != Missed::default() {
            let day = self.0.entry(time.div_euclid(DAY) as i32).or_default();
            day.late += missed.late;
            day.no_room += missed.no_room;
        }
    }

    /// Takes all days out, in their order.
    pub(super) fn take(&mut self) -> Vec<(i32, Missed)> {
        std::mem::take(&mut self.0).into_iter().collect()
    }
}
