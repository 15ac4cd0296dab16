//! This module has the loop of the thread that reads the topic of truth.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use rdkafka::message::Message;
use tokio_util::sync::CancellationToken;

use super::News;
use crate::consume::assigned::{Assigned, Change, Gap};
use crate::consume::state::TICK;
use crate::consume::warning::Warning;
use crate::error::Result;
use crate::postgres::reconnecting::Reconnecting;
use crate::postgres::truth::{TruthBatch, TruthStart, TruthStore, Written};
use ccstream_core::settings::ConsumerConfig;

/// Reads the topic of truth and writes it to PostgreSQL.
pub(super) struct Reader {
    topic: Assigned,
    database: Reconnecting<TruthStore>,
    news: mpsc::Sender<News>,
    stop: CancellationToken,
    /// The batch that is being filled.
    batch: TruthBatch,
    /// When the batch got its first message.
    opened: Option<Instant>,
    /// Whether the poll loop has been informed that the reader caught up.
    is_caught_up: bool,
}

impl Reader {
    pub(super) fn new(
        config: &ConsumerConfig,
        news: mpsc::Sender<News>,
        stop: CancellationToken,
        abandon: CancellationToken,
    ) -> Result<Self> {
        let topic = Assigned::new(config, &config.truth_topic)?;
        Ok(Self {
            database: Reconnecting::new(&topic.config, abandon)?,
            topic,
            news,
            stop,
            batch: TruthBatch::default(),
            opened: None,
            is_caught_up: false,
        })
    }

    /// Reads until a stop. Returns whether everything that was read is committed.
    pub(super) fn run(&mut self) -> Result<bool> {
        while !self.stop.is_cancelled() {
            let change = self.topic.look()?;
            // A topic that does not exist has no messages to wait for.
            if matches!(change, Change::Missing(_)) {
                self.report_end();
            }
            self.take(change);
            if self.topic.next.is_empty() && !self.begin()? {
                // Polling serves librdkafka's callbacks, and discards messages of an earlier assignment.
                let _ = self.topic.poll(TICK);
                continue;
            }
            self.fill()?;
            if self.is_due() {
                self.commit()?;
            }
            if self.topic.is_at_end() && self.batch.is_empty() {
                self.report_end();
            }
        }
        self.commit()
    }

    /// Assigns all partitions at the offsets in PostgreSQL. Returns false while they are not known.
    fn begin(&mut self) -> Result<bool> {
        let Some((partitions, origin, shorter)) = self.topic.origin() else { return Ok(false) };
        let start = self.database.by(async |store| store.start(&partitions, &origin, shorter).await)?;
        let Some(TruthStart { offsets, restarted }) = start else { return Ok(false) };
        if let Some(warning) = self.topic.begin(offsets, &restarted, false)? {
            self.warn(warning);
        }
        Ok(true)
    }

    /// Acts on a change of the topic.
    fn take(&mut self, change: Change) {
        match change {
            // The client that reads the events reports an outage.
            Change::None | Change::Missing(None) | Change::Outage(_) => {}
            Change::Missing(Some(warning)) => self.warn(warning),
            Change::Reset => self.discard(),
            Change::Skipped(gaps) => gaps.into_iter().for_each(|gap| self.skip(gap)),
        }
    }

    fn skip(&mut self, Gap { partition, from, to, missing, warning }: Gap) {
        self.opened.get_or_insert_with(Instant::now);
        self.batch.skip(partition, &mut from.clone(), to, missing);
        if let Some(warning) = warning {
            self.warn(warning);
        }
    }

    fn send(&self, news: News) {
        // Sending fails if the run is over, and then nobody needs the news.
        let _ = self.news.send(news);
    }

    fn warn(&self, warning: Warning) {
        self.send(News::Warning(warning));
    }

    /// Reports once that the reader has caught up.
    fn report_end(&mut self) {
        if !std::mem::replace(&mut self.is_caught_up, true) {
            self.send(News::CaughtUp);
        }
    }

    /// Discards what was read and is not written.
    fn discard(&mut self) {
        (self.batch, self.opened) = (TruthBatch::default(), None);
    }

    fn is_due(&self) -> bool {
        self.batch.is_full() || self.opened.is_some_and(|opened| opened.elapsed() >= self.topic.config.linger)
    }

    /// Commits the batch. Returns false if the run stopped waiting for that.
    fn commit(&mut self) -> Result<bool> {
        if self.batch.is_empty() {
            return Ok(true);
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.opened = None;
        match self.database.by(async |store| store.write(&mut batch).await)? {
            None => return Ok(false),
            Some(Written::Committed(outcome)) => self.send(News::Committed(outcome)),
            Some(Written::Moved) => {
                tracing::info!(
                    "Another run has stored what this one has read; continuing at the offsets in PostgreSQL."
                );
                self.discard();
                self.topic.forget();
            }
        }
        Ok(true)
    }

    /// Adds the messages that are ready to the batch, waiting only for the first one.
    fn fill(&mut self) -> Result<()> {
        let left = |opened: Instant| self.topic.config.linger.saturating_sub(opened.elapsed());
        let mut limit = self.opened.map_or(TICK, left).min(TICK);
        while !self.batch.is_full() {
            let Some(polled) = self.topic.member.poll(limit) else { break };
            limit = Duration::ZERO;
            let message = match polled {
                Ok(message) => message,
                Err(error) => {
                    let change = self.topic.take_error(error)?;
                    self.take(change);
                    return Ok(());
                }
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(next) = self.topic.next.get_mut(&partition) else { continue };
            if offset < *next {
                self.topic.doubt_offsets();
                break;
            }
            self.opened.get_or_insert_with(Instant::now);
            self.batch.push((partition, offset), next, message.payload());
        }
        self.topic.member.keep_brokers();
        Ok(())
    }
}
