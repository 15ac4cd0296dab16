//! Which incidents there are, and when: what is planned with `--incident`, and what happens by chance.
//!
//! Incidents by chance follow from the seed and the week alone, so every run of a world has the same ones.

use super::calendar::{FIRST_MONDAY, WEEK};
use super::cards::{ISSUERS, NETWORKS};
use super::chance::{Chance, Matter};
use super::incidents::{About, Incident, IncidentKind, Subject, issuer, network};
use super::merchants::Shops;
use super::numbers::{exp, ln};
use super::planned_incident::PlannedIncident;

/// The incidents that are still to begin.
#[derive(Debug)]
pub(super) struct Plan {
    seed: u64,
    /// The number of incidents that were planned by a person.
    planned: u64,
    /// The first one is the last.
    upcoming: Vec<Incident>,
    /// The Monday of the first week whose incidents by chance are not known yet; the end of time where there are none.
    next_week: i64,
}

impl Plan {
    /// Incidents that end before the first event are left out.
    pub(super) fn new(seed: u64, planned: &[PlannedIncident], by_chance: bool, start: i64, shops: &Shops) -> Self {
        let mut plan = Self { seed, planned: 0, upcoming: Vec::new(), next_week: i64::MAX };
        for one in planned {
            let incident = plan.incident(one, start, shops);
            plan.upcoming.push(incident);
        }
        if by_chance {
            // One of the week before may still last.
            plan.next_week = start - (start - FIRST_MONDAY).rem_euclid(WEEK) - WEEK;
            while plan.next_week <= start {
                plan.plan_week(shops);
            }
        }
        plan.upcoming.retain(|incident| incident.end > start);
        plan.sort();
        plan
    }

    /// Adds an incident while the stream goes on: times are after `now`. The error says that it is over.
    pub(super) fn add(&mut self, planned: &PlannedIncident, now: i64, shops: &Shops) -> Result<(), String> {
        let incident = self.incident(planned, now, shops);
        if incident.end <= now {
            self.planned -= 1;
            return Err(format!("{planned} would end before the next event; give a later time"));
        }
        self.upcoming.push(incident);
        self.sort();
        Ok(())
    }

    /// Makes a planned incident, whose time may be a length of time after a moment.
    fn incident(&mut self, planned: &PlannedIncident, after: i64, shops: &Shops) -> Incident {
        let mut chance = Chance::of(self.seed, Matter::PlannedIncident, self.planned);
        self.planned += 1;
        let begin = planned.begin.in_stream(after);
        let subject = subject(planned.kind, planned.subject.as_deref(), shops, &mut chance);
        Incident::new(planned.kind, (begin, planned.duration), subject, shops, &mut chance)
    }

    fn sort(&mut self) {
        // The sort is stable, so incidents that begin at one time have the same order in every run.
        self.upcoming.sort_by_key(|incident| std::cmp::Reverse(incident.start));
    }

    /// Plans two to five incidents of a week.
    fn plan_week(&mut self, shops: &Shops) {
        let mut chance = Chance::of(self.seed, Matter::Incident, (self.next_week / WEEK) as u64);
        for _ in 0..2 + chance.below(4) {
            let kind = IncidentKind::ALL[chance.below(IncidentKind::ALL.len() as u32) as usize];
            let start = self.next_week + (chance.unit() * WEEK as f64) as i64;
            let (least, most) = kind.durations();
            let duration = least as f64 * exp(chance.unit() * ln(most as f64 / least as f64));
            let subject = subject(kind, None, shops, &mut chance);
            self.upcoming.push(Incident::new(kind, (start, duration as i64), subject, shops, &mut chance));
        }
        self.next_week += WEEK;
    }

    /// When the plan has to be asked again.
    pub(super) fn next(&self) -> i64 {
        self.upcoming.last().map_or(i64::MAX, |incident| incident.start).min(self.next_week)
    }

    /// Takes the next incident that has begun by this time.
    pub(super) fn take(&mut self, time: i64, shops: &Shops) -> Option<Incident> {
        while self.next_week <= time {
            self.plan_week(shops);
            self.sort();
        }
        self.upcoming.pop_if(|incident| incident.start <= time)
    }
}

/// What an incident is about: what is named, or one by chance.
fn subject(kind: IncidentKind, name: Option<&str>, shops: &Shops, chance: &mut Chance) -> Subject {
    match kind.about() {
        About::Everything => Subject::Everything,
        About::Issuer => {
            let by_chance = chance.below(ISSUERS.len() as u32) as u8;
            Subject::Issuer(name.and_then(issuer).unwrap_or(by_chance))
        }
        About::Network => {
            let by_chance = chance.below(NETWORKS.len() as u32) as u8;
            Subject::Network(name.and_then(network).unwrap_or(by_chance))
        }
        About::Merchant => {
            let by_chance = &shops.all[shops.anywhere(chance) as usize].name;
            Subject::Merchant(shops.of_merchant(name.unwrap_or(by_chance)))
        }
    }
}
