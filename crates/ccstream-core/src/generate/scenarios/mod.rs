//! The seven scenarios of fraud, and their twins.
//!
//! A fraud differs from most of the stream by one sign, which its twin shares, and from its twin by another:
//!
//! | | the sign of both | the sign of the fraud alone |
//! |---|---|---|
//! | S1 | many times the card's usual amount | a place that is new to the card, no durable goods |
//! | S2 | a terminal that reads no chips | amounts above the usual, for some of its cards |
//! | S3 | many purchases online within days | new merchants, and at night |
//! | S4 | many places within two hours | new places, and each amount above the one before |
//! | S5 | tiny amounts, declines, another try | one merchant and many cards, then large amounts |
//! | S6 | the magnetic stripe, far from home | at home shortly before |
//! | S7 | many refunds of one merchant | without purchases, and several for a card |

mod clones;
mod refunds;
mod testing;

use super::calendar::{DAY, MINUTE};
use super::categories::{
    CARE, CATEGORIES, ELECTRONICS, ENTERTAINMENT, FOOD, GAS, GROCERY, GROCERY_NET, HEALTH, HOME, SHOPPING_NET,
    SHOPPING_POS,
};
use super::numbers::exp;
use super::payment::ECOMMERCE;
use super::purchase::read_mode;
use super::steps::{Buy, Steps, Victim, local};

/// Half of all amounts are below this, in US dollars.
const MEDIAN: f64 = 35.0;

impl Steps<'_> {
    /// Adds all that the campaign consists of.
    pub(super) fn unroll(&mut self) {
        match self.plant.role.scenario {
            0 => self.blunt_amount(),
            1 => self.terminals.begin(self.plant, self.begins, &self.buyers.shops, &mut self.chance),
            2 => self.leaked_credentials(),
            3 => self.stolen_card(),
            4 if self.plant.is_fraud() => self.card_testing(),
            4 => self.small_payments(),
            5 if self.plant.is_fraud() => self.clone_far_away(),
            5 => self.traveller(),
            _ if self.plant.is_fraud() => self.refund_abuse(),
            _ => self.returns(),
        }
    }

    fn minutes(&mut self, least: f64, most: f64) -> i64 {
        (self.chance.between(least, most) * MINUTE as f64) as i64
    }

    fn read(&mut self, victim: &Victim) -> u8 {
        read_mode(victim.person.age, &mut self.chance)
    }

    fn blunt_amount(&mut self) {
        let victim = self.victim();
        let is_durable = self.plant.role.is_twin && self.chance.is(0.4);
        let of: &[usize] = if is_durable { &[ELECTRONICS, HOME] } else { &[SHOPPING_NET, SHOPPING_POS, HEALTH] };
        let at = self.one_of(of);
        let is_online = CATEGORIES[at].online > 0.5;
        let is_usual = self.plant.role.is_twin && !is_durable;
        let shop = if is_usual { self.usual(&victim, at, is_online) } else { self.strange(&victim, at, is_online) };
        let due = self.usual_time(&victim, Some(at), victim.person.city, self.begins);
        let mode = if is_online { ECOMMERCE } else { self.read(&victim) };
        // From 30 to 100 times as much, each scale as likely.
        let times = 30.0 * exp(1.204 * self.chance.unit());
        self.plant(&victim, Buy { due, shop, mode, dollars: MEDIAN * victim.person.level * times });
    }

    fn leaked_credentials(&mut self) {
        let victim = self.victim();
        // A season has usual merchants, or usual hours.
        let (at_night, is_usual) = match (self.plant.role.is_twin, self.chance.is(0.5)) {
            (false, _) => (true, false),
            (true, is_usual) => (is_usual, is_usual),
        };
        for _ in 0..12 + self.chance.below(7) {
            let due = if at_night {
                self.night(&victim, 2)
            } else {
                let from = self.begins + i64::from(self.chance.below(2)) * DAY;
                self.usual_time(&victim, None, victim.person.city, from)
            };
            let of: &[usize] = if is_usual {
                &[SHOPPING_NET, SHOPPING_NET, GROCERY_NET]
            } else {
                &[SHOPPING_NET, SHOPPING_NET, SHOPPING_NET, ELECTRONICS, ENTERTAINMENT]
            };
            let at = self.one_of(of);
            let shop = if is_usual { self.usual(&victim, at, true) } else { self.strange(&victim, at, true) };
            let is_large = !self.plant.role.is_twin && self.chance.is(1.0 / 3.0);
            let times = if is_large { self.chance.between(3.0, 8.0) } else { 0.0 };
            let dollars = CATEGORIES[at].median * victim.person.level * times;
            self.plant(&victim, Buy { due, shop, mode: ECOMMERCE, dollars });
        }
    }

    fn stolen_card(&mut self) {
        // Nobody has usual places for the last two.
        const PLACES: [usize; 7] = [SHOPPING_POS, GROCERY, FOOD, CARE, GAS, ELECTRONICS, HOME];
        let victim = self.victim();
        let city = victim.person.city;
        let mut due = self.begins;
        for _ in 0..50 {
            due = self.usual_time(&victim, Some(SHOPPING_POS), city, self.begins);
            if (9..17).contains(&local(city, due).hour) {
                break;
            }
        }
        // A shopping day has usual places and rising amounts, or new places and usual amounts.
        let is_twin = self.plant.role.is_twin;
        let is_usual = is_twin && self.chance.is(0.5);
        let places = if is_usual { &PLACES[..5] } else { &PLACES };
        let mut dollars = MEDIAN * victim.person.level * self.chance.between(0.2, 0.4);
        let growth = self.chance.between(1.2, 1.3);
        for _ in 0..16 + self.chance.below(9) {
            let at = self.open_of(places, city, due);
            let shop = if is_usual { self.usual(&victim, at, false) } else { self.strange(&victim, at, false) };
            let mode = self.read(&victim);
            let price = if is_twin && !is_usual { 0.0 } else { dollars * self.chance.between(0.85, 1.15) };
            self.plant(&victim, Buy { due, shop, mode, dollars: price });
            dollars *= growth;
            due += MINUTE + (self.chance.exponential() * 7.0 * MINUTE as f64) as i64;
        }
    }
}
