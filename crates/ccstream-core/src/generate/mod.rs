//! A seeded stream of card transactions from a simulated world.
//!
//! ```text
//! hour -> block of cards (a group in a time zone) -> card -> person: home or trip
//!      -> category by the hour -> usual place, or a shop by gravity -> amount -> issuer's answer
//!      -> refund or retry, which wait until they are due
//! ```
//! The same seed, start, pace and number of cards give the same messages, byte for byte, on every machine.

mod amounts;
mod arrivals;
mod calendar;
mod cards;
mod categories;
mod chance;
mod cities;
mod declines;
mod follow_ups;
mod groups;
mod ids;
mod later;
mod merchants;
mod message;
mod numbers;
mod pace;
mod payment;
mod people;
mod purchase;
mod subscriptions;
mod transaction;
mod trips;
mod world;

use self::arrivals::Arrivals;
use self::chance::{Chance, Matter};
use self::ids::{id, text_of};
use self::later::Later;
pub use self::message::Message;
use self::message::Writer;
pub use self::pace::Pace;
use self::payment::{Kind, Payment};
use self::purchase::Buyers;
use self::subscriptions::Subscriptions;
use self::transaction::transaction;
pub use self::world::World;
use crate::error::{Error, Result};
use crate::event::{Micros, Transaction};

/// The mean number of refunds and retries after a purchase or a subscription's payment.
const FOLLOWING: f64 = 0.042;
/// An endless, seeded source of transactions.
///
/// ```
/// use ccstream_core::event::Micros;
/// use ccstream_core::generate::{Generator, Message, Pace, World};
/// let world = World { seed: 7, start: Some(Micros(1_795_342_530_000_000)), pace: Pace::PerSecond(20.0), cards: None };
/// let (mut one, mut two) = (Generator::new(&world).unwrap(), Generator::new(&world).unwrap());
/// let (mut message, mut same) = (Message::default(), Message::default());
/// one.next_message(&mut message);
/// two.next_message(&mut same);
/// assert_eq!(message, same);
/// assert_eq!(message.due, Micros(1_795_342_530_000_000));
/// ```
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    /// Each event has the time at which it is made.
    is_now: bool,
    /// Events happen at the times of arrivals only: a refund that is due waits for the next one.
    is_even: bool,
    chance: Chance,
    buyers: Buyers,
    arrivals: Arrivals,
    subscriptions: Subscriptions,
    later: Later,
    writer: Writer,
    /// The time of the last event.
    time: i64,
    /// The id of the last event. Its text is the next field.
    id: [u8; 16],
    text: [u8; 36],
}

impl Generator {
    /// Makes a generator of a world.
    ///
    /// Errors: [`Error::Config`] of a world without cards.
    pub fn new(world: &World) -> Result<Self> {
        let cards = world.cards();
        if cards == 0 {
            return Err(Error::config("cards", "a world needs at least one card"));
        }
        let start = world.start.map_or_else(now, |start| start.0);
        let per_second = world.pace.per_second();
        let is_load = world.pace == Pace::Max;
        let mut buyers = Buyers::new(world.seed, cards, per_second, !is_load);
        let subscribed = if is_load { 0.0 } else { per_second };
        let subscriptions = Subscriptions::new(world.seed, cards, subscribed, start, &mut buyers.calendar);
        let decided = per_second / (1.0 + FOLLOWING) - subscriptions.per_second();
        Ok(Self {
            seed: world.seed,
            is_now: world.start.is_none() && is_load,
            is_even: !matches!(world.pace, Pace::PerSecond(_)),
            chance: Chance::of(world.seed, Matter::Stream, 0),
            writer: Writer::new(&buyers.shops),
            arrivals: Arrivals::new(world.pace, decided, start),
            buyers,
            subscriptions,
            later: Later::new(),
            time: i64::MIN,
            id: [0; 16],
            text: [0; 36],
        })
    }

    /// Makes the next event's message.
    pub fn next_message(&mut self, message: &mut Message) {
        let payment = self.next_payment();
        message.due = Micros(self.time);
        self.writer.write(&self.buyers.shops, &payment, &self.text, message.due, &mut message.record);
    }

    /// Makes the next event as a transaction.
    pub fn next_transaction(&mut self) -> Transaction<'_> {
        let payment = self.next_payment();
        transaction(&self.buyers.shops, &payment, String::from_utf8_lossy(&self.text), Micros(self.time))
    }

    /// The number of refunds and retries that were sent early, because too many waited.
    pub fn early(&self) -> u64 {
        self.later.early()
    }

    /// The number of events expected in the hour of this time.
    pub fn expected_in_hour(&mut self, time: Micros) -> f64 {
        let Buyers { population, calendar, .. } = &mut self.buyers;
        let decided = self.arrivals.in_hour(population, calendar, time.0);
        (decided + self.subscriptions.per_second() * 3_600.0) * (1.0 + FOLLOWING)
    }

    fn next_payment(&mut self) -> Payment {
        let arrival = if self.is_now { now() } else { self.arrivals.next() };
        let (later, subscription) = (self.later.due(), self.subscriptions.due());
        let first = later.min(subscription);
        let payment = if first > arrival {
            self.step_to(arrival);
            self.purchase()
        } else {
            self.step_to(if self.is_even { arrival } else { first });
            let due = if later <= subscription { self.later.pop(self.time) } else { None };
            match due {
                Some(entry) => self.follow_up(&entry),
                None => self.subscription(),
            }
        };
        let is_decided = matches!(payment.kind, Kind::Purchase);
        if !self.is_now && (self.is_even || is_decided) {
            let Buyers { population, calendar, .. } = &mut self.buyers;
            self.arrivals.advance(population, calendar, &mut self.chance);
        }
        payment
    }

    /// Sets the time of the next event, and draws its id.
    fn step_to(&mut self, time: i64) {
        self.time = self.time.max(time);
        self.id = id(self.time, &mut self.chance);
        self.text = text_of(&self.id);
    }

    fn purchase(&mut self) -> Payment {
        let Buyers { population, calendar, .. } = &mut self.buyers;
        let block = self.arrivals.block(population, calendar, self.time, &mut self.chance);
        let payment = self.buyers.purchase(block, self.time, &mut self.chance);
        self.decide_follow_up(&payment);
        payment
    }

    fn subscription(&mut self) -> Payment {
        let subscription = self.subscriptions.current();
        self.subscriptions.advance(&mut self.buyers.calendar);
        let payment = self.buyers.subscription(&subscription, self.time, &mut self.chance);
        self.decide_follow_up(&payment);
        payment
    }
}

/// The current time.
fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod shape;
#[cfg(test)]
mod tests;
