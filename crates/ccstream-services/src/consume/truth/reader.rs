//! This module has the loop of the thread that reads the topic of truth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use tokio_util::sync::CancellationToken;

use super::News;
use super::database::TruthDatabase;
use crate::consume::member::Member;
use crate::consume::report::ConsumeEvent;
use crate::consume::state::TICK;
use crate::consume::topic::Watch;
use crate::consume::trouble::{Cause, Trouble, Troubles};
use crate::consume::warning::Warning;
use crate::error::Result;
use crate::postgres::truth::{TruthBatch, Written};
use ccstream_core::settings::{ConsumerConfig, KafkaConfig};

/// Reads the topic of truth and writes it to PostgreSQL.
pub(super) struct Reader {
    /// The run's settings, with the topic of truth in place of the topic of events.
    pub(super) config: ConsumerConfig,
    /// Holds a reference to the member's client, so it must be dropped before the member.
    pub(super) watch: Watch,
    pub(super) member: Member,
    pub(super) troubles: Troubles,
    pub(super) database: TruthDatabase,
    pub(super) news: mpsc::Sender<News>,
    pub(super) stop: CancellationToken,
    /// The batch that is being filled.
    pub(super) batch: TruthBatch,
    /// When the batch got its first message.
    pub(super) opened: Option<Instant>,
    /// The next offset of each partition; empty while none is assigned.
    pub(super) next: BTreeMap<i32, i64>,
    /// The partitions that were read to their end since they were assigned.
    pub(super) ended: BTreeSet<i32>,
    /// Whether the poll loop has been informed that the reader caught up.
    pub(super) is_caught_up: bool,
    /// Whether a partition does not have its next offset. The topic's id is then queried before anything is done about
    /// it.
    pub(super) in_doubt: bool,
    /// Whether a partition's log ends before what is stored.
    pub(super) is_shorter: bool,
    /// When the number of partitions was last queried.
    pub(super) counted: Instant,
}

impl Reader {
    pub(super) fn new(
        config: &ConsumerConfig,
        news: mpsc::Sender<News>,
        stop: CancellationToken,
        abandon: CancellationToken,
    ) -> Result<Self> {
        let kafka = KafkaConfig { topic: config.truth_topic.clone(), ..config.kafka.clone() };
        let config = ConsumerConfig { kafka, ..config.clone() };
        let member = Member::new(&config)?;
        let mut watch = Watch::new(member.topic_ids());
        watch.need();
        Ok(Self {
            watch,
            member,
            troubles: Troubles::new(true),
            database: TruthDatabase::new(&config, abandon)?,
            config,
            news,
            stop,
            batch: TruthBatch::default(),
            opened: None,
            next: BTreeMap::new(),
            ended: BTreeSet::new(),
            is_caught_up: false,
            in_doubt: false,
            is_shorter: false,
            counted: Instant::now(),
        })
    }

    /// Reads until a stop. Returns whether everything that was read is committed.
    pub(super) fn run(&mut self) -> Result<bool> {
        while !self.stop.is_cancelled() {
            self.watch_topic()?;
            if self.next.is_empty() && !self.begin()? {
                // Polling serves librdkafka's callbacks, and discards messages of an earlier assignment.
                let _ = self.member.poll(TICK);
                continue;
            }
            self.fill()?;
            if self.is_due() {
                self.commit()?;
            }
            if !self.next.is_empty() && self.batch.is_empty() && self.ended.len() == self.next.len() {
                self.report_end();
            }
        }
        self.commit()
    }

    fn send(&self, news: News) {
        // Sending fails if the run is over, and then nobody needs the news.
        let _ = self.news.send(news);
    }

    pub(super) fn warn(&self, warning: Warning) {
        self.send(News::Warning(warning));
    }

    /// Reports once that the reader has caught up.
    pub(super) fn report_end(&mut self) {
        if !std::mem::replace(&mut self.is_caught_up, true) {
            self.send(News::CaughtUp);
        }
    }

    /// Discards what was read and is not written. Every partition is then assigned again at its offset in PostgreSQL.
    pub(super) fn forget(&mut self) {
        (self.batch, self.opened) = (TruthBatch::default(), None);
        self.next.clear();
        self.ended.clear();
    }

    fn is_due(&self) -> bool {
        self.batch.is_full() || self.opened.is_some_and(|opened| opened.elapsed() >= self.config.linger)
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
                self.forget();
            }
        }
        Ok(true)
    }

    /// Adds the messages that are ready to the batch, waiting only for the first one.
    fn fill(&mut self) -> Result<()> {
        let left = |opened: Instant| self.config.linger.saturating_sub(opened.elapsed());
        let mut limit = self.opened.map_or(TICK, left).min(TICK);
        while !self.batch.is_full() {
            let Some(polled) = self.member.poll(limit) else { break };
            limit = Duration::ZERO;
            let message = match polled {
                Ok(message) => message,
                Err(error) => return self.take_error(error),
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(next) = self.next.get_mut(&partition) else { continue };
            if offset < *next {
                self.doubt_offsets();
                break;
            }
            self.opened.get_or_insert_with(Instant::now);
            self.batch.push((partition, offset), next, message.payload());
        }
        self.member.keep_brokers();
        Ok(())
    }

    fn take_error(&mut self, error: KafkaError) -> Result<()> {
        if let KafkaError::PartitionEOF(partition) = error {
            self.ended.insert(partition);
            return Ok(());
        }
        let log = &self.member.group().log;
        let cause = Cause { refusal: log.last_refusal(), last_error: log.last_error(), others_answer: false };
        match self.troubles.judge(error, cause, &self.config)? {
            // The client that reads the events reports an outage.
            Trouble::Passing(_) => {}
            Trouble::NoTopic(event) => {
                self.report_missing(event);
                self.watch.need();
            }
            Trouble::NoOffset => self.doubt_offsets(),
            Trouble::Unreadable => self.skip_unreadable()?,
        }
        Ok(())
    }

    /// Reports that the topic does not exist, unless that was reported before.
    pub(super) fn report_missing(&mut self, event: Option<ConsumeEvent>) {
        if let Some(ConsumeEvent::Warning(warning)) = event {
            self.warn(warning);
        }
    }
}
