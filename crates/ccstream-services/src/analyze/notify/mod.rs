//! Sends notifications of alerts, beside the analysis.
//!
//! ```text
//! the analysis' transaction ──> alert_outbox ──> sender: claims ──> a thread for each target: sends ──┐
//!                                     └──────────────────── records <─────────────────────────────────┘
//! ```
//! One thread with its own connection claims and records. A target that hangs holds up no other target, and never the
//! analysis. A notification is sent at least once, each time with the same key.

mod deliver;
mod file;
mod mail;
mod secrets;
mod sender;
mod targets;
mod topic;
mod webhook;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

pub(super) use self::file::AlertsFile;
use self::sender::{Command, Sender};
use crate::consume::Warning;
use crate::error::{Error, Result};
use crate::postgres::reconnecting::Reconnecting;
use ccstream_analysis::notify::Target;
use ccstream_core::settings::AnalyzerConfig;

/// How long a run that ends by itself waits for what is due, and one that is stopped for what is being sent. The next run
/// sends the rest.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What a sender reports.
#[derive(Debug)]
pub(super) enum Report {
    /// A notification was sent.
    Sent,
    /// This number of them is not tried again.
    Failed(u64),
    Warning(Warning),
}

/// A sender, which works while a run has the lease and there are targets.
pub(super) struct Notifier {
    config: AnalyzerConfig,
    running: Option<Running>,
    /// The epoch, and the number of the version of the targets.
    served: Option<(i64, u64)>,
}

struct Running {
    thread: JoinHandle<()>,
    commands: mpsc::Sender<Command>,
    reports: Receiver<Report>,
    abandon: CancellationToken,
}

impl Notifier {
    pub(super) fn new(config: &AnalyzerConfig) -> Self {
        Self { config: config.clone(), running: None, served: None }
    }

    /// Serves these targets in an epoch. `version` tells whether they have changed.
    pub(super) fn serve(&mut self, epoch: i64, version: u64, targets: &[Arc<Target>]) -> Result<()> {
        if self.served == Some((epoch, version)) {
            return Ok(());
        }
        self.served = Some((epoch, version));
        if self.running.is_none() && !targets.is_empty() {
            self.running = Some(self.start()?);
        }
        self.command(Command::Serve(epoch, targets.to_vec()));
        Ok(())
    }

    /// Tells the sender that there may be something to send.
    pub(super) fn wake(&self) {
        self.command(Command::Look);
    }

    /// Returns what was reported since, without waiting.
    pub(super) fn reported(&self) -> impl Iterator<Item = Report> + '_ {
        self.running.iter().flat_map(|running| running.reports.try_iter())
    }

    /// Waits for what is being sent, and with `is_drained` for everything that is due, and passes on what is reported.
    pub(super) fn end(&mut self, is_drained: bool, limit: Duration, mut report: impl FnMut(Report)) {
        self.command(Command::End { is_drained });
        let Some(Running { thread, commands, reports, abandon }) = self.running.take() else { return };
        let until = Instant::now() + limit.min(if is_drained { DRAIN_LIMIT } else { STOP_LIMIT });
        // The sender's end of the channel is dropped with its thread.
        while let Ok(one) = reports.recv_timeout(until.saturating_duration_since(Instant::now())) {
            report(one);
        }
        abandon.cancel();
        let _ = commands.send(Command::Abandon);
        let _ = thread.join();
        reports.try_iter().for_each(report);
    }

    fn start(&self) -> Result<Running> {
        let (commands, received) = mpsc::channel();
        let (reports, reported) = mpsc::channel();
        let abandon = CancellationToken::new();
        let database = Reconnecting::new(&self.config.database_url, abandon.clone())?;
        let sender = Sender::new(&self.config, database, (commands.clone(), received), reports);
        let spawned = thread::Builder::new().name("ccstream-notify".into()).spawn(|| sender.run());
        let thread = spawned.map_err(Error::system("starting a thread that sends notifications"))?;
        Ok(Running { thread, commands, reports: reported, abandon })
    }

    fn command(&self, command: Command) {
        if let Some(running) = &self.running {
            // If the thread has ended, nobody needs the command.
            let _ = running.commands.send(command);
        }
    }
}

/// A run that ends with an error does not wait.
impl Drop for Notifier {
    fn drop(&mut self) {
        self.end(false, Duration::ZERO, drop);
    }
}
