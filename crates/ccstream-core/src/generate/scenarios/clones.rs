//! S6: a card's magnetic stripe is read far from where the card was shortly before. Its twin: a traveller who swipes.

use crate::generate::calendar::HOUR;
use crate::generate::categories::{CATEGORIES, ELECTRONICS, FOOD, GAS, SHOPPING_POS};
use crate::generate::payment::SWIPE;
use crate::generate::steps::{Buy, Steps, Victim, is_far};
use crate::generate::trips::Whereabouts;

impl Steps<'_> {
    pub(super) fn clone_far_away(&mut self) {
        // Of a card that was read a moment ago.
        let Some(present) = self.present.filter(|present| self.begins - present.time < HOUR) else { return };
        let victim = self.victim_of(present.card);
        let Some(city) = self.far_city(present.city) else { return };
        let mut due = self.begins + self.minutes(15.0, 75.0);
        for _ in 0..3 + self.chance.below(3) {
            self.swipe(&victim, city, due, 1.0, 3.0);
            due += self.minutes(10.0, 40.0);
        }
    }

    pub(super) fn traveller(&mut self) {
        let far = |steps: &mut Self| {
            let victim = steps.victim();
            match steps.whereabouts(&victim, steps.begins) {
                Whereabouts::Away(city) if is_far(city, victim.person.city) && !victim.person.is_shared => {
                    Some((victim, city))
                }
                _ => None,
            }
        };
        let Some((victim, city)) = (0..400).find_map(|_| far(self)) else { return };
        for _ in 0..3 + self.chance.below(3) {
            let due = self.usual_time(&victim, Some(GAS), city, self.begins);
            if self.whereabouts(&victim, due) == Whereabouts::Away(city) {
                self.swipe(&victim, city, due, 0.7, 2.5);
            }
        }
    }

    /// Adds a purchase in a city by the magnetic stripe.
    fn swipe(&mut self, victim: &Victim, city: u8, due: i64, least: f64, most: f64) {
        let at = self.open_of(&[SHOPPING_POS, ELECTRONICS, FOOD, GAS], city, due);
        let shop = self.buyers.shops.near(city.into(), at, (0.0, 0.0), &mut self.chance);
        let dollars = CATEGORIES[at].median * victim.person.level * self.chance.between(least, most);
        self.plant(victim, Buy { due, shop, mode: SWIPE, dollars });
    }
}
