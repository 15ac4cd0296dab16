//! How incidents and mistakes come into the stream of messages.

use super::Generator;
use super::held::Held;
use super::ids::as_str;
use super::message::Message;
use super::payment::Payment;
use super::truth::Truth;
use crate::units::Micros;

impl Generator {
    /// A payment as the incidents under way leave it; None where one of them keeps it from taking place.
    pub(super) fn disturbed(&mut self, mut payment: Payment) -> Option<Payment> {
        if self.effects.is_quiet() {
            return Some(payment);
        }
        self.effects.disturb(&mut payment).then_some(payment)
    }

    /// Decides what follows a payment: nothing, if its message is malformed, because the message is rejected.
    pub(super) fn decide_what_follows(&mut self, payment: &Payment) {
        // Frauds and twins are whole, so that there is a transaction for the truth about each.
        self.mistake = if payment.plant.is_none() { self.mistakes.draw() } else { None };
        if self.mistake.is_none() {
            self.decide_follow_up(payment);
        }
    }

    /// The time that a payment's message gives.
    pub(super) fn event_time(&self, payment: &Payment) -> Micros {
        if self.effects.is_quiet() { Micros(self.time) } else { Micros(self.effects.clock(payment, self.time)) }
    }

    /// Makes the event's mistake in its message, if there is one, and adds the truth about it.
    pub(super) fn spoil(&mut self, message: &mut Message) {
        let Some(mistake) = self.mistake else { return };
        mistake.spoil(&mut message.record);
        let truth = Truth {
            transaction_id: Some(as_str(&self.text)),
            scenario: Some(mistake.name),
            detail: Some(mistake.reason.as_str()),
            ..Truth::new("malformed", message.due)
        };
        self.pending.push_back(truth.message(message.due));
    }

    /// Takes a message that an event made, where another one has to be sent before it.
    pub(super) fn is_held(&mut self, payment: &Payment, message: &mut Message) -> bool {
        if self.effects.is_quiet() && self.holding.is_empty() {
            return false;
        }
        // The second message of one that is rejected would be rejected as well, and not count as a duplicate.
        if let (None, Some(after)) = (self.mistake, self.effects.copy()) {
            let copy = Message { due: Micros(self.time + after), ..message.clone() };
            self.holding.push(Held::new(copy, Some(as_str(&self.text).to_owned())));
        }
        message.due = Micros(self.time + self.effects.delay(payment, self.time));
        self.holding.push(Held::new(std::mem::take(message), None));
        true
    }

    /// Makes the first message of those that are held the one in `message`; false if none is due. If too many are held, it
    /// is due now: a later time would hold up the events after it.
    pub(super) fn next_held(&mut self, message: &mut Message) -> bool {
        if self.holding.due() > self.time {
            return false;
        }
        let Some(held) = self.holding.pop(self.time) else { return false };
        let due = held.message.due.min(Micros(self.time));
        self.pending.extend(held.truth(due));
        *message = Message { due, ..held.message };
        true
    }
}

impl Held {
    /// The truth that follows a second message, which is sent at a time.
    pub(super) fn truth(&self, sent: Micros) -> Option<Message> {
        let id = self.copy_of.as_deref()?;
        Some(Truth { transaction_id: Some(id), ..Truth::new("duplicate", self.message.due) }.message(sent))
    }
}
