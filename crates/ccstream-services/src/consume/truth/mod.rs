//! This module reads the topic of truth at the same time as the events. A separate thread does so with its own Kafka
//! client and its own PostgreSQL session, and the poll loop reports its news.
//!
//! The client assigns all partitions to itself and joins no group, so each consumer with `truth` reads the whole topic.
//! The offsets in PostgreSQL decide whose transaction counts.

mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::reader::Reader;
use super::poll::Poll;
use super::report::ConsumeEvent;
use super::state::Drain;
use super::warning::{Warning, WarningKind};
use crate::error::{Error, Result};
use crate::postgres::truth::{Skipped, TruthOutcome};
use ccstream_core::settings::ConsumerConfig;

/// Maximum number of offsets that one warning names.
const NAMED: usize = 20;

/// Describes what the thread reports to the poll loop.
#[derive(Debug)]
enum News {
    /// A transaction was committed.
    Committed(TruthOutcome),
    /// The user should know this.
    Warning(Warning),
    /// Every partition was read to its end and everything is committed, or the topic does not exist.
    CaughtUp,
    /// The thread ended after a stop. The flag tells whether everything that it read is committed.
    Ended(bool),
    /// The thread ended with a permanent error.
    Failed(Error),
}

/// Controls the thread from the poll loop.
#[derive(Debug)]
pub(super) struct TruthTask {
    news: mpsc::Receiver<News>,
    stop: CancellationToken,
    /// Ends the transaction that is under way, which PostgreSQL then rolls back.
    abandon: CancellationToken,
    thread: Option<JoinHandle<()>>,
    /// Whether the thread has reported that it caught up.
    caught_up: bool,
    /// Whether everything that the thread read is committed; None while it runs.
    ended: Option<bool>,
}

impl TruthTask {
    /// Starts the thread if the settings ask for it. The tables must exist.
    pub(super) fn start(config: &ConsumerConfig) -> Result<Option<Self>> {
        if !config.truth {
            return Ok(None);
        }
        let (sender, news) = mpsc::channel();
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let (config, stopped, abandoned) = (config.clone(), stop.clone(), abandon.clone());
        let run = move || {
            // The client is created on this thread, because librdkafka's queues cannot move to another one.
            let read = Reader::new(&config, sender.clone(), stopped, abandoned).and_then(|mut reader| reader.run());
            let last = match read {
                Ok(committed) => News::Ended(committed),
                Err(error) => News::Failed(error),
            };
            // Sending fails if the run is over, and then nobody needs the result.
            let _ = sender.send(last);
        };
        let thread = std::thread::Builder::new()
            .name("ccstream-truth".into())
            .spawn(run)
            .map_err(Error::system("starting the thread that reads the truth"))?;
        Ok(Some(Self { news, stop, abandon, thread: Some(thread), caught_up: false, ended: None }))
    }

    /// Returns whether every partition was read to its end at least once, and everything up to there is committed.
    pub(super) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Returns the next news, waiting up to `limit` for it. Returns None after a timeout, and once the thread has
    /// ended.
    fn news(&mut self, limit: Duration) -> Option<News> {
        if self.ended.is_some() {
            return None;
        }
        let news = match self.news.recv_timeout(limit) {
            Ok(news) => news,
            Err(mpsc::RecvTimeoutError::Timeout) => return None,
            // The thread always reports its end, so it has panicked.
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                News::Failed(Error::inconsistent("the thread that reads the truth ended without a result"))
            }
        };
        match &news {
            News::CaughtUp => self.caught_up = true,
            News::Ended(committed) => self.ended = Some(*committed),
            News::Failed(_) => self.ended = Some(false),
            News::Committed(_) | News::Warning(_) => {}
        }
        Some(news)
    }
}

impl Drop for TruthTask {
    fn drop(&mut self) {
        self.stop.cancel();
        self.abandon.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The thread that reads the truth panicked.");
        }
    }
}

impl Poll<'_, '_> {
    /// Handles the thread's news, and stops the thread if the run is stopping.
    pub(super) fn follow_truth(&mut self) {
        if let (Some(truth), Some((Drain::Stop, _))) = (&self.truth, self.drain) {
            truth.stop.cancel();
        }
        while let Some(news) = self.truth.as_mut().and_then(|truth| truth.news(Duration::ZERO)) {
            self.take_truth(news);
        }
    }

    /// Ends the thread, which has the rest of the drain limit to commit what it has read. Returns whether it committed
    /// everything.
    pub(super) fn end_truth(&mut self) -> bool {
        let began = self.drain.map_or_else(Instant::now, |(_, since)| since);
        if let Some(truth) = &self.truth {
            truth.stop.cancel();
        }
        while let Some(left) = self.config.drain_limit.checked_sub(began.elapsed()) {
            let Some(news) = self.truth.as_mut().and_then(|truth| truth.news(left)) else { break };
            self.take_truth(news);
        }
        // Count what the thread committed before the limit expired.
        self.follow_truth();
        self.truth.take().is_none_or(|truth| truth.ended == Some(true))
    }

    fn take_truth(&mut self, news: News) {
        match news {
            News::Committed(outcome) => {
                let report = self.ledger.count_truth(outcome.total());
                self.observers.report(&ConsumeEvent::Truth(report));
                if let Some(warning) = of_skipped(&self.config.truth_topic, &outcome.skipped) {
                    self.warn(warning);
                }
            }
            News::Warning(warning) => self.warn(warning),
            News::Failed(error) => {
                self.ending.get_or_insert(error);
                if self.drain.is_none_or(|(drain, _)| drain != Drain::Stop) {
                    self.drain = Some((Drain::Stop, Instant::now()));
                }
            }
            News::CaughtUp | News::Ended(_) => {}
        }
    }
}

/// Returns the warning about messages that a committed transaction skipped; None if it skipped none.
fn of_skipped(topic: &str, skipped: &[Skipped]) -> Option<Warning> {
    let first = skipped.first()?;
    let mut by_partition: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for one in skipped.iter().take(NAMED) {
        by_partition.entry(one.partition).or_default().push(one.offset.to_string());
    }
    let named =
        by_partition.iter().map(|(partition, offsets)| format!("{} of partition {partition}", offsets.join(", ")));
    let mut text = format!(
        "topic {topic:?}: {} messages cannot be stored in the table truth and were skipped: offset {}",
        skipped.len(),
        named.collect::<Vec<_>>().join("; offset ")
    );
    if skipped.len() > NAMED {
        let _ = write!(text, "; and {} more", skipped.len() - NAMED);
    }
    let _ = write!(text, " (offset {}: {})", first.offset, first.why);
    let partitions: BTreeSet<i32> = skipped.iter().map(|one| one.partition).collect();
    Some(Warning::of(WarningKind::TruthSkipped, partitions, text))
}

#[cfg(test)]
mod tests;
