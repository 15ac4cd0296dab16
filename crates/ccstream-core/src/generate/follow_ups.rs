//! A refund may follow a purchase, and a retry may follow a decline. Both are decided with the purchase.

use super::Generator;
use super::amounts::part;
use super::calendar::SECOND;
use super::cards::Card;
use super::categories::CATEGORIES;
use super::declines::{Answer, retry};
use super::later::{Entry, FollowUp};
use super::numbers::exp;
use super::payment::{Kind, Payment};
use super::people::Population;
use super::plant::Plant;
use crate::units::Cents;

/// The share of refunds within the hour, by which a cashier corrects a mistake.
const CORRECTIONS: f64 = 0.12;
/// The share of refunds of a part of the amount.
const PARTIAL: f64 = 0.15;
/// Share of refunds to another card of the same person, who has it at hand.
const TO_OTHER_CARD: f64 = 0.1;
/// The most days until a refund.
const MOST_DAYS: f64 = 29.0;

impl Generator {
    /// Decides what follows a payment.
    pub(super) fn decide_follow_up(&mut self, payment: &Payment) {
        if payment.answer == Answer::Approved {
            self.decide_refund(payment);
        } else if let Some((after, share, answer)) = retry(payment.answer, &mut self.chance) {
            let due = self.time + (after * SECOND as f64) as i64;
            let cents = part(payment.value.0, share);
            self.wait(due, payment, cents, FollowUp::Retry(self.id, answer));
        }
    }

    fn decide_refund(&mut self, payment: &Payment) {
        let shop = &self.buyers.shops.all[payment.shop as usize];
        if !self.chance.is(CATEGORIES[usize::from(shop.category)].refunds) {
            return;
        }
        let chance = &mut self.chance;
        let due = if chance.is(CORRECTIONS) {
            // It comes after 20 seconds to an hour, log-uniformly.
            self.time + (20.0 * exp(5.19 * chance.unit()) * SECOND as f64) as i64
        } else {
            // The median is six days.
            let days = (6.0 * exp(0.8 * chance.normal())).clamp(1.0, MOST_DAYS) as i64;
            self.buyers.opening_time(payment.shop, self.time, days, payment.is_online(), chance)
        };
        let share = if chance.is(PARTIAL) { chance.between(0.1, 0.9) } else { 1.0 };
        let cents = part(payment.value.0, share);
        let mut number = payment.number;
        if self.chance.is(TO_OTHER_CARD) {
            number = Population::other_card(self.buyers.population.block_of(number), number);
        }
        let Payment { shop, city, entry_mode, .. } = *payment;
        self.later.push(Entry::new(due, number, shop, cents, city, entry_mode, FollowUp::Refund(self.id)));
    }

    fn wait(&mut self, due: i64, payment: &Payment, cents: i64, then: FollowUp) {
        let Payment { number, shop, city, entry_mode, .. } = *payment;
        self.later.push(Entry::new(due, number, shop, cents, city, entry_mode, then));
    }

    /// Makes the payment of an entry that is due; None if an incident prevents it.
    pub(super) fn follow_up(&mut self, entry: &Entry) -> Option<Payment> {
        let approved = Answer::Approved;
        match entry.follow_up {
            FollowUp::Refund(id) => self.refund_or_retry(entry, Kind::Refund(id), -entry.cents, approved),
            FollowUp::Retry(id, answer) => self.refund_or_retry(entry, Kind::Retry(id), entry.cents, answer),
            FollowUp::Credit { plant, of } => {
                let kind = of.map_or(Kind::Credit, Kind::Refund);
                Some(Payment { plant: Some(plant), ..self.refund_or_retry(entry, kind, -entry.cents, approved)? })
            }
            FollowUp::Planted { plant, terminal, answer } => {
                let payment = self.buyers.planted(entry, self.time, &mut self.chance);
                let (terminal, answer) = (terminal.unwrap_or(payment.terminal), answer.unwrap_or(payment.answer));
                let payment = self.disturbed(Payment { terminal, answer, plant, ..payment })?;
                if !plant.is_some_and(Plant::is_fraud) {
                    self.decide_follow_up(&payment);
                }
                Some(payment)
            }
            FollowUp::Returned { plant, due, to } => {
                let payment = self.buyers.planted(entry, self.time, &mut self.chance);
                let payment = self.disturbed(payment)?;
                if payment.answer == approved {
                    let refunded = Payment { number: to, ..payment.clone() };
                    self.wait(due, &refunded, payment.value.0, FollowUp::Credit { plant, of: Some(self.id) });
                }
                Some(payment)
            }
        }
    }

    /// The payment of a refund or a retry that is due; None if an incident prevents it.
    fn refund_or_retry(&mut self, entry: &Entry, kind: Kind, cents: i64, answer: Answer) -> Option<Payment> {
        let block = self.buyers.population.block_of(entry.card);
        let person = self.buyers.population.person(block, entry.card);
        let is_retry = matches!(kind, Kind::Retry(_));
        let payment = Payment {
            kind,
            number: entry.card,
            card: Card::new(self.seed, entry.card, person.home().country),
            shop: entry.shop,
            terminal: self.buyers.terminal(entry.shop, &mut self.chance),
            value: Cents(cents),
            city: entry.city,
            discount: 0,
            entry_mode: entry.mode,
            answer,
            is_risky: is_retry && self.chance.is(0.01),
            plant: None,
        };
        let payment = self.disturbed(payment)?;
        if is_retry && payment.answer == Answer::Approved {
            self.decide_refund(&payment);
        }
        Some(payment)
    }
}
