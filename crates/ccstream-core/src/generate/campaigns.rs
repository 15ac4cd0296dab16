//! When campaigns begin. The campaigns of a role are a Poisson process, drawn from the seed, the role and the start of the
//! stream: the transactions between them have no influence. Campaigns that are planned come in addition.

use super::calendar::DAY;
use super::chance::{Chance, Matter};
use super::planned_campaign::PlannedCampaign;
use super::plant::{Plant, ROLE_COUNT, Role, TWINS};
use super::terminals::Choice;

/// Campaigns that began this long before the stream may still be under way.
const LONGEST: i64 = 28 * DAY;
/// The most transactions of campaigns that began before the stream: all that is not due yet waits in memory.
const MOST_BEFORE: f64 = 500_000.0;

/// The mean number of transactions of a campaign, of a fraud and of its twin, as the module `scenarios` draws it.
const LENGTHS: [(f64, f64); 7] =
    [(1.0, 1.0), (0.0, 0.0), (15.0, 15.0), (20.0, 20.0), (44.1, 4.5), (4.0, 4.0), (24.0, 22.8)];
/// The scenario whose length depends on the terminal's payments.
const TERMINAL: u8 = 1;
/// The number of purchases for each refund, in refund abuse and in honest returns.
const PREPARED: (f64, f64) = (0.125, 1.05);

/// All campaigns, in the order of their beginnings.
#[derive(Debug)]
pub(super) struct Campaigns {
    series: Vec<Series>,
    /// The place of the series whose campaign begins next.
    next: usize,
    /// The planned campaigns that are still to begin: when, and the place of the series. The first one is the last.
    planned: Vec<(i64, usize)>,
}

/// The campaigns of one role, one after the other.
#[derive(Debug)]
struct Series {
    chance: Chance,
    /// The mean time from one campaign to the next, in microseconds.
    gap: f64,
    begins: i64,
    count: u32,
}

impl Series {
    fn advance(&mut self) {
        self.begins += (self.gap * self.chance.exponential()) as i64 + 1;
        self.count += 1;
    }
}

impl Campaigns {
    /// `fraud`: the share of frauds among the transactions, of which there are `per_second`; `honest`: the share of all
    /// transactions that are purchases as people decide on them.
    pub(super) fn new(seed: u64, fraud: f64, per_second: f64, honest: f64, choice: &Choice, start: i64) -> Self {
        let before = (MOST_BEFORE / (fraud * per_second * Self::added()) * 1e6).min(LONGEST as f64) as i64;
        let series = |at: usize| {
            let role = Role::ALL[at];
            let a_second = fraud * per_second / 7.0 * if role.is_twin { TWINS } else { 1.0 };
            let (of_fraud, of_twin) = LENGTHS[usize::from(role.scenario)];
            let length = match role {
                Role { scenario: TERMINAL, .. } => choice.expected(role.is_twin, per_second * honest),
                Role { is_twin: true, .. } => of_twin,
                Role { is_twin: false, .. } => of_fraud,
            };
            let chance = Chance::of(seed, Matter::Series, at as u64);
            let mut series = Series { chance, gap: 1e6 * length / a_second, begins: start - before, count: 0 };
            series.advance();
            series
        };
        let series = if fraud > 0.0 { (0..ROLE_COUNT).map(series).collect() } else { Vec::new() };
        let mut made = Self { series, next: 0, planned: Vec::new() };
        made.find();
        made
    }

    /// Adds the campaigns that are planned, unless nothing is planted.
    pub(super) fn plan(&mut self, planned: &[PlannedCampaign], start: i64) {
        if self.series.is_empty() {
            return;
        }
        let place = |role| Role::ALL.iter().position(|&other| other == role).unwrap_or(0);
        self.planned = planned.iter().map(|one| (one.begin.in_stream(start), place(one.role))).collect();
        self.planned.sort_by_key(|&(begins, _)| std::cmp::Reverse(begins));
    }

    /// Transactions for each planted fraud that are not among those that people decide on: twins but those at broken
    /// terminals, and what prepares refunds.
    pub(super) fn added() -> f64 {
        1.0 + TWINS * 6.0 / 7.0 + (PREPARED.0 + PREPARED.1 * TWINS) / 7.0
    }

    /// When the next campaign begins; after all time where there is none.
    pub(super) fn due(&self) -> i64 {
        let planned = self.planned.last().map_or(i64::MAX, |&(begins, _)| begins);
        self.series.get(self.next).map_or(i64::MAX, |series| series.begins.min(planned))
    }

    /// The next campaign and when it begins.
    pub(super) fn take(&mut self) -> (Plant, i64) {
        let next = self.series[self.next].begins;
        if let Some((begins, at)) = self.planned.pop_if(|(begins, _)| *begins <= next) {
            let plant = self.numbered(at);
            // The series goes on with the following number.
            self.series[at].count += 1;
            return (plant, begins);
        }
        let at = self.next;
        let plant = self.numbered(at);
        self.series[at].advance();
        self.find();
        (plant, next)
    }

    /// The next campaign of a series.
    fn numbered(&self, at: usize) -> Plant {
        Plant { campaign: self.series[at].count * ROLE_COUNT as u32 + at as u32, role: Role::ALL[at] }
    }

    /// Changes how often campaigns begin from now on: the times between them are multiplied. A terminal's campaign has as
    /// many more payments as there are, so as many campaigns begin as before.
    pub(super) fn change_rate(&mut self, factor: f64, now: i64) {
        for (at, series) in self.series.iter_mut().enumerate() {
            if Role::ALL[at].scenario != TERMINAL {
                series.gap *= factor;
                // The time that is left is exponential too, so it is scaled and not drawn again.
                series.begins = now + ((series.begins - now) as f64 * factor) as i64;
            }
        }
        self.find();
    }

    fn find(&mut self) {
        self.next = (0..self.series.len()).min_by_key(|&at| self.series[at].begins).unwrap_or(0);
    }
}
