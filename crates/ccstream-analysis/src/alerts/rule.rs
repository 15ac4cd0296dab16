//! Applies a rule to transactions, and holds what it remembers.

use ccstream_core::units::Micros;

use super::alert::{Alert, Change};
use super::apply::Applied;
use super::cooldown::Fired;
use super::definition::{Definition, Kind, Limit};
use super::event::Event;
use super::head::{Head, Suspended};
use super::keys::{Known, Part, What};
use super::observation::{HIT, Observation, SUSPENDED, TICK};
use super::top::Top;
use super::words;
use crate::key::{self, Key};

/// The number of parts of a rule's state. Keys are spread over all but the last, which has the highest scores.
pub const PARTS: usize = KEYED + 1;
pub(super) const KEYED: usize = 32;
/// Identifies the alert that a rule is suspended.
const SUSPENSION: Key = u64::MAX;

/// A rule, and what it remembers.
#[derive(Debug)]
pub struct Rule {
    pub(super) definition: Definition,
    /// Identifies the rule and its version in the journal.
    pub(super) number: i32,
    version: i32,
    pub(super) head: Head,
    pub(super) parts: Vec<Part>,
    pub(super) top: Top,
    /// The journal up to which each part was complete when it was loaded, or written last.
    pub(super) written: Vec<i64>,
    pub(super) is_changed: Vec<bool>,
}

impl Rule {
    /// Creates a rule that has seen nothing.
    pub fn new(definition: Definition, number: i32, version: i32) -> Self {
        Self {
            definition,
            number,
            version,
            head: Head::default(),
            parts: vec![Part::default(); KEYED],
            top: Top::default(),
            written: vec![0; PARTS],
            is_changed: vec![false; PARTS],
        }
    }

    /// Returns the definition.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Returns the number of the rule and its version.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Returns how many keys were forgotten, because there was no room.
    pub fn forgotten(&self) -> u64 {
        self.head.forgotten
    }

    /// Applies the rule to a transaction.
    pub fn event(&mut self, event: &Event<'_>, changes: &mut Vec<Change>, journal: &mut Vec<Observation>) {
        let now = event.reached.max(Some(event.time)).map_or(event.time.0, |now| now.0);
        if let Some(suspended) = self.head.see(event.seq, now) {
            changes.push(self.suspend(&suspended, event.seq, now));
        }
        let Some(observed) = self.observe(event, self.head.is_suspended(now)) else { return };
        let applied = self.apply(&observed, true, true);
        let is_lasting = matches!(self.definition.kind, Kind::Rate { .. } | Kind::Absence(_));
        match applied.fired {
            // A rate that holds fires with each transaction of its key, so only its alerts count.
            Some(Fired::Repeats(_)) if is_lasting => {}
            Some(_) => self.head.note_fired(),
            None => {}
        }
        changes.extend(self.change(&applied, &observed, Some(event)));
        if applied.is_changed {
            journal.push(observed);
        }
    }

    /// Opens alerts of what is absent at a time of the clock. `seq` is the last place in the order.
    pub fn tick(&mut self, seq: u64, clock: Micros, changes: &mut Vec<Change>, journal: &mut Vec<Observation>) {
        let Kind::Absence(after) = self.definition.kind else { return };
        let is_absent = |(key, known): (&Key, &Known)| match &known.what {
            What::Came(came, false, text) if clock.0 - came >= after => Some((*key, text.clone())),
            _ => None,
        };
        let mut absent: Vec<(Key, Option<Box<str>>)> =
            self.parts.iter().flat_map(|part| part.0.iter().filter_map(is_absent)).collect();
        if self.definition.by.is_empty() && !self.parts[0].0.contains_key(&0) {
            absent.push((0, None));
        }
        absent.sort_by_key(|(key, _)| *key);
        for (key, text) in absent {
            let (rule, time) = (self.number, clock.0);
            let observed = Observation { rule, seq, key, time, flags: TICK, value: clock.0 as u64, text };
            let applied = self.apply(&observed, true, true);
            changes.extend(self.change(&applied, &observed, None));
            journal.push(observed);
        }
    }

    /// Returns what the rule observes of a transaction; None if nothing.
    fn observe(&self, event: &Event<'_>, is_suspended: bool) -> Option<Observation> {
        let Definition { kind, condition, .. } = &self.definition;
        let holds = condition.holds(event.facts, |attribute| event.value(attribute));
        let needs_all = matches!(kind, Kind::Rate { share: Some(_), .. });
        if !holds && !needs_all {
            return None;
        }
        let (mut is_hit, mut value) = (holds, 0);
        match kind {
            Kind::Rate { distinct: Some(of), .. } | Kind::NewValue(of) => value = key::of(event.value(*of)?),
            Kind::Transaction | Kind::Rate { .. } => {}
            Kind::Score(Limit::Threshold(threshold)) if event.score >= *threshold => {}
            Kind::Amount(ratio) if event.ratio.is_some_and(|found| f64::from(found) >= *ratio) => {}
            Kind::Score(Limit::Threshold(_)) | Kind::Amount(_) | Kind::Anomaly(_) | Kind::System(_) => {
                return None;
            }
            Kind::Score(Limit::Budget(budget)) => {
                let threshold = self.top.threshold_at(event.time.0, *budget);
                is_hit = threshold.is_some_and(|threshold| event.score >= threshold);
                value = event.score.to_bits();
            }
            Kind::Absence(_) => value = event.clock.0 as u64,
        }
        let mut key = 0;
        for attribute in &self.definition.by {
            key = key::pair(key, key::of(event.value(*attribute)?));
        }
        let is_named = matches!(kind, Kind::Absence(_)) && !self.parts[part_of(key)].0.contains_key(&key);
        let text = if is_named { words::key(&self.definition, event).map(String::into_boxed_str) } else { None };
        let flags = if is_hit { HIT } else { 0 } | if is_suspended { SUSPENDED } else { 0 };
        Some(Observation { rule: self.number, seq: event.seq, key, time: event.time.0, flags, value, text })
    }

    /// Returns what becomes of an alert.
    pub(super) fn change(
        &self,
        applied: &Applied,
        observed: &Observation,
        event: Option<&Event<'_>>,
    ) -> Option<Change> {
        let (rule, hash, at) = (self.definition.name.clone(), observed.key, observed.time);
        if let Some(opened) = applied.closed {
            return Some(Change::Closed { rule, hash, opened, at: observed.value as i64 });
        }
        match applied.fired? {
            Fired::Repeats(opened) => Some(Change::Repeated { rule, hash, opened, at }),
            Fired::Opens => {
                let key = event.map_or_else(
                    || observed.text.as_deref().map(ToOwned::to_owned),
                    |event| words::key(&self.definition, event),
                );
                let threshold = self.top.threshold;
                let (why, text) = words::why(&self.definition, key.as_deref(), event, applied.counts, threshold);
                Some(Change::Opened(Alert { key, hash, why, text, ..self.alert(observed.seq, at) }))
            }
        }
    }

    fn alert(&self, seq: u64, at: i64) -> Alert {
        let Definition { name, severity, runbook, .. } = &self.definition;
        Alert {
            rule: name.clone(),
            version: self.version,
            key: None,
            hash: 0,
            severity: *severity,
            seq,
            at,
            why: String::new(),
            text: String::new(),
            runbook: runbook.clone(),
        }
    }

    fn suspend(&self, suspended: &Suspended, seq: u64, at: i64) -> Change {
        match suspended.what {
            Fired::Repeats(opened) => {
                Change::Repeated { rule: self.definition.name.clone(), hash: SUSPENSION, opened, at }
            }
            Fired::Opens => {
                let (why, text) = words::suspension(&self.definition, suspended);
                Change::Opened(Alert { hash: SUSPENSION, why, text, ..self.alert(seq, at) })
            }
        }
    }
}

/// Returns the part that holds a key.
pub(super) fn part_of(key: Key) -> usize {
    (key % KEYED as u64) as usize
}
