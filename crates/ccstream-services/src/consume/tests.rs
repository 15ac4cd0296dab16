//! These tests confront producer and consumer with broker errors that real brokers do not produce on demand.
//! librdkafka's mock cluster produces them.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::member::Member;
use super::memory::{Answer, Memory};
use super::{ConsumeEvent, ConsumeSummary, Waiting, Warning, consume};
use crate::error::Result;
use crate::postgres::tests::Sandbox;
use crate::produce::{ProduceEvent, ProduceSummary, produce};
use crate::report::Observers;
use ccstream_core::generate::Pace;
use ccstream_core::settings::{ConsumerConfig, KafkaConfig, ProducerConfig};

const PARTITIONS: i32 = 4;
const BROKERS: i32 = 3;

/// Temporary errors by kind of request. Either librdkafka or ccstream retries.
const PASSING: &[(Api, &[Code])] = &[
    (
        Api::Produce,
        &[
            Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    ),
    (
        Api::Fetch,
        &[
            Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            Code::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
            Code::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    ),
    (Api::Metadata, &[Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, Code::RD_KAFKA_RESP_ERR__TRANSPORT]),
    (Api::FindCoordinator, &[Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, Code::RD_KAFKA_RESP_ERR__TRANSPORT]),
    (
        Api::JoinGroup,
        &[
            Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        ],
    ),
    (Api::SyncGroup, &[Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION]),
    (
        Api::Heartbeat,
        &[
            Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
            Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
            Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        ],
    ),
    // Nothing depends on the offsets in Kafka; they are only copied there for other tools.
    (
        Api::OffsetCommit,
        &[Code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED],
    ),
];

/// Starts a cluster with an empty topic. Returns it with the settings that lead to it.
fn cluster() -> (MockCluster<'static, DefaultProducerContext>, KafkaConfig) {
    let cluster = MockCluster::new(BROKERS).unwrap();
    let kafka = KafkaConfig { bootstrap_servers: cluster.bootstrap_servers().into(), ..KafkaConfig::default() };
    cluster.create_topic(&kafka.topic, PARTITIONS, 1).unwrap();
    (cluster, kafka)
}

fn send(kafka: &KafkaConfig, pace: Pace, count: u64) -> Result<ProduceSummary> {
    send_observed(kafka, pace, count, |_| {})
}

fn send_observed(
    kafka: &KafkaConfig,
    pace: Pace,
    count: u64,
    observer: impl FnMut(&ProduceEvent),
) -> Result<ProduceSummary> {
    // The mock cluster cannot create the topics of labels and truth.
    let fraud = Some(0.0);
    let config = ProducerConfig { kafka: kafka.clone(), rate: pace, count: Some(count), fraud, ..Default::default() };
    produce(&config, &CancellationToken::new(), &mut Observers::default().with(observer))
}

/// Runs a consumer until `stop` is cancelled or an error ends it. Returns the result and the texts of all warnings and
/// waits. After two minutes the consumer is stopped anyway, so that the caller's assertions fail instead of hanging.
fn read(config: &ConsumerConfig, stop: &CancellationToken) -> (Result<ConsumeSummary>, Vec<String>) {
    let limit = stop.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(120));
        limit.cancel();
    });
    let mut reported = Vec::new();
    let mut observers = Observers::default().with(|event| {
        if let ConsumeEvent::Warning(Warning { text, .. }) | ConsumeEvent::Waiting(Waiting { reason: text, .. }) = event
        {
            reported.push(text.clone());
        }
    });
    let ended = consume(config, stop, &mut observers);
    drop(observers);
    (ended, reported)
}

/// Runs the poll loop with a mock cluster and a database in memory, without any service.
#[test]
fn each_message_is_committed_once_whatever_the_database_answers() {
    let (_cluster, kafka) = cluster();
    let count = 3_000;
    assert_eq!(send(&kafka, Pace::Max, count).unwrap().acknowledged, count);
    let memory = Memory::default();
    for partition in 0..PARTITIONS {
        memory.script().writes.insert(partition, [Answer::Passing, Answer::Done, Answer::Passing].into());
    }
    let config = ConsumerConfig { kafka, batch_rows: 100, until_caught_up: true, ..Default::default() };
    let (stop, mut summary) = (CancellationToken::new(), ConsumeSummary::default());
    super::run(&config, memory.clone(), &stop, &mut Observers::default(), &mut summary).unwrap();
    assert_eq!((summary.total.consumed, summary.total.rejected, summary.drained), (count as i64, 0, true));
    // The offsets of each partition are committed in ascending order.
    let script = memory.script();
    for partition in 0..PARTITIONS {
        let offsets: Vec<i64> = script.committed.iter().filter(|one| one.0 == partition).map(|one| one.1).collect();
        assert!(offsets.is_sorted() && !offsets.is_empty(), "partition {partition}: {offsets:?}");
    }
}

#[test]
fn temporary_errors_lose_no_message() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (cluster, kafka) = cluster();
    let seed = std::env::var("CCSTREAM_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("CCSTREAM_TEST_SEED={seed}");
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let (count, rate) = (20_000, 4_000.0);
    let config = ConsumerConfig { kafka: kafka.clone(), batch_rows: 500, ..sandbox.config() };
    let stop = CancellationToken::new();
    let token = stop.clone();
    let consumer = thread::spawn(move || read(&config, &token));
    let to = kafka.clone();
    let producer = thread::spawn(move || send(&to, Pace::PerSecond(rate), count));
    let mut errors = 0;
    while !producer.is_finished() {
        if chance.random_range(0..5) == 0 {
            let leader = chance.random_range(1..=BROKERS);
            cluster.partition_leader(&kafka.topic, chance.random_range(0..PARTITIONS), Some(leader)).unwrap();
        } else {
            let (api, codes) = PASSING[chance.random_range(0..PASSING.len())];
            cluster.request_errors(api, &[codes[chance.random_range(0..codes.len())]]);
            errors += 1;
        }
        thread::sleep(Duration::from_millis(chance.random_range(0..100)));
    }
    for (api, _) in PASSING {
        cluster.clear_request_errors(*api);
    }
    let sent = producer.join().unwrap().unwrap();
    assert_eq!((sent.acknowledged, sent.failed), (count, 0));
    // The mock cluster does not implement sequence numbers. After a lost connection it may have a message twice, or not
    // at all, so the consumer is compared with what the cluster has. That each acknowledged message is there exactly
    // once is tested with a real broker.
    let there = read_all(&kafka);
    let ids: BTreeSet<&String> = there.values().collect();
    let counted = || sandbox.number("SELECT coalesce(sum(consumed), 0)::bigint FROM kafka_offsets");
    while counted() < there.len() as i64 && !stop.is_cancelled() {
        thread::sleep(Duration::from_millis(50));
    }
    stop.cancel();
    let (read, reported) = consumer.join().unwrap();
    println!("{errors} errors; sent in {:?}; reported: {reported:?}", sent.elapsed);
    let total = read.unwrap().total;
    let (messages, events) = (there.len() as i64, ids.len() as i64);
    assert_eq!((counted(), total.consumed, total.missing), (messages, messages, 0));
    assert_eq!((total.stored, total.duplicate), (events, messages - events));
    let wanted = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
    assert_eq!(sandbox.number(&format!("SELECT count(*) FROM orders WHERE order_id IN ({wanted})")), events);
    sandbox.verify();
}

#[test]
fn permanent_errors_end_the_consumer() {
    let Some(sandbox) = Sandbox::new() else { return };
    for (api, code, word) in [
        (Api::JoinGroup, Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "GroupAuthorizationFailed"),
        (Api::JoinGroup, Code::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, "InvalidSessionTimeout"),
        (Api::JoinGroup, Code::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, "InconsistentGroupProtocol"),
        (Api::Fetch, Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "TopicAuthorizationFailed"),
    ] {
        let (cluster, kafka) = cluster();
        send(&kafka, Pace::Max, 100).unwrap();
        cluster.request_errors(api, &[code; 20]);
        let config = ConsumerConfig { kafka, group: word.into(), ..sandbox.config() };
        let error = read(&config, &CancellationToken::new()).0.unwrap_err();
        assert_eq!(error.exit_code(), 3, "{word}");
        assert!(error.chain().contains(word), "{word}: {}", error.chain());
    }
}

#[test]
fn partitions_that_were_paused_and_reassigned_are_read() {
    let (_cluster, kafka) = cluster();
    send(&kafka, Pace::Max, 1000).unwrap();
    let member = Member::new(&ConsumerConfig { kafka, ..ConsumerConfig::default() }).unwrap();
    let offsets: BTreeMap<i32, i64> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    let changed = offsets.keys().copied().collect();
    for round in 0..270 {
        // A busy machine delays librdkafka's threads, which makes it more likely that a request is dropped.
        let hogs: Vec<_> = (0..8).map(|_| thread::spawn(|| spin(Duration::from_millis(20)))).collect();
        for _ in 0..[1, 10][round % 2] {
            member.pause().unwrap();
            member.assign(&offsets, &changed, false).unwrap();
        }
        let mut missing = changed.clone();
        let limit = Instant::now() + Duration::from_secs(10);
        while !missing.is_empty() {
            assert!(Instant::now() < limit, "round {round}: no message of partitions {missing:?}");
            if let Some(Ok(message)) = member.poll(Duration::from_millis(10)) {
                missing.remove(&message.partition());
            }
        }
        for hog in hogs {
            hog.join().unwrap();
        }
    }
}

/// Keeps a core busy.
fn spin(time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {}
}

#[test]
fn a_message_that_the_broker_refuses_permanently_is_counted_as_failed() {
    let (cluster, kafka) = cluster();
    cluster.request_errors(Api::Produce, &[Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let sent = send(&kafka, Pace::Max, 1000).unwrap();
    assert_eq!((sent.sent, sent.acknowledged + sent.failed), (1000, 1000));
    assert!(sent.failed > 0, "{sent:?}");
    let there = read_all(&kafka);
    assert_eq!(there.len() as u64, sent.acknowledged);
}

#[test]
fn a_producer_whose_sequence_the_broker_has_lost_starts_another() {
    let (cluster, kafka) = cluster();
    let count = 20_000;
    let codes = [Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 2];
    let (mut acknowledged, mut times) = (0, 0);
    let sent = send_observed(&kafka, Pace::PerSecond(5_000.0), count, |event| match event {
        // Wait for an acknowledgement before the next error, so that the producer makes progress on a busy machine too.
        ProduceEvent::Progress(now) if now.acknowledged > acknowledged && now.sent < count => {
            acknowledged = now.acknowledged;
            cluster.request_errors(Api::Produce, &codes);
            times += 1;
        }
        _ => {}
    });
    let sent = sent.unwrap();
    println!("{times} times: {sent:?}");
    assert_eq!((sent.sent, sent.acknowledged, sent.failed), (count, count, 0));
    assert!(sent.sent_again >= times && times > 1, "{times} times: {sent:?}");
    let there = read_all(&kafka);
    let ids: BTreeSet<&String> = there.values().collect();
    assert_eq!(ids.len() as u64, count);
    assert!(there.len() as u64 <= count + sent.sent_again, "{}", there.len());

    // At a low rate the producer reports each message. It reports a re-sent message once, as sent.
    cluster.request_errors(Api::Produce, &codes[..1]);
    let mut reported = Vec::new();
    let sent = send_observed(&kafka, Pace::PerSecond(10.0), 3, |event| match event {
        ProduceEvent::Sent { .. } => reported.push("sent"),
        ProduceEvent::NotSent { .. } => reported.push("not sent"),
        _ => {}
    });
    assert_eq!(reported, ["sent"; 3]);
    assert_eq!(sent.unwrap().sent_again, 1);
}

#[test]
fn a_producer_whose_sequence_the_broker_keeps_losing_ends() {
    let (cluster, kafka) = cluster();
    cluster.request_errors(Api::Produce, &[Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 1000]);
    let error = send(&kafka, Pace::PerSecond(100.0), 1000).unwrap_err().chain();
    assert!(error.contains("sequence desynchronization"), "{error}");
}

/// Reads all messages with a plain librdkafka client. Returns the transaction id by partition and offset.
fn read_all(kafka: &KafkaConfig) -> BTreeMap<(i32, i64), String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &*kafka.bootstrap_servers)
        .set("group.id", "reads-all")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&kafka.topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut found, mut ended) = (BTreeMap::new(), BTreeSet::new());
    while ended.len() < PARTITIONS as usize {
        match consumer.poll(Duration::from_secs(30)).expect("a message or an end") {
            Ok(message) => {
                let event: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let id = event["transaction_id"].as_str().unwrap().to_owned();
                assert!(found.insert((message.partition(), message.offset()), id).is_none());
            }
            Err(KafkaError::PartitionEOF(partition)) => assert!(ended.insert(partition)),
            Err(error) => panic!("{error}"),
        }
    }
    found
}
