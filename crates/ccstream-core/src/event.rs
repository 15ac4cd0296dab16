//! One credit-card transaction.

use std::borrow::Cow;

use crate::datum::Datum;
use crate::fields::{COUNT, Place};
pub use crate::units::{Cents, Micros};

/// A transaction that has passed every check. Text is borrowed from the message where it can be.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction<'a> {
    /// `transaction_id`: the primary key, 1 to 50 characters.
    pub order_id: Cow<'a, str>,
    /// When it happened.
    pub timestamp: Micros,
    /// `amount`: what was paid, in `currency`; negative for a refund.
    pub value: Cents,
    /// All other fields, by their [`Place`]; None where one is absent.
    optional: [Option<Datum<'a>>; COUNT],
}

impl Default for Transaction<'_> {
    fn default() -> Self {
        Self {
            order_id: Cow::default(),
            timestamp: Micros::default(),
            value: Cents::default(),
            optional: [const { None }; COUNT],
        }
    }
}

impl<'a> Transaction<'a> {
    /// A transaction of the three fields that each has.
    ///
    /// ```
    /// use ccstream_core::event::{Cents, Micros, Transaction};
    /// use ccstream_core::fields::Place;
    /// let transaction = Transaction::new("a1", Micros(0), Cents(1250)).with(Place::CURRENCY, "EUR");
    /// assert_eq!(transaction.text(Place::CURRENCY), Some("EUR"));
    /// assert_eq!(transaction.text(Place::CITY), None);
    /// ```
    pub fn new(order_id: impl Into<Cow<'a, str>>, timestamp: Micros, value: Cents) -> Self {
        Self { order_id: order_id.into(), timestamp, value, ..Self::default() }
    }

    /// The same with a text.
    #[must_use]
    pub fn with(mut self, place: Place, text: impl Into<Cow<'a, str>>) -> Self {
        self.set(place, Datum::Text(text.into()));
        self
    }

    /// Sets any field.
    ///
    /// # Panics
    /// Where a required field is given a value of another type.
    pub fn set(&mut self, place: Place, value: Datum<'a>) {
        match (place, value) {
            (Place::ORDER_ID, Datum::Text(text)) => self.order_id = text,
            (Place::VALUE, Datum::Cents(cents)) => self.value = cents,
            (Place::TIMESTAMP, Datum::Instant(instant)) => self.timestamp = instant,
            (Place::ORDER_ID | Place::VALUE | Place::TIMESTAMP, other) => panic!("{place:?} cannot be {other:?}"),
            (place, value) => self.optional[place.index()] = Some(value),
        }
    }

    /// A field's value; None where it is absent.
    pub fn get(&self, place: Place) -> Option<Datum<'_>> {
        match place {
            Place::ORDER_ID => Some(Datum::Text(Cow::Borrowed(&self.order_id))),
            Place::VALUE => Some(Datum::Cents(self.value)),
            Place::TIMESTAMP => Some(Datum::Instant(self.timestamp)),
            _ => self.optional[place.index()].as_ref().map(Datum::view),
        }
    }

    /// Shows a field's value, and says whether there is one. [`get`](Self::get) makes a view of it first: a third of what
    /// writing an event takes.
    pub(crate) fn look(&self, place: Place, look: impl FnOnce(&Datum<'_>)) -> bool {
        match &self.optional[place.index()] {
            Some(value) => look(value),
            None => match self.get(place) {
                Some(required) => look(&required),
                None => return false,
            },
        }
        true
    }

    /// An optional text.
    pub fn text(&self, place: Place) -> Option<&str> {
        match &self.optional[place.index()] {
            Some(Datum::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An optional true or false.
    pub fn flag(&self, place: Place) -> Option<bool> {
        match self.optional[place.index()] {
            Some(Datum::Flag(flag)) => Some(flag),
            _ => None,
        }
    }
}
