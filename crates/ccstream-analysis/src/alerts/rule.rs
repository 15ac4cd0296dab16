//! Applies a rule to transactions, and holds what it remembers.

use ccstream_core::fields::Place;
use ccstream_core::units::Micros;

use super::alert::{Alert, Change};
use super::cooldown::{Fired, fire};
use super::definition::{Definition, Kind, Limit};
use super::head::{Head, Suspended};
use super::keys::{Known, MAX_VALUES, Part, What};
use super::observation::{self, HIT, Journal, Observation, SUSPENDED, TICK};
use super::rate::Wanted;
use super::top::Top;
use super::words;
use crate::SnapshotError;
use crate::bytes::Reader;
use crate::key::{self, Key};
use crate::windows::{Facts, Fields};

/// The number of parts of a rule's state. Keys are spread over all but the last, which has the highest scores.
pub const PARTS: usize = KEYED + 1;
const KEYED: usize = 32;
/// How exactly a rule knows when a value was used last, and when the last transaction came.
const HOUR: i64 = 3_600_000_000;
const SECOND: i64 = 1_000_000;
/// Identifies the alert that a rule is suspended.
const SUSPENSION: Key = u64::MAX;

/// A transaction in the order of the analysis.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its place in the order.
    pub seq: u64,
    /// Its id.
    pub id: &'a str,
    /// Its time.
    pub time: Micros,
    /// The greatest time of a transaction before it; None for the first one.
    pub reached: Option<Micros>,
    /// The time of the clock.
    pub clock: Micros,
    /// What is known of it.
    pub facts: &'a Facts,
    /// The fields that the facts have, and their values.
    pub fields: &'a Fields,
    /// The values of the fields.
    pub values: &'a [Option<&'a str>],
    /// Its score.
    pub score: f64,
    /// Its amount as a multiple of the card's usual one, if that is known.
    pub ratio: Option<f32>,
}

/// A rule, and what it remembers.
#[derive(Debug)]
pub struct Rule {
    definition: Definition,
    /// Identifies the rule and its version in the journal.
    number: i32,
    version: i32,
    head: Head,
    parts: Vec<Part>,
    top: Top,
    /// The journal up to which each part was complete when it was loaded, or written last.
    written: Vec<i64>,
    is_changed: Vec<bool>,
}

/// What an observation did.
#[derive(Debug, Default)]
struct Applied {
    /// Whether something is remembered that was not.
    is_changed: bool,
    fired: Option<Fired>,
    /// The place at which the alert was opened that is over.
    closed: Option<u64>,
    /// What was counted: the transactions of a rate and those that meet the condition, or the values before.
    counts: (u64, u64),
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

    /// Loads a part that is complete up to a journal.
    ///
    /// Errors: the bytes were not written by [`snapshot`](Self::snapshot).
    pub fn load(&mut self, part: usize, journal: i64, data: &[u8]) -> Result<(), SnapshotError> {
        match self.parts.get_mut(part) {
            Some(one) => *one = Part::read(data)?,
            None if part == KEYED => self.top = Top::read(&mut Reader(data))?,
            None => return Err(SnapshotError::Bucket),
        }
        self.written[part] = journal;
        Ok(())
    }

    /// Brings rules up to date by a journal. The journals must be in order.
    ///
    /// Errors: the bytes are no journal.
    pub fn replay(rules: &mut [Self], journal: i64, data: &[u8]) -> Result<(), SnapshotError> {
        let (mut heads, observations): Journal = observation::read(data)?;
        for one in &observations {
            let Some(rule) = rules.iter_mut().find(|rule| rule.number == one.rule) else { continue };
            let (top, keys) = (journal > rule.written[KEYED], journal > rule.written[part_of(one.key)]);
            rule.apply(one, top, keys);
        }
        for rule in rules {
            rule.head = heads.remove(&rule.number).unwrap_or_else(|| rule.head.clone());
        }
        Ok(())
    }

    /// Returns the journal of a batch.
    pub fn journal(rules: &[Self], observations: &[Observation]) -> Vec<u8> {
        let heads: Vec<(i32, &Head)> = rules.iter().map(|rule| (rule.number, &rule.head)).collect();
        observation::write(&heads, observations)
    }

    /// Returns the parts that have changed since they were last written, the longest unwritten first, up to a number of
    /// bytes and at least one.
    pub fn snapshot(&mut self, journal: i64, most: usize) -> Vec<(usize, Vec<u8>)> {
        let mut changed: Vec<usize> = (0..PARTS).filter(|at| self.is_changed[*at]).collect();
        changed.sort_by_key(|at| self.written[*at]);
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for at in changed {
            if bytes >= most {
                break;
            }
            let data = self.parts.get(at).map_or_else(|| self.top_bytes(), Part::write);
            bytes += data.len();
            (self.is_changed[at], self.written[at]) = (false, journal);
            parts.push((at, data));
        }
        parts
    }

    /// Returns the journal after which all others are needed to bring the parts up to date; None if none is needed.
    pub fn needs_after(&self) -> Option<i64> {
        (0..PARTS).filter(|at| self.is_changed[*at]).map(|at| self.written[at]).min()
    }

    fn top_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.top.write(&mut out);
        out
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
        let holds = condition.holds(event.facts, |place| event.value(place));
        let needs_all = matches!(kind, Kind::Rate { share: Some(_), .. });
        if !holds && !needs_all {
            return None;
        }
        let (mut is_hit, mut value) = (holds, 0);
        match kind {
            Kind::Transaction | Kind::Rate { .. } => {}
            Kind::Score(Limit::Threshold(threshold)) if event.score >= *threshold => {}
            Kind::Amount(ratio) if event.ratio.is_some_and(|found| f64::from(found) >= *ratio) => {}
            Kind::Score(Limit::Threshold(_)) | Kind::Amount(_) => return None,
            Kind::Score(Limit::Budget(budget)) => {
                let threshold = self.top.threshold_at(event.time.0, *budget);
                is_hit = threshold.is_some_and(|threshold| event.score >= threshold);
                value = event.score.to_bits();
            }
            Kind::NewValue(of) => value = key::of(event.value(*of)?),
            Kind::Absence(_) => value = event.clock.0 as u64,
        }
        let mut key = 0;
        for place in &self.definition.by {
            key = key::pair(key, key::of(event.value(*place)?));
        }
        let is_named = matches!(kind, Kind::Absence(_)) && !self.parts[part_of(key)].0.contains_key(&key);
        let text = if is_named { words::key(&self.definition, event).map(String::into_boxed_str) } else { None };
        let flags = if is_hit { HIT } else { 0 } | if is_suspended { SUSPENDED } else { 0 };
        Some(Observation { rule: self.number, seq: event.seq, key, time: event.time.0, flags, value, text })
    }

    /// Applies an observation to what is remembered of the highest scores, of the keys, or of both.
    fn apply(&mut self, observed: &Observation, to_top: bool, to_keys: bool) -> Applied {
        let mut applied = Applied::default();
        let Observation { seq, key, time, value, .. } = *observed;
        if let Kind::Score(Limit::Budget(budget)) = self.definition.kind {
            if to_top && self.top.add(time, key, f64::from_bits(value), budget) {
                (applied.is_changed, self.is_changed[KEYED]) = (true, true);
            }
        }
        let mut fires = !observed.is(SUSPENDED) && observed.is(HIT);
        let remembers = !matches!(self.definition.kind, Kind::Transaction | Kind::Score(_) | Kind::Amount(_));
        if !to_keys || !remembers && !fires {
            return applied;
        }
        let part = part_of(key);
        let (known, forgotten) = self.parts[part].get(key, self.definition.keys.div_ceil(KEYED));
        self.head.forgotten += forgotten;
        let mut is_changed = forgotten > 0;
        match (self.definition.kind, &mut known.what) {
            (Kind::Rate { least, share, size, is_tumbling, holds_for }, what) => {
                let wanted = Wanted { least, share, size, is_tumbling, holds_for };
                if !matches!(what, What::Rate(_)) {
                    *what = What::Rate(super::rate::Rate::default());
                }
                if let What::Rate(rate) = what {
                    fires &= rate.add(time, observed.is(HIT), &wanted);
                    applied.counts = rate.counts();
                }
                is_changed = true;
            }
            (Kind::NewValue(_), What::Values(values, last)) => {
                let is_new = !values.contains(&value);
                applied.counts.0 = values.len() as u64;
                if is_new {
                    if values.len() == MAX_VALUES {
                        values.remove(0);
                    }
                    values.push(value);
                }
                fires &= is_new;
                if is_new || time > *last + HOUR {
                    (*last, is_changed) = (time.max(*last), true);
                }
            }
            (Kind::NewValue(_), what) => {
                // The first value of a key is not new.
                *what = What::Values(vec![value], time);
                (fires, is_changed) = (false, true);
            }
            (Kind::Absence(_), What::Came(_, is_open, _)) if observed.is(TICK) => {
                (*is_open, fires, is_changed) = (true, true, true);
            }
            (Kind::Absence(_), What::Came(came, is_open, _)) => {
                fires = false;
                is_changed |= *is_open || value as i64 - *came >= SECOND;
                if is_changed {
                    *came = value as i64;
                }
                if std::mem::take(is_open) {
                    applied.closed = known.cooldown.map(|last| last.opened());
                }
            }
            (Kind::Absence(_), what) => {
                *what = What::Came(value as i64, false, observed.text.clone());
                (fires, is_changed) = (false, true);
            }
            (Kind::Transaction | Kind::Score(_) | Kind::Amount(_), _) => {}
        }
        if fires {
            let Definition { cooldown, cooldown_limit, .. } = self.definition;
            applied.fired = Some(fire(&mut known.cooldown, (seq, time), cooldown, cooldown_limit));
            is_changed = true;
        }
        if is_changed {
            known.used = seq;
            (applied.is_changed, self.is_changed[part]) = (true, true);
        }
        applied
    }

    /// Returns what becomes of an alert.
    fn change(&self, applied: &Applied, observed: &Observation, event: Option<&Event<'_>>) -> Option<Change> {
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

impl Event<'_> {
    /// Returns the value of a field.
    pub(super) fn value(&self, place: Place) -> Option<&str> {
        let at = self.fields.places().iter().position(|other| *other == place)?;
        self.values.get(at).copied().flatten()
    }
}

fn part_of(key: Key) -> usize {
    (key % KEYED as u64) as usize
}
