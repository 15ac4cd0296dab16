//! A payment before it is written as a message.

use super::cards::Card;
use super::cities::{CITIES, Country};
use super::declines::Answer;
use super::plant::Plant;
use crate::units::Cents;

/// The ways in which cards are read.
pub(super) static ENTRY_MODES: [&str; 6] = ["contactless", "chip", "swipe", "manual", "ecommerce", "recurring"];
pub(super) const CONTACTLESS: u8 = 0;
pub(super) const SWIPE: u8 = 2;
pub(super) const MANUAL: u8 = 3;
pub(super) const ECOMMERCE: u8 = 4;
pub(super) const RECURRING: u8 = 5;

/// The kinds of payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Purchase,
    Subscription,
    /// Another try of the purchase with this id, which was declined.
    Retry([u8; 16]),
    /// A refund of the purchase with this id.
    Refund([u8; 16]),
    /// A refund without a purchase.
    Credit,
}

/// A payment before it is written as a message.
#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) kind: Kind,
    /// The card's number.
    pub(super) number: u32,
    pub(super) card: Card,
    pub(super) shop: u32,
    /// The terminal, from 0 to below the shop's number of terminals.
    pub(super) terminal: u8,
    pub(super) value: Cents,
    /// The city whose currency is paid: the shop's, or the holder's home for a sale online.
    pub(super) city: u8,
    /// The discount, in hundredths of the price.
    pub(super) discount: u8,
    /// The index in [`ENTRY_MODES`].
    pub(super) entry_mode: u8,
    pub(super) answer: Answer,
    pub(super) is_risky: bool,
    /// The campaign that it belongs to.
    pub(super) plant: Option<Plant>,
}

impl Payment {
    pub(super) fn country(&self) -> &'static Country {
        CITIES[usize::from(self.city)].country
    }

    pub(super) fn is_online(&self) -> bool {
        self.entry_mode >= ECOMMERCE
    }
}
