//! S7: a merchant refunds what nobody bought, to a few cards. Its twin: a recall, or gifts that are returned.

use crate::generate::amounts::price;
use crate::generate::calendar::DAY;
use crate::generate::categories::{CATEGORIES, ELECTRONICS, HOME, KIDS, SHOPPING_NET};
use crate::generate::later::FollowUp;
use crate::generate::payment::ECOMMERCE;
use crate::generate::steps::{Buy, Steps};

impl Steps<'_> {
    /// A shop whose refunds are many.
    fn refunding_shop(&mut self) -> u32 {
        let at = self.one_of(&[SHOPPING_NET, ELECTRONICS, HOME, KIDS]);
        self.buyers.shops.online(at, &mut self.chance)
    }

    fn days(&mut self, least: f64, most: f64) -> i64 {
        self.begins + (self.chance.between(least, most) * DAY as f64) as i64
    }

    pub(super) fn refund_abuse(&mut self) {
        let shop = self.refunding_shop();
        let median = CATEGORIES[usize::from(self.buyers.shops.all[shop as usize].category)].median;
        for _ in 0..2 + self.chance.below(3) {
            let victim = self.victim();
            // Each card is a customer's.
            let due = self.days(0.0, 3.0);
            let then = FollowUp::Planted { plant: None, terminal: None, answer: None };
            self.buy(&victim, Buy { due, shop, mode: ECOMMERCE, dollars: 0.0 }, then);
            for _ in 0..6 + self.chance.below(5) {
                let due = self.days(4.0, 8.0);
                let dollars = median * self.chance.between(0.7, 2.0);
                let cents = price(dollars, victim.person.home().country, &mut self.chance).0;
                let then = FollowUp::Credit { plant: self.plant, of: None };
                self.add(&victim, Buy { due, shop, mode: ECOMMERCE, dollars }, cents, then);
            }
        }
    }

    pub(super) fn returns(&mut self) {
        if self.chance.is(0.4) { self.recall() } else { self.returned_gifts() }
    }

    fn recall(&mut self) {
        let shop = self.refunding_shop();
        for _ in 0..4 + self.chance.below(5) {
            let victim = self.victim();
            for _ in 0..3 + self.chance.below(3) {
                let due = self.days(0.0, 10.0);
                let then = FollowUp::Returned { plant: self.plant, due: self.days(12.0, 15.0), to: victim.card };
                self.buy(&victim, Buy { due, shop, mode: ECOMMERCE, dollars: 0.0 }, then);
            }
        }
    }

    /// Each gift is paid with one card, and refunded to another.
    fn returned_gifts(&mut self) {
        let shop = self.refunding_shop();
        let median = CATEGORIES[usize::from(self.buyers.shops.all[shop as usize].category)].median;
        for _ in 0..18 + self.chance.below(13) {
            let victim = self.victim();
            let Some(receiver) = self.compatriot(&victim) else { continue };
            let due = self.days(0.0, 10.0);
            let dollars = median * self.chance.between(3.0, 8.0);
            let then = FollowUp::Returned { plant: self.plant, due: self.days(12.0, 15.0), to: receiver };
            self.buy(&victim, Buy { due, shop, mode: ECOMMERCE, dollars }, then);
        }
    }
}
