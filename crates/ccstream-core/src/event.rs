//! Represents a credit-card transaction.

use std::borrow::Cow;

use crate::datum::Datum;
use crate::fields::{COUNT, Place};
pub use crate::units::{Cents, Micros};

/// Holds a transaction that has passed every check. Its texts are borrowed from the message if they have no escapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction<'a> {
    /// The `transaction_id`, which is the primary key: 1 to 50 characters.
    pub order_id: Cow<'a, str>,
    /// The time of the transaction.
    pub timestamp: Micros,
    /// The `amount` that was paid, in the transaction's `currency`; negative for a refund.
    pub value: Cents,
    /// The values of all other fields, by their [`Place`]; None if a field is absent.
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
    /// Creates a transaction with the three required fields.
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

    /// Sets a text field and returns the transaction.
    #[must_use]
    pub fn with(mut self, place: Place, text: impl Into<Cow<'a, str>>) -> Self {
        self.set(place, Datum::Text(text.into()));
        self
    }

    /// Sets a field.
    ///
    /// # Panics
    /// Panics if a required field is given a value of another type.
    pub fn set(&mut self, place: Place, value: Datum<'a>) {
        match (place, value) {
            (Place::ORDER_ID, Datum::Text(text)) => self.order_id = text,
            (Place::VALUE, Datum::Cents(cents)) => self.value = cents,
            (Place::TIMESTAMP, Datum::Instant(instant)) => self.timestamp = instant,
            (Place::ORDER_ID | Place::VALUE | Place::TIMESTAMP, other) => panic!("{place:?} cannot be {other:?}"),
            (place, value) => self.optional[place.index()] = Some(value),
        }
    }

    /// Returns a field's value; None if it is absent.
    pub fn get(&self, place: Place) -> Option<Datum<'_>> {
        match place {
            Place::ORDER_ID => Some(Datum::Text(Cow::Borrowed(&self.order_id))),
            Place::VALUE => Some(Datum::Cents(self.value)),
            Place::TIMESTAMP => Some(Datum::Instant(self.timestamp)),
            _ => self.optional[place.index()].as_ref().map(Datum::view),
        }
    }

    /// Calls `look` with a field's value if there is one, and returns whether there is. [`get`](Self::get) would first
    /// build a borrowed value, which took a third of the time of encoding an event.
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

    /// Returns an optional field's text; None if it is absent or not a text.
    pub fn text(&self, place: Place) -> Option<&str> {
        match &self.optional[place.index()] {
            Some(Datum::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns an optional field's flag; None if it is absent or not a flag.
    pub fn flag(&self, place: Place) -> Option<bool> {
        match self.optional[place.index()] {
            Some(Datum::Flag(flag)) => Some(flag),
            _ => None,
        }
    }
}
