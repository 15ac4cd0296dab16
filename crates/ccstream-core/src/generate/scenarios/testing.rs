//! S5: cards are tested with tiny amounts at one merchant, and those that work pay large ones. Its twin: small payments.

use super::MEDIAN;
use crate::generate::calendar::SECOND;
use crate::generate::categories::{ELECTRONICS, ENTERTAINMENT, GAS, HEALTH, KIDS, SHOPPING_NET, TRAVEL};
use crate::generate::declines::Answer;
use crate::generate::later::FollowUp;
use crate::generate::payment::{CONTACTLESS, ECOMMERCE};
use crate::generate::steps::{Buy, Steps};

impl Steps<'_> {
    pub(super) fn card_testing(&mut self) {
        let at = self.one_of(&[SHOPPING_NET, ENTERTAINMENT, KIDS]);
        let shop = self.buyers.shops.any(None, at, &mut self.chance);
        for _ in 0..6 + self.chance.below(7) {
            let victim = self.victim();
            let mut due = self.begins + self.minutes(0.0, 90.0);
            let is_good = self.chance.is(0.6);
            let tests = 2 + self.chance.below(2);
            for test in 1..=tests {
                let answer = match (test == tests && is_good, self.chance.is(0.6)) {
                    (true, _) => Answer::Approved,
                    (false, true) => Answer::InvalidCard,
                    (false, false) => Answer::DoNotHonour,
                };
                let dollars = self.chance.between(0.5, 2.0);
                let then = FollowUp::Planted { plant: Some(self.plant), terminal: None, answer: Some(answer) };
                self.buy(&victim, Buy { due, shop, mode: ECOMMERCE, dollars }, then);
                due += (self.chance.between(15.0, 90.0) * SECOND as f64) as i64;
            }
            if !is_good {
                continue;
            }
            due += self.minutes(60.0, 36.0 * 60.0);
            for _ in 0..3 + self.chance.below(3) {
                let at = self.one_of(&[SHOPPING_NET, SHOPPING_NET, ELECTRONICS, TRAVEL]);
                let shop = self.strange(&victim, at, true);
                let dollars = MEDIAN * victim.person.level * self.chance.between(8.0, 25.0);
                self.plant(&victim, Buy { due, shop, mode: ECOMMERCE, dollars });
                due += self.minutes(5.0, 50.0);
            }
        }
    }

    /// Parking meters and vending machines, or trials of services that are signed up for.
    pub(super) fn small_payments(&mut self) {
        let victim = self.victim();
        let is_online = self.chance.is(0.5);
        let at = if is_online { ENTERTAINMENT } else { GAS };
        let mut due = self.usual_time(&victim, None, victim.person.city, self.begins);
        let mut shop = self.strange(&victim, at, is_online);
        let mut is_declined = false;
        for _ in 0..3 + self.chance.below(4) {
            if is_online && !is_declined {
                let at = self.one_of(&[ENTERTAINMENT, SHOPPING_NET, HEALTH]);
                shop = self.strange(&victim, at, true);
            }
            is_declined = self.chance.is(if is_online { 0.4 } else { 0.15 });
            let declined = match self.chance.below(10) {
                0..3 if is_online => Answer::InvalidCard,
                0..6 => Answer::InsufficientFunds,
                _ => Answer::DoNotHonour,
            };
            let answer = Some(if is_declined { declined } else { Answer::Approved });
            let dollars = self.chance.between(0.5, 2.5);
            let mode = if is_online { ECOMMERCE } else { CONTACTLESS };
            let then = FollowUp::Planted { plant: Some(self.plant), terminal: None, answer };
            self.buy(&victim, Buy { due, shop, mode, dollars }, then);
            due += self.minutes(0.3, if is_declined { 2.0 } else { 25.0 });
        }
    }
}
