//! This module applies the rules of `alerts.toml`, and collects what a batch writes about alerts. It performs no I/O but
//! for the clock, which only rules of the kinds `absence` and `anomaly` need.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::postgres::analysis::{AlertsBatch, ConsumerPosition, Recipient, StoredAlerts};
use ccstream_analysis::SnapshotError;
use ccstream_analysis::alerts::{Change, Definition, Event, Kind, Observation, Rule, Sample, System};
use ccstream_analysis::anomalies::Reading;
use ccstream_analysis::windows::{Facts, Fields};
use ccstream_core::event::Micros;

/// Minimum time between two transactions that write parts of the state.
const STORE_EVERY: Duration = Duration::from_secs(1);
/// Maximum size of the parts of a rule's state that are written for each second.
const STATE_BYTES: usize = 1 << 18;

/// How much longer samples are held than any rule needs: one sample has to be older.
const SAMPLE_SLACK: i64 = 60_000_000;

/// A transaction that was scored.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScoredEvent<'a> {
    pub(super) seq: u64,
    pub(super) id: &'a str,
    pub(super) time: Micros,
    /// The greatest time before it.
    pub(super) reached: Option<Micros>,
    pub(super) score: f64,
    pub(super) ratio: Option<f32>,
}

/// Applies all rules.
#[derive(Default)]
pub(super) struct Alerts {
    rules: Vec<Rule>,
    /// The fields that facts have.
    pub(super) fields: Fields,
    /// Who is notified.
    pub(super) recipients: Vec<Recipient>,
    /// Whether a rule needs the clock, and whether one is on the system.
    needs_clock: bool,
    pub(super) needs_samples: bool,
    /// What was known of the consumer in the last hour, and when no message waited last.
    samples: Vec<Sample>,
    waits_since: Option<Micros>,
    changes: Vec<Change>,
    observed: Vec<Observation>,
    /// The number of the last journal.
    journal: i64,
    /// Whether something has happened since.
    is_changed: bool,
    has_ticked: bool,
    /// How many keys the rules of before had forgotten in this run, and those of now before it.
    forgotten: u64,
    restored: u64,
    stored: Option<Instant>,
}

impl Alerts {
    /// Applies these rules from now on, with what is stored of each.
    ///
    /// Errors: what is stored cannot be used.
    pub(super) fn set(&mut self, definitions: &[Arc<Definition>], stored: StoredAlerts) -> Result<(), SnapshotError> {
        let StoredAlerts { rules, journals, last } = stored;
        self.forgotten = self.forgotten();
        self.rules.clear();
        for (definition, one) in definitions.iter().zip(rules) {
            let mut rule = Rule::new((**definition).clone(), one.number, one.version);
            for (part, journal, data) in &one.parts {
                rule.load(*part as usize, *journal, data)?;
            }
            self.rules.push(rule);
        }
        for (number, data) in journals {
            Rule::replay(&mut self.rules, number, &data)?;
        }
        self.restored = self.rules.iter().map(Rule::forgotten).sum();
        self.needs_clock = definitions.iter().any(|one| matches!(one.kind, Kind::Absence(_)));
        self.needs_samples = definitions.iter().any(|one| matches!(one.kind, Kind::System(_)));
        self.journal = last;
        Ok(())
    }

    /// Returns how many keys the rules have forgotten in this run.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten + self.rules.iter().map(Rule::forgotten).sum::<u64>() - self.restored
    }

    /// Applies the rules to a transaction.
    pub(super) fn add(&mut self, scored: &ScoredEvent<'_>, facts: &Facts) {
        if self.rules.is_empty() {
            return;
        }
        let values: Vec<Option<&str>> = facts.values().collect();
        let ScoredEvent { seq, id, time, reached, score, ratio } = *scored;
        let clock = if self.needs_clock { clock() } else { Micros(0) };
        let (fields, values) = (&self.fields, values.as_slice());
        let event = Event { seq, id, time, reached, clock, facts, fields, values, score, ratio };
        for rule in &mut self.rules {
            rule.event(&event, &mut self.changes, &mut self.observed);
        }
        self.is_changed = true;
    }

    /// Lets the rules know the time. `seq` is the last place in the order.
    pub(super) fn tick(&mut self, seq: u64) {
        if self.needs_clock {
            let (clock, before) = (clock(), self.observed.len());
            for rule in &mut self.rules {
                rule.tick(seq, clock, &mut self.changes, &mut self.observed);
            }
            self.has_ticked |= self.observed.len() > before;
        }
    }

    /// Applies the rules to what is known of the consumer, of which `lag` messages wait. `seq` is the last place in the order.
    pub(super) fn sample(&mut self, position: &ConsumerPosition, lag: i64, seq: u64) {
        let clock = clock();
        // A consumer to which nothing was sent has stored nothing, and is not gone.
        if lag == 0 {
            self.waits_since = Some(clock);
        }
        let waits_since = *self.waits_since.get_or_insert(clock);
        let waits = clock.0 - waits_since.0;
        let ConsumerPosition { read, rejected, idle, .. } = *position;
        let idle = idle.unwrap_or(waits);
        self.samples.retain(|one| one.time >= clock.0 - System::LONGEST - SAMPLE_SLACK);
        self.samples.push(Sample { time: clock.0, lag, idle, waits, read, rejected });
        let before = self.observed.len();
        for rule in &mut self.rules {
            rule.sample(&self.samples, seq, &mut self.changes, &mut self.observed);
        }
        self.has_ticked |= self.observed.len() > before;
    }

    /// Applies the rules to readings of KPIs. `seq` is the last place in the order.
    pub(super) fn read(&mut self, readings: &[Reading], seq: u64) {
        let before = self.observed.len();
        for reading in readings {
            for rule in &mut self.rules {
                rule.reading(reading, seq, &mut self.changes, &mut self.observed);
            }
        }
        self.has_ticked |= self.observed.len() > before;
    }

    /// Returns whether a tick has changed something that is not written.
    pub(super) fn has_ticked(&self) -> bool {
        self.has_ticked
    }

    /// Returns what a batch writes.
    pub(super) fn take_batch(&mut self) -> AlertsBatch {
        if self.rules.is_empty() || !(self.is_changed || self.has_ticked) {
            return AlertsBatch::default();
        }
        self.journal += 1;
        let journal = Rule::journal(&self.rules, &self.observed);
        self.observed.clear();
        (self.is_changed, self.has_ticked) = (false, false);
        let mut batch = AlertsBatch {
            journal: Some((self.journal, journal)),
            changes: std::mem::take(&mut self.changes),
            recipients: self.recipients.clone(),
            ..AlertsBatch::default()
        };
        if self.stored.is_none_or(|stored| stored.elapsed() >= STORE_EVERY) {
            for rule in &mut self.rules {
                let parts = rule.snapshot(self.journal, STATE_BYTES).into_iter();
                batch.parts.extend(parts.map(|(part, data)| (rule.number(), part as i32, data)));
            }
            batch.keep_from = self.rules.iter().filter_map(Rule::needs_after).min().map(|after| after + 1);
            batch.keep_from = Some(batch.keep_from.unwrap_or(self.journal).min(self.journal));
            self.stored = Some(Instant::now());
        }
        batch
    }
}

/// Returns the time of the clock.
pub(super) fn clock() -> Micros {
    Micros(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as i64))
}
