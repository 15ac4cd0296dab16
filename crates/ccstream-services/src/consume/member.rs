//! This module wraps librdkafka's client, which makes this consumer a member of its group, in what the poll loop needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::group::{Group, Rebalance, assigned_of, end_subscription, is_cooperative, unassign};
use crate::error::{Error, Result};
use crate::kafka::client::{ASK_LIMIT, check_advertised, find_topic, refused, unreachable};
use crate::kafka::ffi::{Bootstrap, TopicIds, cluster_id};
use crate::kafka::options::{options, strategy};
use ccstream_core::settings::ConsumerConfig;

/// Longest time that leaving the group may take. If the broker does not answer within it, the group notices by itself
/// after the session timeout.
pub(super) const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// Longest wait for librdkafka to report why the broker did not answer.
const LOG_LIMIT: Duration = Duration::from_millis(100);

/// Number of `resume` calls before an assignment. A pause survives a new assignment, so partitions must be resumed
/// first; resuming afterwards can race with the assignment and one of the two is lost. librdkafka silently drops a
/// request for a partition while its own thread has an operation pending on it (stop, start, or the pause during a
/// rebalance), which would leave the partition paused forever. Each of these three can occur once between two of our
/// calls, so four attempts suffice; repeated resumes are harmless.
const RESUMES: usize = 4;

/// Returns the client's settings.
///
/// Errors: the user sets an option that ccstream sets itself, or chooses the consumer protocol of KIP-848.
pub(super) fn client(config: &ConsumerConfig) -> ccstream_core::Result<ClientConfig> {
    let is_protocol =
        |(name, value): &&(String, String)| name == "group.protocol" && !value.eq_ignore_ascii_case("classic");
    if let Some((name, value)) = config.kafka.librdkafka_options.0.iter().find(is_protocol) {
        let reason = format!(
            "{name}={value} is not supported (KIP-848): with it the broker decides the session timeout and how \
             partitions are assigned, which ccstream sets by `session_timeout` and `assignment`; remove it, or set it \
             to classic"
        );
        return Err(ccstream_core::Error::config("librdkafka_options", reason));
    }
    let session = config.session_timeout.as_millis().to_string();
    let heartbeat = (config.session_timeout / 6).as_millis().to_string();
    options(
        &config.kafka,
        &[
            ("group.id", config.group.as_str()),
            ("session.timeout.ms", &session),
            ("heartbeat.interval.ms", &heartbeat),
            ("partition.assignment.strategy", strategy(config.assignment)),
            // PostgreSQL has the offsets. One that the topic does not have is an error; it never resets to another.
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            // A broker that is connected but does not answer is disconnected after this.
            ("socket.timeout.ms", "10000"),
            ("allow.auto.create.topics", "false"),
            // The statistics report the end of each partition, from which the lag is computed.
            ("statistics.interval.ms", "1000"),
            // While a fetch waits, the embedded broker checks for new messages only at intervals, which costs a median
            // latency of 24 ms. With a limit of 50 the latency is 4 ms, but the broker then ends fetches of small
            // batches before it has found any: 400,000 messages take 37 s instead of 3 s.
            ("fetch.wait.max.ms", "100"),
            // librdkafka fetches ahead enough for the next batch, within bounds. Once the bound is reached, its default
            // is to fetch nothing for 1 s, in which the queue runs empty: 90,000 messages/s instead of 140,000.
            ("fetch.queue.backoff.ms", "10"),
            ("queued.min.messages", "100000"),
            ("queued.max.messages.kbytes", "16384"),
        ],
    )
}

/// Makes this consumer a member of its group, which it leaves when this is dropped. Whatever shares its client must be
/// dropped before.
pub(crate) struct Member {
    /// The client. None once the member has left.
    consumer: Option<Arc<BaseConsumer<Group>>>,
    topic: String,
    servers: String,
    bootstrap: Bootstrap,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Member {
    /// Creates the client, which does not contact the brokers yet.
    pub(super) fn new(config: &ConsumerConfig) -> Result<Self> {
        let consumer = BaseConsumer::from_config_and_context(&client(config)?, Group::default()).map_err(refused)?;
        Ok(Self {
            consumer: Some(Arc::new(consumer)),
            topic: config.kafka.topic.clone(),
            servers: config.kafka.bootstrap_servers.to_string(),
            bootstrap: Bootstrap::new(&config.kafka.bootstrap_servers),
        })
    }

    fn consumer(&self) -> &Arc<BaseConsumer<Group>> {
        self.consumer.as_ref().expect("the client exists until the member leaves")
    }

    /// Returns the context that receives librdkafka's callbacks.
    pub(crate) fn group(&self) -> &Group {
        self.consumer().context()
    }

    /// Returns a handle that queries the topic's id. It shares the client.
    pub(super) fn topic_ids(&self) -> TopicIds<Group> {
        TopicIds::new(self.consumer(), &self.topic)
    }

    /// Returns whether the topic exists.
    ///
    /// Errors: no broker answers; the error has the reason that librdkafka gives.
    pub(super) fn find_topic(&mut self) -> Result<bool> {
        self.count_partitions().map(|count| count.is_some())
    }

    /// Returns the number of the topic's partitions; None if the topic does not exist.
    ///
    /// Errors: no broker answers; the error has the reason that librdkafka gives.
    pub(super) fn count_partitions(&mut self) -> Result<Option<usize>> {
        self.keep_brokers();
        // A poll serves librdkafka's log, which has the reason why there is no answer.
        let _ = self.consumer().poll(Duration::ZERO);
        let found = find_topic(self.consumer().client(), &self.topic);
        found.map(|found| found.map(|topic| topic.partitions)).map_err(|source| self.silent(source))
    }

    /// Returns the error for a request that was not answered.
    fn silent(&self, source: KafkaError) -> Error {
        let _ = self.consumer().poll(LOG_LIMIT);
        unreachable(&self.servers, &self.group().log, source)
    }

    /// Describes which of the cluster's brokers cannot be reached, if others can. None means that all can.
    ///
    /// Errors: no broker can be reached.
    pub(super) fn check_advertised(&self) -> Result<Option<String>> {
        check_advertised(self.consumer().client(), &self.servers, |source| self.silent(source))
    }

    /// Joins the group.
    pub(super) fn join(&self) -> Result<()> {
        self.consumer().subscribe(&[&self.topic]).map_err(Error::kafka("joining the group"))
    }

    /// Leaves the group and joins it again.
    pub(super) fn rejoin(&self) -> Result<()> {
        self.consumer().unsubscribe();
        self.join()
    }

    /// Returns the next message or error, waiting up to `limit` for it.
    pub(crate) fn poll(&self, limit: Duration) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.consumer().poll(limit)
    }

    /// Adds the bootstrap servers again if the client has lost all brokers. Must be called regularly.
    pub(crate) fn keep_brokers(&mut self) {
        if let Some(consumer) = &self.consumer {
            self.bootstrap.keep(consumer.client());
        }
    }

    /// Returns the changes of the assignment since the last call, oldest first.
    pub(super) fn take_rebalances(&self) -> Vec<Rebalance> {
        self.group().take_rebalances()
    }

    /// Returns the cluster's id, if librdkafka knows it by now.
    pub(super) fn cluster_id(&self) -> Option<String> {
        cluster_id(self.consumer().client(), Duration::ZERO)
    }

    fn list<'o>(&self, offsets: impl IntoIterator<Item = (&'o i32, &'o i64)>) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(Error::kafka("preparing offsets"))?;
        }
        Ok(list)
    }

    /// Assigns these partitions, and no others, at these offsets. Messages that were fetched ahead are discarded. In a
    /// cooperative group only the `changed` partitions are re-assigned. With `paused`, nothing is fetched yet.
    pub(super) fn assign(&self, offsets: &BTreeMap<i32, i64>, changed: &BTreeSet<i32>, paused: bool) -> Result<()> {
        let step = || Error::kafka("assigning partitions");
        let cooperative = is_cooperative(self.consumer());
        let list = self.list(offsets.iter().filter(|(partition, _)| !cooperative || changed.contains(partition)))?;
        if paused {
            self.consumer().pause(&list).map_err(step())?;
        } else {
            for _ in 0..RESUMES {
                self.consumer().resume(&list).map_err(step())?;
            }
        }
        if cooperative {
            let assigned = assigned_of(self.consumer(), changed).map_err(step())?;
            // librdkafka would take an empty list for the answer to a revocation that is still in its queue.
            if assigned.count() > 0 {
                self.consumer().incremental_unassign(&assigned).map_err(step())?;
            }
            self.consumer().incremental_assign(&list).map_err(step())
        } else {
            self.consumer().assign(&list).map_err(step())
        }
    }

    /// Splits a partition's messages off the client's queue.
    ///
    /// Errors: the client does not know the partition.
    pub(super) fn split(&self, partition: i32) -> Result<PartitionQueue<Group>> {
        let queue = self.consumer().split_partition_queue(&self.topic, partition);
        queue.ok_or_else(|| Error::inconsistent(format!("partition {partition} has no queue")))
    }

    /// Pauses every partition. Messages that were fetched ahead are discarded.
    pub(super) fn pause(&self) -> Result<()> {
        let all = self.consumer().assignment().map_err(Error::kafka("pausing"))?;
        self.consumer().pause(&all).map_err(Error::kafka("pausing"))
    }

    /// Unassigns partitions that the group has revoked.
    pub(super) fn unassign(&self, partitions: &BTreeSet<i32>) -> Result<()> {
        unassign(self.consumer(), partitions).map_err(Error::kafka("unassigning partitions"))
    }

    /// Queries a partition's first offset and its end. The embedded broker returns a wrong end, so this is only queried
    /// where a real broker's answer is needed: after an offset out of range, which the embedded broker never reports,
    /// after messages that came out of order, and for a batch that cannot be read.
    pub(super) fn bounds(&self, partition: i32) -> KafkaResult<(i64, i64)> {
        self.consumer().fetch_watermarks(&self.topic, partition, ASK_LIMIT)
    }

    /// Copies committed offsets to Kafka without waiting for the answer; only leaving waits for it. If it fails, tools
    /// that read the group's offsets show old ones, and nothing else is affected.
    pub(super) fn show_offsets(&self, offsets: &BTreeMap<i32, i64>) {
        // An empty list would make librdkafka commit the offsets that it has stored, and it stores none.
        if offsets.is_empty() {
            return;
        }
        let shown = self.list(offsets).and_then(|list| {
            self.consumer().commit(&list, CommitMode::Async).map_err(Error::kafka("committing offsets"))
        });
        if let Err(error) = shown {
            tracing::debug!(%error, "Committed offsets were not copied to Kafka.");
        }
    }

    /// Leaves the group, unless it has been left before. Returns false if that took longer than [`LEAVE_LIMIT`].
    pub(super) fn leave(&mut self) -> bool {
        let Some(consumer) = self.consumer.take() else { return true };
        // Leaving revokes every partition. The poll loop has ended, so the callback has to answer the revocation.
        consumer.context().close();
        // A revocation that was not answered yet would keep librdkafka from leaving.
        if let Ok(all) = consumer.assignment() {
            let all = all.elements().iter().map(TopicPartitionListElem::partition).collect();
            let _ = unassign(&consumer, &all);
        }
        // librdkafka's own shutdown has no time limit: it waits for the answer to every commit of offsets.
        let (sender, left) = mpsc::channel::<()>();
        // If no thread can be started, the client is dropped with the closure, without a time limit.
        let _ = thread::Builder::new().name("ccstream-leave".into()).spawn(move || {
            end_subscription(&consumer);
            drop(consumer);
            drop(sender);
        });
        left.recv_timeout(LEAVE_LIMIT) != Err(mpsc::RecvTimeoutError::Timeout)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}
