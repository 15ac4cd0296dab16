//! Puts the Handbook's transactions, their labels and the truth about its frauds into one stream of messages.

use std::collections::VecDeque;

use super::wire::Writer;
use super::{Handbook, HandbookTransaction, Settings};
use crate::error::Result;
use crate::generate::chance::{Chance, Matter};
use crate::generate::labels::{LabelDelay, Source};
use crate::generate::message::{Message, Topic};
use crate::generate::truth::Truth;
use crate::generate::unsent::Unsent;
use crate::generate::waiting_label::{self, WaitingLabel, WaitingLabels};
use crate::units::Micros;

/// Generates the messages of the Handbook's world, in the order in which they are due.
///
/// The truth about a fraud follows it at once. Its label is due after the delay.
///
/// ```
/// use ccstream_core::event::Micros;
/// use ccstream_core::generate::handbook::{Feed, Settings};
/// use ccstream_core::generate::{LabelDelay, Message, Topic};
/// let settings: Settings = "handbook,customers=50,days=1,s1_above=0".parse().unwrap();
/// let mut feed = Feed::new(7, Micros(0), &settings, LabelDelay::Fixed(7 * 86_400_000_000)).unwrap();
/// let mut message = Message::default();
/// assert!(feed.next_message(&mut message) && message.topic == Topic::Orders);
/// assert!(feed.has_pending() && feed.next_message(&mut message) && message.topic == Topic::Truth);
/// ```
#[derive(Debug)]
pub struct Feed {
    handbook: Handbook,
    writer: Writer,
    /// The transaction after the last one, once it is known.
    next: Option<HandbookTransaction>,
    /// The truth about the last transaction, if it is a fraud.
    pending: VecDeque<Message>,
    labels: WaitingLabels,
    labelled: f64,
    delay: LabelDelay,
    chance: Chance,
    time: i64,
}

impl Feed {
    /// Creates the world that begins at `start`. Fails like [`Handbook::new`].
    pub fn new(seed: u64, start: Micros, settings: &Settings, delay: LabelDelay) -> Result<Self> {
        Ok(Self {
            handbook: Handbook::new(seed, start, settings)?,
            writer: Writer::new(seed),
            next: None,
            pending: VecDeque::new(),
            labels: WaitingLabels::new(waiting_label::MOST),
            labelled: settings.labelled,
            delay,
            chance: Chance::of(seed, Matter::PresetLabel, 0),
            time: start.0,
        })
    }

    /// Puts the next message into `message`. Returns false after the last day.
    pub fn next_message(&mut self, message: &mut Message) -> bool {
        if let Some(truth) = self.pending.pop_front() {
            *message = truth;
            return true;
        }
        self.next = self.next.take().or_else(|| self.handbook.next());
        let Some(transaction) = self.next else { return false };
        if self.labels.due() <= transaction.time.0 {
            self.time = self.time.max(self.labels.due());
            if let Some(label) = self.labels.pop(self.time) {
                *message = label.message(Micros(self.time));
                return true;
            }
        }
        self.next = None;
        self.time = transaction.time.0;
        (message.topic, message.due) = (Topic::Orders, transaction.time);
        let id = self.writer.write(&transaction, &mut message.record);
        self.follow(&transaction, &id);
        true
    }

    /// Adds the truth about a fraud, and its label.
    fn follow(&mut self, transaction: &HandbookTransaction, id: &str) {
        let Some(scenario) = transaction.scenario else { return };
        let truth = Truth {
            transaction_id: Some(id),
            scenario: Some(scenario.name()),
            campaign: transaction.campaign.map(i64::from),
            ..Truth::new("fraud", transaction.time)
        };
        self.pending.push_back(truth.message(transaction.time));
        if self.chance.is(self.labelled) {
            let due = self.time + self.delay.draw(&mut self.chance);
            let id = uuid::Uuid::try_parse(id).unwrap_or_default().into_bytes();
            self.labels.push(WaitingLabel::new(due, Source::Chargeback, id));
        }
    }

    /// Returns whether the next message follows the last transaction at once.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Adds a label that an earlier run did not send.
    pub fn add_label(&mut self, label: WaitingLabel) {
        self.labels.push(label);
    }

    /// Returns what is not due yet, in the order in which it is due.
    pub fn unsent(&self) -> Vec<Unsent> {
        let truths = self.pending.iter().cloned().map(|message| Unsent::Message(Box::new(message)));
        truths.chain(self.labels.in_order().into_iter().copied().map(Unsent::Label)).collect()
    }

    /// After the last transaction, takes what is not due yet, in the order in which it is due.
    pub fn take_unsent(&mut self) -> Vec<Unsent> {
        let all = self.unsent();
        self.pending.clear();
        self.labels.clear();
        all
    }

    /// Returns the number of labels that wait until they are due.
    pub fn labels_waiting(&self) -> usize {
        self.labels.len()
    }

    /// Returns the number of labels that were sent early, because too many waited.
    pub fn early(&self) -> u64 {
        self.labels.early()
    }
}
