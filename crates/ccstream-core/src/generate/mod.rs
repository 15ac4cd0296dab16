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
mod campaigns;
mod cards;
mod categories;
mod chance;
mod cities;
mod command;
mod declines;
mod disturbance;
mod effects;
mod follow_ups;
mod groups;
pub mod handbook;
mod held;
mod ids;
mod incident_plan;
mod incidents;
mod labels;
mod later;
mod malformed;
mod merchants;
mod message;
mod numbers;
mod pace;
mod payment;
mod people;
mod planned_campaign;
mod planned_incident;
mod plant;
mod planting;
mod purchase;
mod queue;
mod rates;
mod scenarios;
mod steps;
mod stream;
mod subscriptions;
mod terminals;
mod transaction;
mod trips;
mod truth;
mod unsent;
mod waiting_label;
mod world;

use std::collections::VecDeque;

use self::arrivals::Arrivals;
use self::campaigns::Campaigns;
use self::chance::{Chance, Matter};
pub use self::command::{Command, RATES};
use self::effects::Effects;
use self::held::{Held, Holding};
use self::incident_plan::Plan;
pub use self::incidents::IncidentKind;
pub use self::labels::LabelDelay;
use self::later::Later;
use self::malformed::{Mistake, Mistakes};
use self::message::Writer;
pub use self::message::{Message, Topic};
pub use self::pace::Pace;
pub use self::planned_campaign::PlannedCampaign;
pub use self::planned_incident::PlannedIncident;
use self::purchase::Buyers;
pub use self::queue::Early;
use self::rates::Rates;
use self::steps::{Habits, Present};
use self::stream::Event;
use self::subscriptions::Subscriptions;
use self::terminals::Terminals;
use self::transaction::transaction;
pub use self::unsent::Unsent;
pub use self::waiting_label::WaitingLabel;
use self::waiting_label::WaitingLabels;
pub use self::world::{WORLD_HEADER, World};
use crate::error::{Error, Result};
use crate::event::{Micros, Transaction};

/// The mean number of refunds and retries after a purchase or a subscription's payment.
const FOLLOWING: f64 = 0.042;

/// An endless, seeded source of transactions.
///
/// ```
/// use ccstream_core::event::Micros;
/// use ccstream_core::generate::{Generator, Message, Pace, World};
/// let world = World { seed: 7, start: Some(Micros(1_795_342_530_000_000)), pace: Pace::PerSecond(20.0), ..World::default() };
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
    /// The share of planted frauds.
    fraud: f64,
    /// Frauds are planted, and labels are sent beside the transactions.
    has_fraud: bool,
    /// Truth is sent beside the transactions.
    has_truth: bool,
    /// Each event has the time at which it is made.
    is_now: bool,
    /// Events happen at the times of arrivals only: a refund that is due waits for the next one.
    is_even: bool,
    chance: Chance,
    buyers: Buyers,
    arrivals: Arrivals,
    subscriptions: Subscriptions,
    later: Later,
    labels: WaitingLabels,
    campaigns: Campaigns,
    habits: Habits,
    terminals: Terminals,
    label_delay: LabelDelay,
    /// When the stream begins.
    start: i64,
    rates: Rates,
    /// The last payment with the card there.
    present: Option<Present>,
    effects: Effects,
    /// Messages that are sent later than their events.
    holding: Holding,
    mistakes: Mistakes,
    /// The mistake that is made in the last event's message.
    mistake: Option<&'static Mistake>,
    writer: Writer,
    /// Messages that follow the last one at once: the truth about an event.
    pending: VecDeque<Message>,
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
        let rates = Rates::new(per_second, world.fraud, subscriptions.per_second());
        let terminals = Terminals::new(&buyers.shops);
        let honest = rates.decided / per_second;
        let mut campaigns = Campaigns::new(world.seed, world.fraud, per_second, honest, &terminals.choice, start);
        campaigns.plan(&world.campaigns, start);
        let plan = Plan::new(world.seed, &world.incidents, world.has_incidents_by_chance, start, &buyers.shops);
        Ok(Self {
            seed: world.seed,
            fraud: world.fraud,
            has_fraud: world.fraud > 0.0,
            has_truth: world.has_truth(),
            is_now: world.start.is_none() && is_load,
            is_even: !matches!(world.pace, Pace::PerSecond(_)),
            chance: Chance::of(world.seed, Matter::Stream, 0),
            writer: Writer::new(&buyers.shops),
            arrivals: Arrivals::new(world.pace, rates.decided, start),
            habits: Habits::new(&buyers.population),
            buyers,
            subscriptions,
            later: Later::new(later::MOST),
            labels: WaitingLabels::new(waiting_label::MOST),
            campaigns,
            terminals,
            label_delay: world.label_delay,
            start,
            rates,
            present: None,
            effects: Effects::new(world.seed, plan),
            holding: Holding::new(held::MOST),
            mistakes: Mistakes::new(world.seed, world.malformed / rates.spoilable()),
            mistake: None,
            pending: VecDeque::new(),
            time: start,
            id: [0; 16],
            text: [0; 36],
        })
    }

    /// Makes the next message.
    pub fn next_message(&mut self, message: &mut Message) {
        // In this order: what is held is due before the event that the pending messages follow, or is that event.
        while !self.next_held(message) && !self.next_pending(message) {
            match self.next_event() {
                Some(Event::Payment(payment)) => {
                    let (time, due) = (self.event_time(&payment), Micros(self.time));
                    (message.topic, message.due, message.record.is_tombstone) = (Topic::Orders, due, false);
                    self.writer.write(&self.buyers.shops, &payment, &self.text, time, &mut message.record);
                    self.add_truth(&payment);
                    self.spoil(message);
                    if !self.is_held(&payment, message) {
                        return;
                    }
                }
                Some(Event::Label(label)) => {
                    *message = label.message(Micros(self.time));
                    if self.holding.is_empty() {
                        return;
                    }
                    self.holding.push(Held::new(std::mem::take(message), None));
                }
                None => {}
            }
        }
    }

    /// Makes the first message that follows the last event at once; false if there is none.
    fn next_pending(&mut self, message: &mut Message) -> bool {
        match self.pending.pop_front() {
            Some(pending) => {
                *message = pending;
                true
            }
            None => false,
        }
    }

    /// Whether the next message follows the last transaction at once.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Adds a label that an earlier run did not send.
    pub fn add_label(&mut self, label: WaitingLabel) {
        self.labels.push(label);
    }

    /// The numbers of labels, and of late and second messages, that wait until they are due.
    pub fn waiting(&self) -> (usize, usize) {
        (self.labels.len(), self.holding.len())
    }

    /// Makes the next event as a transaction, and nothing of labels and truth.
    pub fn next_transaction(&mut self) -> Transaction<'_> {
        let payment = self.next_payment();
        transaction(&self.buyers.shops, &payment, String::from_utf8_lossy(&self.text), Micros(self.time))
    }

    /// The numbers of what was sent early.
    pub fn early(&self) -> Early {
        Early { labels: self.labels.early(), follow_ups: self.later.early(), messages: self.holding.early() }
    }

    /// The number of events expected in the hour of this time.
    pub fn expected_in_hour(&mut self, time: Micros) -> f64 {
        let Buyers { population, calendar, .. } = &mut self.buyers;
        let decided = self.arrivals.in_hour(population, calendar, time.0);
        (decided + self.subscriptions.per_second() * 3_600.0) * (1.0 + FOLLOWING) + self.rates.planted * 3_600.0
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
