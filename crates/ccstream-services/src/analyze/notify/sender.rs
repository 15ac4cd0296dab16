//! Claims notifications, gives them to the threads of their targets, and records what became of them.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Report;
use super::deliver::Delivery;
use super::targets::Served;
use crate::consume::{Warning, WarningKind};
use crate::error;
use crate::postgres::analysis::{AnalysisStore, Claimed, Recorded, Sending};
use crate::postgres::reconnecting::Reconnecting;
use ccstream_analysis::notify::{Target, pause};
use ccstream_core::settings::{AnalyzerConfig, KafkaConfig};

/// Interval at which the outbox is read while nobody says that there is something.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Interval at which old rows are deleted.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// A command for a sender.
#[derive(Debug)]
pub(super) enum Command {
    /// Serves these targets in an epoch.
    Serve(i64, Vec<Arc<Target>>),
    /// There may be something to send.
    Look,
    /// A target's thread is done with a notification.
    Done { number: u64, claimed: Claimed, delivery: Delivery },
    /// Ends once nothing is being sent, and with `is_drained`, once nothing is due.
    End { is_drained: bool },
    /// Ends at once.
    Abandon,
}

/// Says that nobody waits any more.
struct Abandoned;

/// Sends notifications.
pub(super) struct Sender {
    kafka: KafkaConfig,
    database: Reconnecting<AnalysisStore>,
    /// The end of the channel that threads of targets answer by.
    answers: mpsc::Sender<Command>,
    commands: Receiver<Command>,
    reports: mpsc::Sender<Report>,
    epoch: i64,
    targets: Vec<Served>,
    /// How many threads of targets were started.
    started: u64,
    tidied: Option<Instant>,
    /// Whether the run ends, and whether everything that is due is sent before.
    ending: Option<bool>,
    has_warned: bool,
    has_warned_of_removed: bool,
}

impl Sender {
    pub(super) fn new(
        config: &AnalyzerConfig,
        database: Reconnecting<AnalysisStore>,
        (answers, commands): (mpsc::Sender<Command>, Receiver<Command>),
        reports: mpsc::Sender<Report>,
    ) -> Self {
        Self {
            kafka: config.kafka.clone(),
            database,
            answers,
            commands,
            reports,
            epoch: 0,
            targets: Vec::new(),
            started: 0,
            tidied: None,
            ending: None,
            has_warned: false,
            has_warned_of_removed: false,
        }
    }

    /// Runs until the command to end, or until nobody waits any more.
    pub(super) fn run(mut self) {
        loop {
            match self.commands.recv_timeout(self.wait()) {
                Ok(command) => {
                    let mut next = Some(command);
                    while let Some(command) = next {
                        if self.obey(command).is_err() {
                            return;
                        }
                        next = self.commands.try_recv().ok();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let begun = if self.ending == Some(false) { Ok(false) } else { self.begin() };
            let is_busy = self.targets.iter().any(Served::is_busy);
            match begun {
                Err(Abandoned) => return,
                Ok(false) if self.ending.is_some() && !is_busy => return,
                Ok(_) => {}
            }
        }
    }

    /// Returns how long nothing has to be done.
    fn wait(&self) -> Duration {
        self.targets.iter().filter_map(Served::quiet_for).fold(LOOK_EVERY, Duration::min)
    }

    fn obey(&mut self, command: Command) -> Result<(), Abandoned> {
        match command {
            Command::Serve(epoch, targets) => self.serve(epoch, &targets),
            Command::Look => {}
            Command::Done { number, claimed, delivery } => self.record(number, &claimed, delivery)?,
            Command::End { is_drained } => self.ending = Some(is_drained),
            Command::Abandon => return Err(Abandoned),
        }
        Ok(())
    }

    fn serve(&mut self, epoch: i64, targets: &[Arc<Target>]) {
        self.epoch = epoch;
        let mut before = std::mem::take(&mut self.targets);
        for target in targets {
            if let Some(at) = before.iter().position(|one| one.target == *target) {
                self.targets.push(before.swap_remove(at));
                continue;
            }
            self.started += 1;
            match Served::start(self.started, target, &self.kafka, &self.answers) {
                Ok(served) => self.targets.push(served),
                Err(error) => self.warn(format!("{}: {}", target.name, error.chain())),
            }
        }
    }

    /// Begins to send what is due. Returns whether there was something.
    fn begin(&mut self) -> Result<bool, Abandoned> {
        let epoch = self.epoch;
        if self.tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY) {
            self.tidied = Some(Instant::now());
            let all: Vec<String> = self.targets.iter().map(|one| one.target.name.clone()).collect();
            let failed = self.ask(async |store| store.tidy_outbox(epoch, &all).await)?.unwrap_or_default();
            if failed > 0 {
                self.report(Report::Failed(failed));
                self.warn_of_removed(failed);
            }
        }
        let free: Vec<String> =
            self.targets.iter().filter(|one| one.is_free()).map(|one| one.target.name.clone()).collect();
        if free.is_empty() {
            return Ok(false);
        }
        let due = self.ask(async |store| store.due_targets(&free).await)?.unwrap_or_default();
        let mut has_begun = false;
        for name in due {
            let key = format!("{:032x}", rand::random::<u128>());
            let claimed = self.ask(async |store| store.claim_notification(epoch, &name, &key).await)?.flatten();
            let served = self.targets.iter_mut().find(|one| one.target.name == name);
            if let (Some(claimed), Some(served)) = (claimed, served) {
                served.send(claimed);
                has_begun = true;
            }
        }
        Ok(has_begun)
    }

    /// Records what became of a notification.
    fn record(&mut self, number: u64, claimed: &Claimed, delivery: Delivery) -> Result<(), Abandoned> {
        let at = self.targets.iter().position(|one| one.is(number));
        let (sending, error) = match delivery {
            Delivery::Sent if claimed.notice.is_none() => {
                (Sending::Abandoned("its alerts were deleted".into()), String::new())
            }
            Delivery::Sent => (Sending::Sent, String::new()),
            Delivery::Failed { error, asked, is_refused } => {
                let again_after = pause(claimed.attempts.unsigned_abs(), asked);
                if let Some(served) = at.map(|at| &mut self.targets[at]) {
                    if is_refused { served.note_refused() } else { served.note_failed(asked) }
                }
                (Sending::Failed { error: error.clone(), again_after, is_refused }, error)
            }
        };
        let recorded = self.ask(async |store| store.record_notification(claimed, &sending).await)?;
        if let (true, Some(at)) = (error.is_empty(), at) {
            self.targets[at].note_sent();
        }
        let has_failed = recorded == Some(Recorded::Failed);
        match recorded {
            Some(Recorded::Sent) => self.report(Report::Sent),
            Some(Recorded::Failed) => self.report(Report::Failed(1)),
            Some(Recorded::Waiting | Recorded::Nothing) | None => {}
        }
        if let Some(at) = at.filter(|at| !error.is_empty() && self.targets[*at].warns(has_failed)) {
            let name = &self.targets[at].target.name;
            let then = if has_failed { "It is not tried again" } else { "It is tried again for a day" };
            let text =
                format!("a notification of the target {name} was not sent: {error}. {then}; alerts are not lost");
            self.report(Report::Warning(Warning::new(WarningKind::NotificationFailed, text)));
        }
        Ok(())
    }

    /// Works with the database. Returns None if PostgreSQL refuses the work.
    fn ask<T>(
        &mut self,
        work: impl AsyncFnMut(&mut AnalysisStore) -> error::Result<T>,
    ) -> Result<Option<T>, Abandoned> {
        match self.database.by(work) {
            Ok(None) => Err(Abandoned),
            Ok(done) => Ok(done),
            Err(error) => {
                self.warn(format!("the outbox of notifications cannot be used: {}", error.chain()));
                Ok(None)
            }
        }
    }

    /// Warns once in a run.
    fn warn(&mut self, text: String) {
        if !std::mem::replace(&mut self.has_warned, true) {
            self.report(Report::Warning(Warning::new(WarningKind::NotificationFailed, text)));
        }
    }

    /// Warns once in a run of notifications that have failed because their targets were removed.
    fn warn_of_removed(&mut self, failed: u64) {
        if !std::mem::replace(&mut self.has_warned_of_removed, true) {
            let text = format!(
                "notifications of targets that were removed from alerts.toml have waited for a day: {failed}. They are not \
                 sent any more; alerts are not lost"
            );
            self.report(Report::Warning(Warning::new(WarningKind::NotificationFailed, text)));
        }
    }

    fn report(&self, report: Report) {
        // A run that has ended hears nothing.
        let _ = self.reports.send(report);
    }
}
