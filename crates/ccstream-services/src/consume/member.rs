//! This consumer as a member of its group: librdkafka's client, in the words of the poll loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::group::{Group, Rebalance, end_subscription, give_up, is_cooperative, read_of};
use crate::error::{Error, Result};
use crate::kafka::client::{ASK_LIMIT, check_advertised, find_topic, refused, unreachable};
use crate::kafka::ffi::{Bootstrap, TopicIds, cluster_id};
use crate::kafka::options::{options, strategy};
use ccstream_core::settings::ConsumerConfig;

/// How long leaving may take. A broker that is there and silent is waited for no longer: it notices by itself, after the
/// session timeout.
pub(super) const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// How long librdkafka may take to say why there is no answer.
const LOG_LIMIT: Duration = Duration::from_millis(100);

/// A pause outlives the assignment that it was made in, and so is ended before the next; done after, the one could
/// cost the other. For librdkafka drops what it is asked while its own thread asks the same partition for something (to
/// stop, to begin, or to pause while the group is rebalanced): then the partition would be paused for good. Each of
/// these happens at most once between two of our calls; asking once more costs nothing where it was heard.
const RESUMES: usize = 4;

/// The client's settings. Errors: one that is ours, or the consumer protocol of KIP-848.
pub(super) fn client(config: &ConsumerConfig) -> ccstream_core::Result<ClientConfig> {
    let is_protocol =
        |(name, value): &&(String, String)| name == "group.protocol" && !value.eq_ignore_ascii_case("classic");
    if let Some((name, value)) = config.kafka.librdkafka_options.0.iter().find(is_protocol) {
        let reason = format!(
            "{name}={value} is not supported (KIP-848): under it the broker sets the session timeout and how partitions \
             are handed on, which ccstream sets in `session_timeout` and `assignment`; leave it out, or give classic"
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
            // PostgreSQL has the offsets; one that is not in the topic is an error, never a jump.
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            // A broker that is there and silent is given up after this.
            ("socket.timeout.ms", "10000"),
            ("allow.auto.create.topics", "false"),
            // For the end of each partition, and so the lag.
            ("statistics.interval.ms", "1000"),
            // The embedded broker looks for new messages only so often while a fetch waits: 24 ms at the median. With
            // 50 (4 ms) it gives a fetch of small batches up before it has any: 37 s for 400,000 messages, not 3.
            ("fetch.wait.max.ms", "100"),
            // Read ahead of us: enough for the next batch, bounded. Once that is reached librdkafka would by itself fetch
            // nothing for a second, in which we run dry: 90,000 messages a second instead of 140,000.
            ("fetch.queue.backoff.ms", "10"),
            ("queued.min.messages", "100000"),
            ("queued.max.messages.kbytes", "16384"),
        ],
    )
}

/// The client. Dropped, it leaves the group; what it was shared with has to be dropped before.
pub(super) struct Member {
    /// There until the drop.
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
    /// Makes the client; it talks to nobody yet.
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
        self.consumer.as_ref().expect("it is there until the drop")
    }

    /// librdkafka's callbacks.
    pub(super) fn group(&self) -> &Group {
        self.consumer().context()
    }

    /// For questions about the topic's id.
    pub(super) fn topic_ids(&self) -> TopicIds<Group> {
        TopicIds::new(self.consumer(), &self.topic)
    }

    /// Whether the topic is there. Errors: no answer, with librdkafka's word on why.
    pub(super) fn find_topic(&mut self) -> Result<bool> {
        self.keep_brokers();
        // Serves the log, which says why there is no answer.
        let _ = self.consumer().poll(Duration::ZERO);
        let found = find_topic(self.consumer().client(), &self.topic);
        found.map(|found| found.is_some()).map_err(|source| self.silent(source))
    }

    /// The error of a question that was not answered.
    fn silent(&self, source: KafkaError) -> Error {
        let _ = self.consumer().poll(LOG_LIMIT);
        unreachable(&self.servers, &self.group().log, source)
    }

    /// Which of the cluster's brokers cannot be reached, in words, where others can. Errors: none can.
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

    /// The next message or news, waited for at most so long.
    pub(super) fn poll(&self, limit: Duration) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        self.consumer().poll(limit)
    }

    /// Sees to it that the client has brokers.
    pub(super) fn keep_brokers(&mut self) {
        if let Some(consumer) = &self.consumer {
            self.bootstrap.keep(consumer.client());
        }
    }

    /// The changes of the assignment since the last call.
    pub(super) fn take_rebalances(&self) -> Vec<Rebalance> {
        self.group().take_rebalances()
    }

    /// The cluster's id, if librdkafka knows it by now.
    pub(super) fn cluster_id(&self) -> Option<String> {
        cluster_id(self.consumer().client(), Duration::ZERO)
    }

    fn list<'o>(&self, offsets: impl IntoIterator<Item = (&'o i32, &'o i64)>) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(Error::kafka("naming offsets"))?;
        }
        Ok(list)
    }

    /// Reads these and no other partitions, from these offsets; what was fetched ahead is dropped.
    /// In a cooperative group only of `changed`: the others are read on. With `paused`, nothing is fetched yet.
    pub(super) fn place(&self, offsets: &BTreeMap<i32, i64>, changed: &BTreeSet<i32>, paused: bool) -> Result<()> {
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
            let read = read_of(self.consumer(), changed).map_err(step())?;
            // Of none, this would be taken for the answer to a revocation that nobody has seen yet.
            if read.count() > 0 {
                self.consumer().incremental_unassign(&read).map_err(step())?;
            }
            self.consumer().incremental_assign(&list).map_err(step())
        } else {
            self.consumer().assign(&list).map_err(step())
        }
    }

    /// Stops the fetching of every partition; what was fetched ahead is dropped.
    pub(super) fn pause(&self) -> Result<()> {
        let all = self.consumer().assignment().map_err(Error::kafka("pausing"))?;
        self.consumer().pause(&all).map_err(Error::kafka("pausing"))
    }

    /// Gives partitions up, as the group has asked.
    pub(super) fn give_up(&self, partitions: &BTreeSet<i32>) -> Result<()> {
        give_up(self.consumer(), partitions).map_err(Error::kafka("giving partitions up"))
    }

    /// A partition's first offset, and its end. Asked only after the broker said that an offset is
    /// out of range: the embedded broker, which never says so, answers the end wrongly.
    pub(super) fn bounds(&self, partition: i32) -> KafkaResult<(i64, i64)> {
        self.consumer().fetch_watermarks(&self.topic, partition, ASK_LIMIT)
    }

    /// Tells Kafka where PostgreSQL stands; only leaving waits for its answer. Failing costs nothing but a stale figure
    /// elsewhere.
    pub(super) fn show_offsets(&self, offsets: &BTreeMap<i32, i64>) {
        // An empty list would commit what librdkafka itself has stored, which is nothing.
        if offsets.is_empty() {
            return;
        }
        let shown = self.list(offsets).and_then(|list| {
            self.consumer().commit(&list, CommitMode::Async).map_err(Error::kafka("committing offsets"))
        });
        if let Err(error) = shown {
            tracing::debug!(%error, "Offsets were not shown to Kafka.");
        }
    }

    /// Leaves the group, if that was not done: whether the broker took the goodbye in time.
    pub(super) fn leave(&mut self) -> bool {
        let Some(consumer) = self.consumer.take() else { return true };
        // Leaving asks for every partition back, and nobody is there to give them up but the callback.
        consumer.context().close();
        // A revocation that still waits for its answer would keep librdkafka from leaving.
        if let Ok(all) = consumer.assignment() {
            let all = all.elements().iter().map(TopicPartitionListElem::partition).collect();
            let _ = give_up(&consumer, &all);
        }
        // librdkafka's own end has no limit: it waits for the answer to every commit of offsets.
        let (sender, left) = mpsc::channel::<()>();
        // Refused a thread, it ends right here.
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
