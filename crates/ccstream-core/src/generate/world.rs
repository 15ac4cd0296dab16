//! What a simulated world is made from.

use super::pace::Pace;
use crate::units::Micros;

/// What a simulated world is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// Another seed gives other people, cards and purchases.
    pub seed: u64,
    /// When the first event happens. None: each happens when it is made.
    pub start: Option<Micros>,
    /// How far apart events are, in simulated time.
    pub pace: Pace,
    /// The number of cards. None: [`Pace::usual_cards`].
    pub cards: Option<u32>,
}

impl Default for World {
    fn default() -> Self {
        Self { seed: 1, start: None, pace: Pace::Human, cards: None }
    }
}

impl World {
    /// The number of cards.
    pub fn cards(&self) -> u32 {
        self.cards.unwrap_or_else(|| self.pace.usual_cards())
    }

    /// Payments a card and day, on average; None at [`Pace::Max`].
    pub fn payments_a_day(&self) -> Option<f64> {
        let is_paced = self.pace != Pace::Max;
        is_paced.then(|| self.pace.per_second() * 86_400.0 / f64::from(self.cards()))
    }
}
