//! Folds events and labels, in their order, into the state of cards, merchants and terminals.

use ccstream_core::event::Micros;

use crate::card::Card;
use crate::event::{Carried, Event, Label, Seen};
use crate::features::{Feature, Features};
use crate::merchant::Merchant;
use crate::numbers::{DAY, exp, ln};
use crate::rules::{self, Verdict};
use crate::table::Table;
use crate::terminal::Terminal;

/// A known fraud counts against its terminal if the amount was at most this multiple of the card's mean. Above, the
/// card's credentials leaked.
const USUAL: f32 = 2.2;
/// The number of buckets of cards, and of merchants and terminals.
pub(crate) const BUCKETS: (usize, usize) = (1024, 256);

/// Holds the bounds of the state, and the maturity of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The number of cards that are kept, each in each of its currencies. The least recently used are evicted.
    pub cards: usize,
    /// The number of merchants that are kept, each in each of its currencies, and of terminals.
    pub merchants: usize,
    /// The age in microseconds from which a transaction without a label counts as genuine.
    pub maturity: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cards: 1_000_000, merchants: 100_000, maturity: 7 * DAY }
    }
}

/// Holds the result of folding an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The number of the event among all events and labels that were folded, from 1.
    pub seq: u64,
    /// The features, from what was known before the event.
    pub features: Features,
    /// The score by the rules, which need no model.
    pub verdict: Verdict,
    /// What has to be stored with the event.
    pub carried: Carried,
}

/// Says what a label did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The fraud was counted against the terminal.
    Terminal,
    /// The fraud was counted against the card, because its amount was unusual for it.
    Card,
    /// The label says that the transaction is genuine, which is assumed without a label. If it corrects an earlier
    /// label, the caller must call [`State::apply_correction`] instead.
    Genuine,
    /// The transaction is older than the days that are kept.
    TooOld,
    /// The transaction has no merchant, or its terminal is not in the state.
    Unknown,
}

/// Counts what the state holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The cards that are kept, and those that were evicted.
    pub cards: usize,
    /// The merchants that are kept.
    pub merchants: usize,
    /// The terminals that are kept.
    pub terminals: usize,
    /// The cards that were evicted.
    pub evicted_cards: u64,
    /// The merchants that were evicted.
    pub evicted_merchants: u64,
    /// The terminals that were evicted.
    pub evicted_terminals: u64,
}

/// Returns whether a known fraud counts against its card, not its terminal.
fn is_unusual(label: &Label) -> bool {
    label.ratio > USUAL
}

/// Returns the time of a label's transaction, limited as that of the event.
fn time_of(label: &Label) -> i64 {
    label.event_time.0.clamp(0, Micros::END.0)
}

/// Holds the state of all cards, merchants and terminals.
///
/// ```
/// use ccstream_analysis::{Event, Feature, Settings, State};
/// use ccstream_core::event::{Cents, Micros};
/// let mut state = State::new(&Settings::default());
/// let event = Event { amount: Cents(1_000), card: Some("c1"), merchant: Some("m1"), ..Event::default() };
/// state.score_input(&event);
/// let later = Event { time: Micros(3_600_000_000), amount: Cents(8_200), ..event };
/// let scored = state.score_input(&later);
/// assert_eq!(scored.seq, 2);
/// assert_eq!(scored.features.get(Feature::CardRatio), 8.2);
/// ```
#[derive(Debug)]
pub struct State {
    pub(crate) cards: Table<Card>,
    pub(crate) merchants: Table<Merchant>,
    pub(crate) terminals: Table<Terminal>,
    maturity: i64,
    pub(crate) seq: u64,
}

impl State {
    /// Creates an empty state.
    pub fn new(settings: &Settings) -> Self {
        Self {
            cards: Table::new(BUCKETS.0, settings.cards),
            merchants: Table::new(BUCKETS.1, settings.merchants),
            terminals: Table::new(BUCKETS.1, settings.merchants),
            maturity: settings.maturity.clamp(0, 64 * DAY),
            seq: 0,
        }
    }

    /// Returns the number of the last event or label that was folded; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Changes the maturity of labels, in microseconds. It changes features, not the state.
    pub fn set_maturity(&mut self, maturity: i64) {
        self.maturity = maturity.clamp(0, 64 * DAY);
    }

    /// Returns an event's features, then folds the event.
    pub fn score_input(&mut self, event: &Event<'_>) -> Scored {
        self.score(&Seen::from(event))
    }

    /// Returns the features of an event whose names are keys already, then folds the event.
    pub fn score(&mut self, seen: &Seen) -> Scored {
        let log_amount = ln(seen.amount);
        let mut features = Features::default();
        let flag = |is_set: bool| f64::from(u8::from(is_set));
        features.set(Feature::Amount, seen.amount);
        features.set(Feature::Refund, flag(seen.is_refund));
        features.set(Feature::Declined, flag(seen.is_declined));
        features.set(Feature::Fallback, flag(seen.is_fallback));
        // All three are found before any is read, so that the processor waits for their memory only once.
        let terminal = seen.terminal.map(|key| self.terminals.touch(key));
        let merchant = seen.merchant.map(|key| self.merchants.touch(key));
        let card = seen.card.map(|key| self.cards.touch(key));
        if let Some(at) = terminal {
            let terminal = self.terminals.at(at);
            terminal.advance(seen.time);
            terminal.features(seen.time, self.maturity, &mut features);
            terminal.fold(seen);
        }
        let mut merchant = merchant.map(|at| self.merchants.at(at));
        let mut carried = Carried { ratio: f32::NAN, level: f32::NAN, tested: 0 };
        let mut usual = None;
        if let Some(merchant) = &mut merchant {
            merchant.advance(seen.time);
            usual = merchant.log_mean();
            if let Some(log_mean) = usual.filter(|_| seen.amount > 0.0) {
                carried.level = (log_amount - log_mean) as f32;
            }
        }
        if let Some(at) = card {
            let card = self.cards.at(at);
            let gap = card.advance(seen.time);
            carried.ratio = match (card.mean(), usual) {
                (Some(mean), _) => (seen.amount / mean) as f32,
                (None, Some(log_mean)) if seen.amount > 0.0 => (seen.amount / exp(log_mean)) as f32,
                (None, None) if seen.amount > 0.0 => 1.0,
                _ => f32::NAN,
            };
            if let Some(merchant) = merchant.as_ref().filter(|_| carried.is_tiny(seen)) {
                carried.tested = merchant.tiny();
            }
            card.features(seen, carried, gap, log_amount, &mut features);
            card.fold(seen, carried, log_amount);
        }
        if let Some(merchant) = merchant {
            merchant.features(carried, &mut features);
            merchant.fold(seen, carried, log_amount);
        }
        let verdict = rules::score(&features);
        verdict.fill(&mut features);
        self.seq += 1;
        Scored { seq: self.seq, features, verdict, carried }
    }

    /// Folds an event that was scored before into the buckets that were loaded from before it.
    ///
    /// Events and labels must be folded again in the order of their numbers. Once all are, the state is that of a
    /// process that was never stopped, bit for bit.
    pub fn refold(&mut self, seq: u64, seen: &Seen, carried: Carried) {
        let log_amount = ln(seen.amount);
        if let Some(key) = seen.terminal.filter(|key| !self.terminals.has_folded(*key, seq)) {
            let at = self.terminals.touch(key);
            let terminal = self.terminals.at(at);
            terminal.advance(seen.time);
            terminal.fold(seen);
        }
        if let Some(key) = seen.merchant.filter(|key| !self.merchants.has_folded(*key, seq)) {
            let at = self.merchants.touch(key);
            let merchant = self.merchants.at(at);
            merchant.advance(seen.time);
            merchant.fold(seen, carried, log_amount);
        }
        if let Some(key) = seen.card.filter(|key| !self.cards.has_folded(*key, seq)) {
            let at = self.cards.touch(key);
            let card = self.cards.at(at);
            card.advance(seen.time);
            card.fold(seen, carried, log_amount);
        }
        self.seq = self.seq.max(seq);
    }

    /// Applies the first label of a transaction. The caller calls this once the event time reaches the time of the label,
    /// never before. A later label of the same transaction is a [correction](Self::apply_correction).
    pub fn apply_label(&mut self, label: &Label) -> Effect {
        self.seq += 1;
        self.label(label)
    }

    /// Applies a label that was applied before, if its bucket was loaded from before it.
    pub fn reapply_label(&mut self, seq: u64, label: &Label) {
        self.seq = self.seq.max(seq);
        let key = label.terminal;
        if key.is_some_and(|key| !self.terminals.has_folded(key, seq)) {
            self.label(label);
        }
    }

    fn label(&mut self, label: &Label) -> Effect {
        if !label.fraud {
            return Effect::Genuine;
        }
        let key = label.terminal;
        let Some(terminal) = key.and_then(|key| self.terminals.find(key)) else { return Effect::Unknown };
        let is_unusual = is_unusual(label);
        match (terminal.add_fraud(time_of(label), !is_unusual), is_unusual) {
            (false, _) => Effect::TooOld,
            (true, true) => Effect::Card,
            (true, false) => Effect::Terminal,
        }
    }

    /// Applies a label that corrects an earlier one of the same transaction. `known` has the terminal's labels of the
    /// last 64 days as they are known now, with this one and without those that were corrected. All of the terminal's
    /// known frauds are counted again from them.
    pub fn apply_correction(&mut self, label: &Label, known: impl IntoIterator<Item = Label>) -> Effect {
        self.seq += 1;
        self.correction(label, known)
    }

    /// Applies a correction that was applied before, if its bucket was loaded from before it. `known` has the labels as
    /// they were known then.
    pub fn reapply_correction(&mut self, seq: u64, label: &Label, known: impl IntoIterator<Item = Label>) {
        self.seq = self.seq.max(seq);
        let key = label.terminal;
        if key.is_some_and(|key| !self.terminals.has_folded(key, seq)) {
            self.correction(label, known);
        }
    }

    fn correction(&mut self, label: &Label, known: impl IntoIterator<Item = Label>) -> Effect {
        let key = label.terminal;
        let Some(terminal) = key.and_then(|key| self.terminals.find(key)) else { return Effect::Unknown };
        terminal.clear_frauds();
        for one in known.into_iter().filter(|one| one.fraud) {
            terminal.add_fraud(time_of(&one), !is_unusual(&one));
        }
        match (label.fraud, is_unusual(label)) {
            (false, _) => Effect::Genuine,
            (true, true) => Effect::Card,
            (true, false) => Effect::Terminal,
        }
    }

    /// Returns how many cards, merchants and terminals are kept and were evicted.
    pub fn counts(&self) -> Counts {
        Counts {
            cards: self.cards.len(),
            merchants: self.merchants.len(),
            terminals: self.terminals.len(),
            evicted_cards: self.cards.evicted,
            evicted_merchants: self.merchants.evicted,
            evicted_terminals: self.terminals.evicted,
        }
    }
}
