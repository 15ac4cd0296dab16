//! This module derives the status of a run from its events and publishes it for other threads.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::report::ConsumeEvent;
use super::warning::{Service, Waiting};
use crate::postgres::{Counters, TruthCounters};

/// Tells which stage a run has reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunState {
    /// The run is not connected to both services yet.
    #[default]
    Starting,
    /// The run reads no partition: the group has assigned none yet, or has revoked all.
    Joining,
    /// The run reads partitions.
    Reading,
    /// The run ended without an error.
    Ended,
    /// The run ended with an error.
    Failed,
}

impl RunState {
    /// Returns the state's stable name, as in `"reading"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Joining => "joining",
            Self::Reading => "reading",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

/// Describes the progress of a run and what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumeStatus {
    /// The stage that the run has reached.
    pub state: RunState,
    /// The next offset in PostgreSQL of each of this consumer's partitions.
    pub offsets: BTreeMap<i32, i64>,
    /// Number of offsets between the committed ones and the ends of this consumer's partitions, as of the last commit;
    /// None before the first.
    pub lag: Option<i64>,
    /// What became of the messages since the start of the run.
    pub total: Counters,
    /// What became of the messages of the topic of truth since the start of the run.
    pub truth: TruthCounters,
    /// When the last batch was committed; None before the first.
    pub last_commit: Option<SystemTime>,
    /// The services that are unavailable.
    pub waiting: Vec<Waiting>,
}

impl ConsumeStatus {
    fn apply(&mut self, event: &ConsumeEvent, now: SystemTime) {
        match event {
            ConsumeEvent::ConnectedToKafka { .. } => self.end_waiting(Service::Kafka),
            ConsumeEvent::ConnectedToPostgres(_) => self.end_waiting(Service::Postgres),
            ConsumeEvent::Listening => self.state = RunState::Joining,
            ConsumeEvent::Assigned(offsets) => {
                self.state = RunState::Reading;
                self.offsets.extend(offsets);
            }
            ConsumeEvent::Revoked(partitions) => {
                self.offsets.retain(|partition, _| !partitions.contains(partition));
                if self.offsets.is_empty() {
                    self.state = RunState::Joining;
                }
            }
            ConsumeEvent::Batch(batch) => {
                self.offsets.extend(&batch.offsets);
                (self.lag, self.total, self.last_commit) = (Some(batch.lag), batch.total, Some(now));
            }
            ConsumeEvent::Truth(report) => self.truth = report.total,
            ConsumeEvent::Waiting(waiting) => {
                self.end_waiting(waiting.kind.service());
                self.waiting.push(waiting.clone());
            }
            ConsumeEvent::Recovered { service, .. } => self.end_waiting(*service),
            ConsumeEvent::Warning(_) => {}
            ConsumeEvent::Ended(_) => self.end(RunState::Ended),
            ConsumeEvent::Failed { .. } => self.end(RunState::Failed),
        }
    }

    fn end_waiting(&mut self, service: Service) {
        self.waiting.retain(|waiting| waiting.kind.service() != service);
    }

    fn end(&mut self, state: RunState) {
        self.state = state;
        self.offsets.clear();
        self.waiting.clear();
    }
}

/// Holds a status that any thread may read during the run.
#[derive(Debug, Default)]
pub struct PublishedStatus(Mutex<ConsumeStatus>);

impl PublishedStatus {
    /// Clears the status before a new run.
    pub fn begin(&self) {
        *self.lock() = ConsumeStatus::default();
    }

    /// Updates the status by an event. It is meant to be one of the run's [`Observers`](crate::report::Observers).
    pub fn observe(&self, event: &ConsumeEvent) {
        self.lock().apply(event, SystemTime::now());
    }

    /// Returns a copy of the current status.
    pub fn snapshot(&self) -> ConsumeStatus {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, ConsumeStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::super::report::{BatchReport, ConsumeSummary, TruthReport};
    use super::super::warning::WaitingKind;
    use super::*;
    use crate::postgres::SchemaChange;

    fn after(events: &[ConsumeEvent]) -> ConsumeStatus {
        let published = PublishedStatus::default();
        for event in events {
            published.observe(event);
        }
        published.snapshot()
    }

    fn waiting(kind: WaitingKind) -> ConsumeEvent {
        ConsumeEvent::Waiting(Waiting::new(kind, ""))
    }

    fn kinds(status: &ConsumeStatus) -> Vec<WaitingKind> {
        status.waiting.iter().map(|waiting| waiting.kind).collect()
    }

    fn batch(offsets: &[(i32, i64)], consumed: i64, lag: i64) -> ConsumeEvent {
        let total = Counters { consumed, stored: consumed, ..Counters::default() };
        let offsets = offsets.iter().copied().collect();
        ConsumeEvent::Batch(BatchReport { counted: total, total, offsets, lag, took: Duration::ZERO })
    }

    fn assigned(offsets: &[(i32, i64)]) -> ConsumeEvent {
        ConsumeEvent::Assigned(offsets.iter().copied().collect())
    }

    fn revoked(partitions: &[i32]) -> ConsumeEvent {
        ConsumeEvent::Revoked(partitions.iter().copied().collect::<BTreeSet<_>>())
    }

    #[test]
    fn a_run_from_its_start_to_its_end() {
        let ended = ConsumeEvent::Ended(ConsumeSummary::default());
        let failed = ConsumeEvent::Failed { exit_code: 4, error: "refused".into(), summary: ConsumeSummary::default() };
        let mut events = Vec::new();
        for (event, state, offsets) in [
            (ConsumeEvent::ConnectedToKafka { topic_found: true }, RunState::Starting, vec![]),
            (ConsumeEvent::ConnectedToPostgres(SchemaChange::default()), RunState::Starting, vec![]),
            (ConsumeEvent::Listening, RunState::Joining, vec![]),
            (assigned(&[(0, 5), (1, 0)]), RunState::Reading, vec![(0, 5), (1, 0)]),
            (batch(&[(1, 9)], 9, 3), RunState::Reading, vec![(0, 5), (1, 9)]),
            (revoked(&[0]), RunState::Reading, vec![(1, 9)]),
            (revoked(&[1]), RunState::Joining, vec![]),
            (assigned(&[(2, 7)]), RunState::Reading, vec![(2, 7)]),
        ] {
            events.push(event);
            let status = after(&events);
            assert_eq!((status.state, status.offsets), (state, offsets.into_iter().collect()), "{:?}", events.last());
        }
        for (event, state) in [(ended, RunState::Ended), (failed, RunState::Failed)] {
            events.push(event);
            let status = after(&events);
            assert_eq!((status.state, status.offsets.len()), (state, 0));
            // The counts of an ended run remain readable.
            assert_eq!((status.total.stored, status.lag), (9, Some(3)));
        }
        let published = PublishedStatus::default();
        for event in &events {
            published.observe(event);
        }
        published.begin();
        assert_eq!(published.snapshot(), ConsumeStatus::default());
    }

    #[test]
    fn truth_is_counted_beside_the_batches() {
        let counted = TruthCounters { stored: 3, skipped: 1, ..TruthCounters::default() };
        let mut total = counted;
        total += counted;
        let truth = |total| ConsumeEvent::Truth(TruthReport { counted, total });
        let status = after(&[assigned(&[(0, 0)]), truth(counted), batch(&[(0, 1)], 1, 0), truth(total)]);
        assert_eq!((status.truth.stored, status.truth.skipped, status.total.stored), (6, 2, 1));
    }

    #[test]
    fn a_commit_is_dated() {
        let before = SystemTime::now();
        assert_eq!(after(&[assigned(&[(0, 0)])]).last_commit, None);
        let status = after(&[assigned(&[(0, 0)]), batch(&[(0, 1)], 1, 0)]);
        assert!(status.last_commit.is_some_and(|at| at >= before && at <= SystemTime::now()));
    }

    #[test]
    fn each_service_is_waited_for_until_it_is_back() {
        let (kafka, silent) = (WaitingKind::KafkaUnavailable, WaitingKind::PostgresSilent);
        let recovered = |service| ConsumeEvent::Recovered { service, after: Duration::ZERO };
        let mut events = vec![waiting(kafka), waiting(WaitingKind::PostgresUnavailable), waiting(silent)];
        assert_eq!(kinds(&after(&events)), [kafka, silent]);
        // A commit does not show that Kafka is available: the batch may have been read before the outage.
        events.push(batch(&[(0, 1)], 1, 0));
        events.push(recovered(Service::Postgres));
        assert_eq!(kinds(&after(&events)), [kafka]);
        events.push(recovered(Service::Kafka));
        assert_eq!(kinds(&after(&events)), []);
        assert_eq!(kinds(&after(&[waiting(kafka), ConsumeEvent::ConnectedToKafka { topic_found: true }])), []);
        let ended = ConsumeEvent::Ended(ConsumeSummary::default());
        assert_eq!(kinds(&after(&[waiting(kafka), ended])), []);
    }
}
