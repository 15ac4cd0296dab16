//! What incidents do to payments and their messages while they last.
//!
//! Draws come from a separate stream of chance, so that an incident changes only the payments that it is about and what
//! follows from them.

use std::collections::VecDeque;

use super::calendar::{MINUTE, SECOND};
use super::chance::{Chance, Matter};
use super::declines::Answer;
use super::incident_plan::Plan;
use super::incidents::{Incident, IncidentKind, Subject};
use super::merchants::Shops;
use super::message::Message;
use super::payment::Payment;
use super::planned_incident::PlannedIncident;
use super::truth::Truth;
use crate::units::Micros;

/// The rate of a merchant that has a sale, as a multiple of its usual one.
const SURGE: f64 = 4.0;
/// The greatest share of its rivals' sales that it takes for that.
const MOST_TAKEN: f64 = 0.8;
/// The longest time by which a slow processor's events are late.
const MOST_LATE: i64 = 10 * MINUTE;
/// The share of messages that are sent twice while there are duplicates.
const DUPLICATES: f64 = 0.25;
/// The longest time until the second one.
const MOST_APART: i64 = 5 * SECOND;

/// The incidents under way.
#[derive(Debug)]
pub(super) struct Effects {
    plan: Plan,
    active: Vec<Incident>,
    /// Where the next incident begins, or one of those under way ends.
    next_change: i64,
    chance: Chance,
}

impl Effects {
    pub(super) fn new(seed: u64, plan: Plan) -> Self {
        let next_change = plan.next();
        Self { plan, active: Vec::new(), next_change, chance: Chance::of(seed, Matter::Effect, 0) }
    }

    /// Plans an incident while the stream goes on. The error says why that is impossible.
    pub(super) fn plan(&mut self, planned: &PlannedIncident, now: i64, shops: &Shops) -> Result<(), String> {
        self.plan.add(planned, now, shops)?;
        self.next_change = self.next_change.min(self.plan.next());
        Ok(())
    }

    /// Whether an incident begins or ends at this time, or has since the last one.
    pub(super) fn is_change(&self, time: i64) -> bool {
        time >= self.next_change
    }

    /// Whether no incident is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.active.is_empty()
    }

    /// Begins and ends incidents; the truth about those that begin is added to the messages.
    pub(super) fn change(&mut self, time: i64, shops: &Shops, messages: &mut VecDeque<Message>) {
        while let Some(incident) = self.plan.take(time, shops) {
            messages.push_back(message(&incident, shops, time));
            self.active.push(incident);
        }
        self.active.retain(|incident| incident.end > time);
        let first_end = self.active.iter().map(|incident| incident.end).min().unwrap_or(i64::MAX);
        self.next_change = self.plan.next().min(first_end);
    }

    /// Changes a payment as the incidents under way do; false where it does not take place.
    pub(super) fn disturb(&self, payment: &mut Payment) -> bool {
        let is_under = |kind| self.active.iter().any(|incident| incident.kind == kind && incident.is_about(payment));
        if is_under(IncidentKind::TerminalOffline) {
            return false;
        }
        // A refund needs no answer of the issuer.
        let is_refund = payment.value.0 < 0;
        if !is_refund && (is_under(IncidentKind::IssuerOut) || is_under(IncidentKind::NetworkOut)) {
            payment.answer = Answer::IssuerUnavailable;
        }
        true
    }

    /// Moves a purchase to a rival that has a sale, of the same category in the same city, or online as well.
    pub(super) fn attract(&mut self, payment: &mut Payment, shops: &Shops) {
        let sales = self.active.iter().filter(|incident| incident.kind == IncidentKind::Surge);
        for rival in sales.flat_map(|incident| &incident.rivals) {
            let (shop, chance) = (payment.shop, &mut self.chance);
            if shop != rival.shop && rival.others.contains(&shop) && chance.is(taken(rival.share)) {
                payment.shop = rival.shop;
                payment.terminal = chance.below(shops.all[rival.shop as usize].terminals.into()) as u8;
            }
        }
    }

    /// The time of a payment by its merchant's clock.
    pub(super) fn clock(&self, payment: &Payment, time: i64) -> i64 {
        let wrong = self.active.iter().filter(|incident| incident.is_about(payment)).map(|incident| incident.offset);
        (time + wrong.sum::<i64>()).clamp(0, Micros::END.0 - 1)
    }

    /// By how much a payment's message is late.
    pub(super) fn delay(&self, payment: &Payment, time: i64) -> i64 {
        let slow = self.active.iter().filter(|incident| incident.kind == IncidentKind::SlowProcessor);
        slow.filter(|incident| incident.is_about(payment)).map(|incident| incident.late(time)).max().unwrap_or(0)
    }

    /// The time until a message is sent for a second time, if it is.
    pub(super) fn copy(&mut self) -> Option<i64> {
        let is_on = self.active.iter().any(|incident| incident.kind == IncidentKind::Duplicates);
        let is_copied = is_on && self.chance.is(DUPLICATES);
        is_copied.then(|| (self.chance.unit() * MOST_APART as f64) as i64)
    }
}

/// The share of rivals' sales that a merchant takes, so that its own are [`SURGE`] times what they were. A merchant that
/// already has much of its category takes [`MOST_TAKEN`], and its sales grow less.
fn taken(share: f64) -> f64 {
    ((SURGE - 1.0) * share / (1.0 - share)).min(MOST_TAKEN)
}

impl Incident {
    fn is_about(&self, payment: &Payment) -> bool {
        match &self.subject {
            Subject::Everything => true,
            Subject::Issuer(issuer) => payment.card.issuer == *issuer,
            Subject::Network(network) => payment.card.network == *network,
            Subject::Merchant(shops) => shops.binary_search(&payment.shop).is_ok(),
        }
    }

    /// The greatest delay of a slow processor.
    fn most_late(&self) -> i64 {
        // With a quarter of its duration, the delay falls by half a second a second, so that events keep their order.
        MOST_LATE.min((self.end - self.start) / 4)
    }

    /// By how much a slow processor's event is late: a queue that grows until half of the time, and is empty at its end.
    fn late(&self, time: i64) -> i64 {
        let (since, left) = (time - self.start, self.end - time);
        let part = 2.0 * since.min(left) as f64 / (self.end - self.start) as f64;
        (part * self.most_late() as f64) as i64
    }

    /// What the truth says of it.
    fn detail(&self) -> String {
        let hours = |micros: i64| micros / (60 * MINUTE);
        match self.kind {
            IncidentKind::IssuerOut | IncidentKind::NetworkOut => {
                "every payment but refunds is declined with response code 91".into()
            }
            IncidentKind::TerminalOffline => "no payment takes place".into(),
            IncidentKind::Surge => format!("up to {SURGE} times the usual rate"),
            IncidentKind::SlowProcessor => format!("events are sent up to {} s late", self.most_late() / SECOND),
            IncidentKind::Duplicates => format!("{} % of messages are sent twice", DUPLICATES * 100.0),
            IncidentKind::WrongClock if self.offset < 0 => {
                format!("timestamps are {} h too early", hours(-self.offset))
            }
            IncidentKind::WrongClock => format!("timestamps are {} h too late", hours(self.offset)),
        }
    }
}

/// The truth about an incident, sent at a time.
fn message(incident: &Incident, shops: &Shops, time: i64) -> Message {
    let detail = incident.detail();
    let truth = Truth {
        scenario: Some(incident.kind.name()),
        until: Some(Micros(incident.end)),
        subject: incident.subject_name(shops),
        detail: Some(&detail),
        ..Truth::new("incident", Micros(incident.start))
    };
    truth.message(Micros(time))
}
