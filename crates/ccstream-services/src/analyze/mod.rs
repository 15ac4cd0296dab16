//! The analyzer scores transactions and applies labels in one order, each exactly once.
//!
//! ```text
//! events: a queue for each partition ─> merged by event time ─┐
//! labels: wait until the event time reaches theirs ────────────┴─> fold: seq, state, score ─> PostgreSQL
//! ```
//! One run at a time works, under a lease in PostgreSQL; others wait to take over. Everything that a run writes is
//! committed with the offsets of both topics. The consumer is not involved and never waits for an analyzer.

mod alerts;
mod anomalies;
mod default_model;
mod definitions;
mod detector;
mod fold;
mod labels;
mod lanes;
pub mod models;
mod notify;
mod recount;
mod refetch;
mod replay;
mod report;
mod restore;
mod run;
mod scorer;
mod windows;

use std::path::Path;

use tokio_util::sync::CancellationToken;

pub use self::detector::{Detected, Detector};
pub(crate) use self::recount::recount;
pub use self::replay::{Known, Replay, Replayed, known, replay};
pub use self::report::{AnalyzeEvent, AnalyzeReport, AnalyzeSummary, Forgotten};
use self::run::Run;
use self::scorer::read_file;
use crate::error::Result;
use crate::postgres;
use crate::report::Observers;
use ccstream_analysis::windows::Definition as Window;
use ccstream_core::settings::AnalyzerConfig;

/// Maximum number of labels that are not due and are read when a run takes the lease.
const MAX_LABELS: i64 = 1_000_000;

/// Checks the settings as a run would. It opens no connection.
///
/// Errors: [`Error::Core`](crate::Error::Core), if a setting is not usable.
pub fn check(config: &AnalyzerConfig) -> Result<()> {
    config.validate()?;
    config.model.as_deref().map(read_file).transpose()?;
    definitions::check("windows", config.windows.as_deref())?;
    definitions::check("alerts", config.alerts.as_deref())?;
    crate::consume::check(&config.reading())?;
    postgres::check_url(&config.database_url)
}

/// Returns what the file of windows defines, and what is wrong in it, in words; None if no file was named and the usual
/// one does not exist.
pub(crate) fn read_windows(path: Option<&Path>) -> Option<(String, Vec<String>)> {
    let mut file = definitions::DefinitionsFile::<Window>::new(path);
    let wrong = file.look()?;
    let found = format!("{} window(s) are defined", file.definitions.len());
    (!wrong.is_empty() || file.is_there()).then_some((found, wrong))
}

/// Returns what the file of alerts defines, as [`read_windows`] does. `read_topics` are those that no target may write to.
pub(crate) fn read_alerts(path: Option<&Path>, read_topics: Vec<String>) -> Option<(String, Vec<String>)> {
    let mut file = notify::AlertsFile::new(path, read_topics);
    let wrong = file.look()?;
    let (rules, targets) = (file.rules.definitions.len(), file.targets.definitions.len());
    let found = match targets {
        0 => format!("{rules} rule(s) are defined"),
        _ => format!("{rules} rule(s) and {targets} target(s) are defined"),
    };
    (!wrong.is_empty() || file.rules.is_there()).then_some((found, wrong))
}

/// Scores the topic's transactions until `stop` is cancelled or, with `until_caught_up`, until the end of both topics.
///
/// Every observer receives each event of the run; the last is [`AnalyzeEvent::Ended`] or [`AnalyzeEvent::Failed`]. A
/// broker or database that is unavailable is retried until it is back.
///
/// Errors: a setting that is not usable, tables that cannot be used, an error of Kafka that is not temporary, or an
/// SQLSTATE that retrying cannot fix. The next run reads again what was not committed.
pub fn analyze(
    config: &AnalyzerConfig,
    stop: &CancellationToken,
    observers: &mut Observers<'_, AnalyzeEvent>,
) -> Result<AnalyzeSummary> {
    let mut summary = AnalyzeSummary::default();
    let ended = check(config)
        .and_then(|()| config.model.as_deref().map(read_file).transpose())
        .and_then(|model| Run::new(config, stop, observers, model, &mut summary))
        .and_then(Run::run);
    observers.report(&match &ended {
        Ok(()) => AnalyzeEvent::Ended(summary.clone()),
        Err(error) => {
            AnalyzeEvent::Failed { exit_code: error.exit_code(), error: error.chain(), summary: summary.clone() }
        }
    });
    ended.map(|()| summary)
}
