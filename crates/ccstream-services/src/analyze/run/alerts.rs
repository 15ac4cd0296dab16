//! This part of the loop begins the rules of alerts, reads their file again, lets them know the time, and lets
//! notifications be sent.

use std::time::{Duration, Instant};

use super::Run;
use crate::analyze::notify::Report;
use crate::analyze::report::{AnalyzeEvent, AnalyzeSummary};
use crate::consume::WarningKind;
use crate::error::Result;
use crate::postgres::analysis::Recipient;
use crate::report::Observers;
use ccstream_analysis::alerts::Kind;
use ccstream_analysis::anomalies::Anomalies;
use ccstream_analysis::attribute::Attribute;
use ccstream_analysis::windows::Fields;

/// Interval at which rules get to know the time.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// Interval at which rules on the system get to know how far the consumer is.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

impl Run<'_, '_> {
    /// Reads the file of alerts if it has changed, and applies what it defines. Without a change, only a run that has taken
    /// the lease begins.
    pub(super) fn watch_alerts(&mut self, has_claimed: bool) -> Result<()> {
        let wrong = self.alerts_file.look();
        if self.begins(wrong, WarningKind::AlertRefused, has_claimed) { self.begin_alerts() } else { Ok(()) }
    }

    fn begin_alerts(&mut self) -> Result<()> {
        // What the rules remember is written, and read again.
        self.commit_all()?;
        let Some(held) = &mut self.held else { return Ok(()) };
        let epoch = held.epoch;
        let definitions = self.alerts_file.rules.definitions.clone();
        held.fold.alerts.recipients =
            self.alerts_file.targets.definitions.iter().map(|target| Recipient::from(&**target)).collect();
        let watches = definitions.iter().any(|one| matches!(one.kind, Kind::Anomaly(_)));
        let mut attributes: Vec<Attribute> = definitions.iter().flat_map(|one| one.attributes()).collect();
        if watches {
            attributes.extend(Anomalies::places().into_iter().map(Attribute::Field));
        }
        let fields = self.need_fields(&attributes);
        for again in [false, true] {
            match self.ask(async |store| store.begin_alerts(epoch, &definitions, again).await)? {
                None => self.held = None,
                // The batch before may have been refused for the same reason.
                Some(None) if self.held.is_some() => self.lose(),
                Some(None) => {}
                Some(Some(stored)) => {
                    let Some(held) = &mut self.held else { return Ok(()) };
                    match held.fold.alerts.set(&definitions, stored) {
                        Ok(()) => {}
                        Err(error) => {
                            tracing::info!(%error, "The rules of alerts begin again.");
                            continue;
                        }
                    }
                }
            }
            break;
        }
        if watches {
            return self.watch_kpis(epoch, &fields);
        }
        if let Some(held) = &mut self.held {
            held.fold.anomalies.end();
        }
        Ok(())
    }

    /// Begins to watch KPIs, unless they are watched.
    fn watch_kpis(&mut self, epoch: i64, fields: &Fields) -> Result<()> {
        for again in [false, true] {
            if self.held.as_ref().is_none_or(|held| held.fold.anomalies.is_watching()) {
                break;
            }
            match self.ask(async |store| store.begin_anomalies(epoch, again).await)? {
                None => self.held = None,
                Some(None) if self.held.is_some() => self.lose(),
                Some(None) => {}
                Some(Some(stored)) => {
                    let Some(held) = &mut self.held else { break };
                    if let Err(error) = held.fold.anomalies.begin(fields, &stored) {
                        tracing::info!(%error, "Watching KPIs begins again.");
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes these attributes from transactions, too, while there are windows or alerts. Returns all that are taken.
    /// Everything that was folded must be committed.
    pub(super) fn need_fields(&mut self, attributes: &[Attribute]) -> Fields {
        self.note_segments();
        let is_needed = !(self.windows_file.definitions.is_empty() && self.alerts_file.rules.definitions.is_empty());
        let mut fields = self.lanes.fields.clone().unwrap_or_default();
        let has_more = fields.add(attributes) || self.lanes.fields.is_none();
        if has_more && is_needed {
            // Messages that were read ahead lack the new fields.
            self.lanes.discard();
            self.lanes.topic.forget();
        }
        self.lanes.fields = is_needed.then(|| fields.clone());
        if let Some(held) = &mut self.held {
            held.fold.alerts.fields = fields.clone();
        }
        fields
    }

    /// Lets the rules know the time once a second, while the analysis keeps up with the topic.
    pub(super) fn tick_alerts(&mut self) {
        let is_due = self.ticked.is_none_or(|ticked| ticked.elapsed() >= TICK_EVERY);
        if is_due && self.lanes.keeps_up(self.config.batch_rows as i64) {
            self.ticked = Some(Instant::now());
            if let Some(held) = &mut self.held {
                held.fold.tick();
            }
        }
    }

    /// Lets rules on the system know how far the consumer is.
    pub(super) fn sample_consumer(&mut self) -> Result<()> {
        let is_needed = self.held.as_ref().is_some_and(|held| held.fold.alerts.needs_samples);
        if !is_needed || self.sampled.is_some_and(|sampled| sampled.elapsed() < SAMPLE_EVERY) {
            return Ok(());
        }
        self.sampled = Some(Instant::now());
        let topic = self.config.kafka.topic.clone();
        let Some(position) = self.ask(async |store| store.consumer_position(&topic).await)? else { return Ok(()) };
        let lag = self.lanes.lag_of(&position.next);
        if let Some(held) = &mut self.held {
            held.fold.alerts.sample(&position, lag, held.fold.state.seq());
        }
        Ok(())
    }

    /// Lets notifications be sent while this run has the lease, and passes on what became of them.
    pub(super) fn watch_notifications(&mut self) -> Result<()> {
        if let Some(held) = &self.held {
            self.notifier.serve(held.epoch, self.alerts_file.version, &self.alerts_file.targets.definitions)?;
        }
        let Self { notifier, observers, summary, .. } = self;
        notifier.reported().for_each(|report| note(report, observers, summary));
        Ok(())
    }

    /// Waits for notifications that are being sent. A run that ends by itself sends what is due, because no other run may
    /// follow soon.
    pub(super) fn end_notifications(&mut self) {
        let (is_drained, limit) = (self.config.until_caught_up && !self.stop.is_cancelled(), self.grace());
        let Self { notifier, observers, summary, .. } = self;
        notifier.end(is_drained, limit, |report| note(report, observers, summary));
    }
}

fn note(report: Report, observers: &mut Observers<'_, AnalyzeEvent>, summary: &mut AnalyzeSummary) {
    match report {
        Report::Sent => summary.notifications.sent += 1,
        Report::Failed(count) => summary.notifications.failed += count as i64,
        Report::Warning(warning) => observers.report(&AnalyzeEvent::Warning(warning)),
    }
}
