//! What comes next: an arrival, what follows from an earlier payment, a subscription, or a label.

use super::ids::{id, text_of};
use super::payment::Payment;
use super::purchase::Buyers;
use super::waiting_label::WaitingLabel;
use super::{Generator, now};

/// What comes next.
pub(super) enum Event {
    Payment(Payment),
    Label(WaitingLabel),
}

impl Generator {
    pub(super) fn next_payment(&mut self) -> Payment {
        loop {
            if let Some(Event::Payment(payment)) = self.next_event() {
                return payment;
            }
        }
    }

    /// Makes the next event; None if an incident prevents it.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        let (arrival, first) = loop {
            let arrival = if self.is_now { now() } else { self.arrivals.next() };
            let first = self.later.due().min(self.subscriptions.due());
            let label = self.labels.due();
            if self.campaigns.due() > first.min(arrival).min(label) {
                if label <= first.min(arrival) {
                    self.time = self.time.max(label);
                    return self.labels.pop(self.time).map(Event::Label);
                }
                break (arrival, first);
            }
            self.begin_campaign();
        };
        let is_decided = first > arrival;
        let is_later = !is_decided && self.later.due() <= self.subscriptions.due();
        self.step_to(if is_decided || self.is_even { arrival } else { first });
        let due = if is_later { self.later.pop(self.time) } else { None };
        let payment = match due {
            Some(entry) => self.follow_up(&entry),
            None if is_decided => self.purchase(),
            None => self.subscription(),
        };
        if !self.is_now && (self.is_even || is_decided) {
            let Buyers { population, calendar, .. } = &mut self.buyers;
            self.arrivals.advance(population, calendar, &mut self.chance);
        }
        let payment = payment?;
        self.decide_label(&payment);
        Some(Event::Payment(payment))
    }

    /// Goes on to the time of the next event, and makes its id.
    fn step_to(&mut self, time: i64) {
        self.time = self.time.max(time);
        self.id = id(self.time, &mut self.chance);
        self.text = text_of(&self.id);
        self.mistake = None;
        if self.effects.is_change(self.time) {
            self.effects.change(self.time, &self.buyers.shops, &mut self.pending);
        }
    }

    fn purchase(&mut self) -> Option<Payment> {
        let Buyers { population, calendar, .. } = &mut self.buyers;
        let block = self.arrivals.block(population, calendar, self.time, &mut self.chance);
        let mut payment = self.buyers.purchase(block, self.time, &mut self.chance);
        self.effects.attract(&mut payment, &self.buyers.shops);
        let mut payment = self.disturbed(payment)?;
        self.watch(&mut payment);
        self.decide_what_follows(&payment);
        Some(payment)
    }

    fn subscription(&mut self) -> Option<Payment> {
        let subscription = self.subscriptions.current();
        self.subscriptions.advance(&mut self.buyers.calendar);
        let payment = self.buyers.subscription(&subscription, self.time, &mut self.chance);
        let payment = self.disturbed(payment)?;
        self.decide_what_follows(&payment);
        Some(payment)
    }
}
