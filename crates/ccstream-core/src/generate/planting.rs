//! What the generator plants: campaigns that begin, terminals that are watched, labels, and the truth about all of it.

use super::chance::{Chance, Matter};
use super::declines::Answer;
use super::ids::{as_str, text_of};
use super::labels::{CLAIMED, FOUND, Source};
use super::later::{Entry, FollowUp};
use super::payment::{Kind, Payment};
use super::plant::Plant;
use super::steps::{Present, Steps};
use super::terminals::{FOLLOWED, Terminals, following_time};
use super::truth::Truth;
use super::waiting_label::WaitingLabel;
use super::{Generator, Micros};

impl Generator {
    /// Begins the campaign that is due.
    pub(super) fn begin_campaign(&mut self) {
        let (plant, begins) = self.campaigns.take();
        let mut steps = Steps {
            buyers: &mut self.buyers,
            later: &mut self.later,
            terminals: &mut self.terminals,
            habits: &self.habits,
            present: self.present,
            chance: Chance::of(self.seed, Matter::Campaign, plant.campaign.into()),
            plant,
            begins,
            start: self.start,
        };
        steps.unroll();
    }

    /// Sees a purchase that somebody decided on: at a terminal of a campaign it is part of it, or a fraud follows.
    pub(super) fn watch(&mut self, payment: &mut Payment) {
        if !self.has_fraud || payment.is_online() {
            return;
        }
        self.present = Some(Present { card: payment.number, city: payment.city, time: self.time });
        let Some(watched) = self.terminals.find(payment.shop, payment.terminal, self.time) else { return };
        if !watched.plant.is_fraud() {
            payment.entry_mode = Terminals::fall_back(&mut self.chance);
            payment.plant = Some(watched.plant);
        } else if self.chance.is(FOLLOWED) {
            let due = following_time(&self.buyers, payment.shop, self.time, &mut self.chance);
            let block = self.buyers.population.block_of(payment.number);
            let level = self.buyers.population.person(block, payment.number).level;
            let category = self.buyers.shops.all[payment.shop as usize].category;
            let dollars = Terminals::fraud_of(category.into(), level, &mut self.chance);
            let mode = Terminals::fall_back(&mut self.chance);
            let then = FollowUp::Planted { plant: Some(watched.plant), terminal: Some(watched.terminal), answer: None };
            let cents = (dollars * 100.0) as i64;
            self.later.push(Entry::new(due, payment.number, payment.shop, cents, payment.city, mode, then));
        }
    }

    /// Decides whether a payment is labelled, and when.
    pub(super) fn decide_label(&mut self, payment: &Payment) {
        // A malformed message is no transaction.
        if !self.has_fraud || self.mistake.is_some() {
            return;
        }
        let is_fraud = payment.plant.is_some_and(Plant::is_fraud);
        if !self.chance.is(if is_fraud { FOUND } else { CLAIMED }) {
            return;
        }
        let due = self.time + self.label_delay.draw(&mut self.chance);
        let source = Source::draw(payment.answer == Answer::Approved, &mut self.chance);
        self.labels.push(WaitingLabel::new(due, source, self.id));
    }

    /// Adds the truth about a payment to the messages that follow it.
    pub(super) fn add_truth(&mut self, payment: &Payment) {
        if !self.has_truth {
            return;
        }
        let time = Micros(self.time);
        let kind = match (payment.plant, payment.kind) {
            (Some(plant), _) => plant.kind(),
            (None, Kind::Refund(_)) => "refund",
            (None, Kind::Retry(_)) => "retry",
            (None, Kind::Purchase | Kind::Subscription | Kind::Credit) => return,
        };
        let purchase = match payment.kind {
            Kind::Refund(of) | Kind::Retry(of) => Some(text_of(&of)),
            Kind::Purchase | Kind::Subscription | Kind::Credit => None,
        };
        let truth = Truth {
            transaction_id: Some(as_str(&self.text)),
            scenario: payment.plant.map(|plant| plant.role.name()),
            campaign: payment.plant.map(|plant| plant.campaign.into()),
            subject: purchase.as_ref().map(as_str),
            ..Truth::new(kind, time)
        };
        self.pending.push_back(truth.message(time));
    }
}
