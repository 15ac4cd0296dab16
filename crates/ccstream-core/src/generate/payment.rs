//! A payment, as it is drawn.

use super::cards::Card;
use super::cities::{CITIES, Country};
use super::declines::Answer;
use crate::units::Cents;

/// How cards are read.
pub(super) static ENTRY_MODES: [&str; 6] = ["contactless", "chip", "swipe", "manual", "ecommerce", "recurring"];
pub(super) const ECOMMERCE: u8 = 4;
pub(super) const RECURRING: u8 = 5;

/// Why there is a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Purchase,
    Subscription,
    /// A purchase that was declined shortly before.
    Retry,
    /// Of the purchase with this id.
    Refund([u8; 16]),
}

/// A payment, as it is drawn.
#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) kind: Kind,
    /// The card's number.
    pub(super) number: u32,
    pub(super) card: Card,
    pub(super) shop: u32,
    /// From 0 to before the shop's number of them.
    pub(super) terminal: u8,
    pub(super) value: Cents,
    /// The city that gives the currency: the shop's, or the holder's where the sale is online.
    pub(super) city: u8,
    /// In hundredths of the price.
    pub(super) discount: u8,
    /// The place in [`ENTRY_MODES`].
    pub(super) entry_mode: u8,
    pub(super) answer: Answer,
    pub(super) is_risky: bool,
}

impl Payment {
    pub(super) fn country(&self) -> &'static Country {
        CITIES[usize::from(self.city)].country
    }

    pub(super) fn is_online(&self) -> bool {
        self.entry_mode >= ECOMMERCE
    }
}
