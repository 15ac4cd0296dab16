//! Decides when somebody pays, and who it is. Each hour has its own rate, and its own shares of the blocks of cards.

use super::calendar::{Calendar, FIRST_MONDAY, HOUR, Local, WEEK};
use super::chance::{Alias, Chance};
use super::groups::{GROUPS, Group};
use super::pace::Pace;
use super::people::Population;

const HOURS: usize = (WEEK / HOUR) as usize;

/// The times of purchases, one after the other.
#[derive(Debug)]
pub(super) struct Arrivals {
    pace: Pace,
    /// Payments in a week.
    per_week: f64,
    /// Weights of the hours of a week, local time, by group.
    weeks: Vec<[f64; HOURS]>,
    /// The Monday of the week that is planned.
    monday: i64,
    /// The share of that week's payments in each of its hours.
    shares: [f64; HOURS],
    /// The hour that `choice` is made for.
    hour: i64,
    choice: Alias,
    next: i64,
}

impl Arrivals {
    /// The first payment is at `start`; `per_second` is the mean of a week.
    pub(super) fn new(pace: Pace, per_second: f64, start: i64) -> Self {
        Self {
            pace,
            per_week: per_second * (WEEK / 1_000_000) as f64,
            weeks: GROUPS.iter().map(Group::week).collect(),
            monday: i64::MIN,
            shares: [0.0; HOURS],
            hour: i64::MIN,
            choice: Alias::default(),
            next: start,
        }
    }

    /// The time of the next payment.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Changes the pace from a time on. The next payment is then to be drawn again, by [`Self::advance`].
    pub(super) fn change_rate(&mut self, pace: Pace, per_second: f64, time: i64) {
        self.pace = pace;
        self.per_week = per_second * (WEEK / 1_000_000) as f64;
        self.next = time;
    }

    /// Draws the time of the payment after the next one.
    pub(super) fn advance(&mut self, population: &Population, calendar: &mut Calendar, chance: &mut Chance) {
        match self.pace {
            Pace::Human => self.next += 500_000 + i64::from(chance.below(1_500_001)),
            Pace::Max => self.next += 1_000,
            Pace::PerSecond(_) => {
                // Arrivals are a Poisson process: the number of payments expected before the next one is exponential.
                let mut expected = chance.exponential();
                loop {
                    let rate = self.in_hour(population, calendar, self.next) / HOUR as f64;
                    let end = (self.next.div_euclid(HOUR) + 1) * HOUR;
                    let until_end = (end - self.next) as f64 * rate;
                    if expected < until_end {
                        self.next += (expected / rate) as i64;
                        return;
                    }
                    expected -= until_end;
                    self.next = end;
                }
            }
        }
    }

    /// The number of payments expected in the hour of this time.
    pub(super) fn in_hour(&mut self, population: &Population, calendar: &mut Calendar, time: i64) -> f64 {
        let since = (time - FIRST_MONDAY).rem_euclid(WEEK);
        if self.monday != time - since {
            self.monday = time - since;
            self.plan(population, calendar);
        }
        self.shares[(since / HOUR) as usize] * self.per_week
    }

    /// Plans a week. Its mean is fixed: holidays and season only move payments between its hours.
    fn plan(&mut self, population: &Population, calendar: &mut Calendar) {
        for at in 0..HOURS {
            self.shares[at] = self.weights(population, calendar, self.monday + at as i64 * HOUR).iter().sum();
        }
        let total: f64 = self.shares.iter().sum();
        self.shares = self.shares.map(|share| share / total);
    }

    /// The weights of the blocks in an hour.
    fn weights(&self, population: &Population, calendar: &mut Calendar, hour: i64) -> Vec<f64> {
        let zones: Vec<Local> = population.zones.iter().map(|zone| Local::at(hour, zone.minutes_ahead)).collect();
        let weight = |block: &super::people::Block| {
            let local = zones[usize::from(block.zone)];
            let date = calendar.date(local.days);
            let at = usize::from(date.weekday) * 24 + usize::from(local.hour);
            let week = &self.weeks[usize::from(block.group)];
            f64::from(block.cards) * week[at] * block.group().season(date)
        };
        population.blocks.iter().map(weight).collect()
    }

    /// Draws the block that pays at this time, as its index.
    pub(super) fn block(
        &mut self,
        population: &Population,
        calendar: &mut Calendar,
        time: i64,
        chance: &mut Chance,
    ) -> usize {
        let hour = time - time.rem_euclid(HOUR);
        if self.hour != hour {
            self.hour = hour;
            let weights = self.weights(population, calendar, hour);
            self.choice.rebuild(&weights);
        }
        self.choice.choose(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::calendar::DAY;

    /// 2026-11-30, a Monday.
    const MONDAY: i64 = 20_787 * DAY;

    #[test]
    fn every_week_has_the_rate_and_arrivals_follow_the_plan() {
        let (population, mut calendar) = (Population::new(1, 5_000), Calendar::new());
        let mut arrivals = Arrivals::new(Pace::PerSecond(0.5), 0.5, MONDAY);
        for week in [0, 3, 4, 30] {
            let planned = |at: i64| MONDAY + week * WEEK + at * HOUR;
            let total: f64 = (0..168).map(|at| arrivals.in_hour(&population, &mut calendar, planned(at))).sum();
            assert!((total - 302_400.0).abs() < 1.0, "{total} in week {week}");
        }
        let (mut chance, mut seen) = (Chance::of(1, super::super::chance::Matter::Stream, 0), [0.0; HOURS]);
        while arrivals.next() < MONDAY + WEEK {
            seen[((arrivals.next() - MONDAY) / HOUR) as usize] += 1.0;
            arrivals.advance(&population, &mut calendar, &mut chance);
        }
        for (at, seen) in seen.iter().enumerate() {
            let planned = arrivals.in_hour(&population, &mut calendar, MONDAY + at as i64 * HOUR);
            assert!((seen - planned).abs() < 5.0 * planned.sqrt(), "hour {at}: {seen} of {planned}");
        }
        let (least, most) = (seen.iter().copied().fold(f64::MAX, f64::min), seen.iter().copied().fold(0.0, f64::max));
        assert!(most > 1.5 * least, "hours differ: {least} to {most}");
    }

    #[test]
    fn at_night_the_night_shift_pays() {
        let (population, mut calendar) = (Population::new(1, 50_000), Calendar::new());
        let mut arrivals = Arrivals::new(Pace::PerSecond(1.0), 1.0, MONDAY);
        let mut chance = Chance::of(1, super::super::chance::Matter::Stream, 0);
        let mut groups = |time| {
            let mut seen = [0; GROUPS.len()];
            for _ in 0..50_000 {
                let block = &population.blocks[arrivals.block(&population, &mut calendar, time, &mut chance)];
                // Only one time zone counts: in others it is another hour.
                if population.zones[usize::from(block.zone)].minutes_ahead == 0 {
                    seen[usize::from(block.group)] += 1;
                }
            }
            seen
        };
        let (night, noon) = (groups(MONDAY + 3 * HOUR), groups(MONDAY + 12 * HOUR));
        assert!(night[2] > night[0] + night[1] + night[3], "{night:?}");
        assert!(noon[0] > 5 * noon[2], "{noon:?}");
    }
}
