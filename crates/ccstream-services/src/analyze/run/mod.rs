//! This module runs the loop of the analyzer: it takes the lease (`claim`), watches both topics (`topics`), folds events
//! and labels (`take`), commits them (`commit`), and stores the state (`snapshots`). Other threads do the writing
//! (`background`).

mod alerts;
mod background;
mod claim;
mod commit;
mod segments;
mod snapshots;
mod take;
mod topics;
mod windows;

use std::thread;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio_util::sync::CancellationToken;

use self::background::Background;
use self::snapshots::Stored;
use super::definitions::DefinitionsFile;
use super::fold::Fold;
use super::labels::Labels;
use super::lanes::Lanes;
use super::notify::{AlertsFile, Notifier};
use super::report::{AnalyzeEvent, AnalyzeSummary, Forgotten};
use crate::consume::{Waiting, Warning, WarningKind};
use crate::error::{Error, Result};
use crate::postgres::analysis::{AnalysisBatch, AnalysisStore, Known, ModelFile, Scoring, Snapshot, Verdict, Written};
use crate::postgres::reconnecting::Reconnecting;
use crate::report::Observers;
use ccstream_analysis::windows::Definition as Window;
use ccstream_core::settings::AnalyzerConfig;

/// Longest wait before the loop checks everything again.
const TICK: Duration = Duration::from_millis(50);
/// Interval at which a standby tries to take the lease.
const CLAIM_EVERY: Duration = Duration::from_millis(500);

/// Holds what a run needs while it has the lease.
struct Held {
    epoch: i64,
    /// Number of batches that were committed.
    number: i64,
    fold: Fold,
    /// Number of late events of all runs, as of the last commit.
    late: i64,
    /// The models that scored at the last commit.
    scoring: Scoring,
    /// The greatest id of all scored transactions.
    greatest_id: String,
    /// The ids of transactions that were committed since duplicates were last searched for.
    committed: Vec<HashMap<Box<str>, Known>>,
    /// Whether the labels were read to their end, so that events can be taken in.
    has_labels: bool,
    /// When the batch received its first message.
    opened: Option<Instant>,
    /// When the lease was last renewed.
    renewed: Instant,
    /// Parts of the state that are written once the batch is committed.
    snapshot: Option<Snapshot>,
    stored: Stored,
    /// What is reported of the batch that is being written once it is committed.
    sent: Option<Sent>,
    /// Whether other models than those of the batch were chosen.
    is_outdated: bool,
    /// The labels of analysts that were not due at the last commit, and whether some of them are not held.
    verdicts: Vec<Verdict>,
    has_verdicts: bool,
}

/// What became of a batch.
struct Done {
    batch: AnalysisBatch,
    /// None after a stop.
    written: Result<Option<Written>>,
    took: Duration,
}

/// The last report that PostgreSQL is unavailable, so that several threads report it once.
#[derive(Default)]
struct LastWaiting(String);

impl LastWaiting {
    fn report(&mut self, waiting: Waiting, observers: &mut Observers<'_, AnalyzeEvent>) {
        if self.0 != waiting.reason {
            self.0.clone_from(&waiting.reason);
            observers.report(&AnalyzeEvent::Waiting(waiting));
        }
    }
}

/// Notes of a batch that is being written.
struct Sent {
    /// Its greatest score, and the id of the transaction.
    greatest: Option<(f64, String)>,
    forgotten: Forgotten,
}

/// Runs the loop.
pub(super) struct Run<'r, 'o> {
    config: &'r AnalyzerConfig,
    stop: &'r CancellationToken,
    observers: &'r mut Observers<'o, AnalyzeEvent>,
    database: Background<Done>,
    /// Another connection, by which the state is written.
    state: Background<Result<Option<()>>>,
    waiting: LastWaiting,
    lanes: Lanes,
    labels: Labels,
    held: Option<Held>,
    windows_file: DefinitionsFile<Window>,
    alerts_file: AlertsFile,
    notifier: Notifier,
    stalled: windows::Stalled,
    segments: segments::Watch,
    /// When the rules of alerts last learnt the time.
    ticked: Option<Instant>,
    /// When rules on the system last learnt how far the consumer is.
    sampled: Option<Instant>,
    /// The model of the settings. It becomes active when the run first takes the lease.
    model: Option<ModelFile>,
    is_standby: bool,
    /// Whether a batch was abandoned, because the run was stopped while PostgreSQL was unavailable.
    is_abandoned: bool,
    since: Option<Instant>,
    /// When the run began to end.
    ending: Option<Instant>,
    summary: &'r mut AnalyzeSummary,
}

impl<'r, 'o> Run<'r, 'o> {
    pub(super) fn new(
        config: &'r AnalyzerConfig,
        stop: &'r CancellationToken,
        observers: &'r mut Observers<'o, AnalyzeEvent>,
        model: Option<ModelFile>,
        summary: &'r mut AnalyzeSummary,
    ) -> Result<Self> {
        Ok(Self {
            database: Background::new(Reconnecting::new(&config.database_url, stop.clone())?),
            state: Background::new(Reconnecting::new(&config.database_url, stop.clone())?),
            waiting: LastWaiting::default(),
            lanes: Lanes::new(config)?,
            labels: Labels::new(config)?,
            config,
            stop,
            observers,
            held: None,
            windows_file: DefinitionsFile::new(config.windows.as_deref()),
            alerts_file: AlertsFile::new(
                config.alerts.as_deref(),
                vec![config.kafka.topic.clone(), config.labels_topic.clone()],
            ),
            notifier: Notifier::new(config),
            ticked: None,
            sampled: None,
            stalled: windows::Stalled::default(),
            segments: segments::Watch::default(),
            model,
            is_standby: false,
            is_abandoned: false,
            since: None,
            ending: None,
            summary,
        })
    }

    /// Runs until a stop, or until the end of both topics.
    pub(super) fn run(mut self) -> Result<()> {
        let url = self.config.database_url.clone();
        let Some(schema) = self.ask(async |store| store.prepare(&url).await)? else { return Ok(()) };
        self.observers.report(&AnalyzeEvent::ConnectedToPostgres(schema));
        let ended = self.turn_by_turn();
        // What was taken in is committed even if the run ends with an error of Kafka. After one of PostgreSQL, `ask` has
        // discarded it.
        let committed = self.finish();
        let stored = self.settle_snapshot();
        if let Some(since) = self.since {
            self.summary.elapsed = since.elapsed();
        }
        self.summary.drained = ended.is_ok() && *committed.as_ref().unwrap_or(&false);
        ended.and(committed.map(drop)).and(stored.map(drop))
    }

    fn turn_by_turn(&mut self) -> Result<()> {
        while !self.stop.is_cancelled() {
            if self.held.is_none() && !self.claim()? {
                thread::park_timeout(CLAIM_EVERY);
                continue;
            }
            self.watch_notifications()?;
            self.look()?;
            if !self.begin()? {
                thread::park_timeout(TICK);
                continue;
            }
            self.look_at_writes()?;
            self.watch_windows(false)?;
            self.watch_alerts(false)?;
            // Before anything is counted by them.
            self.watch_segments()?;
            self.tick_alerts();
            self.sample_consumer()?;
            let has_read = self.follow_windows()? | self.read_labels()? | self.read_events()?;
            let is_due = self.is_due();
            if is_due {
                self.commit()?;
            }
            if self.has_caught_up() {
                return Ok(());
            }
            // A message that came while a commit waited has not woken the loop.
            if !has_read && !is_due {
                self.renew()?;
                self.store_when_idle()?;
                self.flush()?;
                thread::park_timeout(self.wait());
            }
        }
        Ok(())
    }

    /// Commits what was folded, and releases the lease. Returns whether everything that was folded is committed.
    fn finish(&mut self) -> Result<bool> {
        self.ending = Some(Instant::now());
        let had_lease = self.held.is_some();
        self.commit_all()?;
        if self.is_abandoned || had_lease && self.held.is_none() {
            return Ok(false);
        }
        self.write_state()?;
        self.end_notifications();
        let Some(held) = self.held.take() else { return Ok(true) };
        let grace = self.grace();
        self.database.free()?.wait_at_most(grace);
        self.ask(async |store| store.release(held.epoch).await)?;
        Ok(true)
    }

    /// Returns how long writing may take after a stop: all together, while the run ends.
    fn grace(&self) -> Duration {
        self.config.drain_limit.saturating_sub(self.ending.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// Works with the database after the batch that is being written, and reports when it is not available. Returns None
    /// after a stop.
    ///
    /// Errors: PostgreSQL refuses the work. What was taken in and is not committed is then discarded, because places in
    /// the order may be missing from it.
    fn ask<T>(&mut self, work: impl AsyncFnMut(&mut AnalysisStore) -> Result<T>) -> Result<Option<T>> {
        self.settle()?;
        let Self { database, observers, held, .. } = self;
        let mut last = String::new();
        let failed = |error: &Error| {
            let text = error.causes();
            if last != text {
                observers.report(&AnalyzeEvent::Waiting(Waiting::for_postgres(error)));
                last = text;
            }
        };
        database.free()?.reporting(failed, work).inspect_err(|_| *held = None)
    }

    /// Discards everything that was read and not committed, because another run has the lease.
    fn lose(&mut self) {
        self.held = None;
        self.lanes.discard();
        self.lanes.topic.forget();
        self.labels.topic.forget();
        self.observers.report(&AnalyzeEvent::LostLease);
    }

    /// Warns of what is wrong in a file of definitions, if that was read. Returns whether its definitions begin: it was
    /// read, or this run has just taken the lease.
    fn begins(&mut self, wrong: Option<Vec<String>>, kind: WarningKind, has_claimed: bool) -> bool {
        let was_read = wrong.is_some();
        for text in wrong.into_iter().flatten() {
            self.warn(Some(Warning::new(kind, text)));
        }
        (was_read || has_claimed) && self.held.is_some()
    }

    fn warn(&mut self, warning: Option<Warning>) {
        if let Some(warning) = warning {
            self.observers.report(&AnalyzeEvent::Warning(warning));
        }
    }

    fn has_caught_up(&self) -> bool {
        self.config.until_caught_up
            && self.lanes.is_at_end()
            && self.labels.is_at_end()
            && self.held.as_ref().is_some_and(|held| held.has_labels)
            && !self.windows_have_work()
    }

    /// Returns how long the loop may sleep, unless a message wakes it.
    fn wait(&self) -> Duration {
        let opened = self.held.as_ref().and_then(|held| held.opened);
        let linger = opened.map(|opened| self.config.linger.saturating_sub(opened.elapsed()));
        // A batch that is due waits for the one that is being written, or until it is larger.
        let linger = linger.filter(|left| !left.is_zero());
        [linger, self.lanes.wait()].into_iter().flatten().fold(TICK, Duration::min)
    }
}

/// Names the topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Events,
    Labels,
}
