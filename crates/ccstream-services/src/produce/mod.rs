//! Transactions to Kafka: pacing, delivery reports, back-pressure.
//!
//! ```text
//! Generator | Handbook | Rows -> payload -> librdkafka's queue (bounded) -> broker (acks=all, idempotent)
//!                                     ^ full: wait                | delivery report -> acknowledged | failed
//!                                     ^ by a new client ----------| fatal: the broker no longer knows how far we had come
//! ```

mod client;
mod commands;
mod control;
mod deliveries;
mod pacer;
pub(crate) mod payloads;
mod report;
pub(crate) mod rows;
mod run;
mod sender;
mod timeline;
mod unsent;
mod unsent_file;
mod world_header;

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer};
use tokio_util::sync::CancellationToken;

use self::client::{client, connect};
use self::commands::Commands;
use self::deliveries::Deliveries;
use self::pacer::Pacer;
use self::payloads::Payloads;
pub use self::report::{ProduceEvent, ProduceSummary, ProducerWarning, ProducerWarningKind};
use self::rows::Rows;
use self::run::{Run, Schedule};
use self::sender::Sender;
use self::timeline::{Timeline, wall};
use self::unsent::Leftover;
use self::world_header::WorldHeader;
use crate::error::{Error, Result};
use crate::kafka::client::{check_advertised, check_options, ensure_topic, find_topic, unreachable};
use crate::report::Observers;
use ccstream_core::event::Micros;
use ccstream_core::generate::{Pace, Topic, World};
use ccstream_core::record::Record;
use ccstream_core::settings::{ProducerConfig, Speed};

/// Up to this number of events a second, each event is reported; above it, only progress is.
pub const WATCHABLE_RATE: f64 = 10.0;
/// The longest wait without a check whether the run should stop.
const TICK: Duration = Duration::from_millis(100);
/// Payments a card and day above which cards show no habits.
const MOST_A_DAY: f64 = 8.0;

/// Checks the settings as a run would, including a file's columns and librdkafka's options. It connects to nothing.
pub fn check(config: &ProducerConfig) -> Result<()> {
    check_settings(config)?;
    Rows::check(config)?;
    check_options(&client(config)?)
}

/// Checks the settings alone.
pub(crate) fn check_settings(config: &ProducerConfig) -> Result<()> {
    config.validate()?;
    let now = wall();
    let start = config.backfill.map(|backfill| backfill.start(Micros(now)).0);
    if start.is_some_and(|start| !(0..=now).contains(&start)) {
        return Err(ccstream_core::Error::config("backfill", "the history does not begin between 1970 and now").into());
    }
    Ok(())
}

/// Sends until the count, the end of the file or a stop, and waits for the delivery reports.
///
/// Every event is counted as acknowledged or failed. Failed events are in the summary and are not an error. Errors:
/// settings, an unreachable broker, a topic that is missing and cannot be created, an unreadable file, a fatal error of
/// the idempotent producer that a new one would have too.
pub fn produce(
    config: &ProducerConfig,
    stop: &CancellationToken,
    observers: &mut Observers<'_, ProduceEvent>,
) -> Result<ProduceSummary> {
    check_settings(config)?;
    let file = Rows::open(config)?;
    let leftover = Leftover::read(config.resume.clone())?;
    let rate = real_rate(config, config.rate);
    // A command may make the rate watchable.
    let producer = connect(config, rate <= WATCHABLE_RATE || config.control.is_some() || config.script.is_some())?;
    let silent = |source| no_answer(config, &producer, source);
    let unreachable = check_advertised(producer.client(), &config.kafka.bootstrap_servers, silent)?;
    let created = ensure_topics(config, &leftover, &producer)?;
    observers.report(&ProduceEvent::Connected { created, unreachable });
    let mut sender = Sender::new(config, stop, producer);
    if let Some(file) = file {
        let run = Run::new(config, stop, rate, sender);
        return run.send_all(Payloads::Replayed(Box::new(file)), Schedule::File(Pacer::new(config.rate)), observers);
    }
    // A world that begins now begins here: connecting may have taken seconds.
    let world = config.world(Micros(wall()));
    if config.preset.is_none() {
        warn_of_overuse(&world, observers);
        sender.header = Some(WorldHeader::new(world.name()));
    }
    let commands = Commands::of(config, &world)?;
    let run = Run::new(config, stop, rate, sender).of_world(world.clone(), commands, leftover);
    run.send_all(Payloads::of(config, &world)?, Schedule::World(Timeline::of(config, &world)), observers)
}

/// Creates the topics that are missing; true if the topic of the transactions was.
fn ensure_topics(config: &ProducerConfig, leftover: &Leftover, producer: &BaseProducer<Deliveries>) -> Result<bool> {
    let ensure = |topic: Topic| {
        let made = ensure_topic(&config.kafka, config.topic(topic), producer.client(), config.partitions);
        made.map_err(|error| match error {
            Error::Kafka { source, .. } => no_answer(config, producer, source),
            Error::Broker(why) => Error::Broker(why + &without(config, topic)),
            error => error,
        })
    };
    let created = ensure(Topic::Orders)?;
    if config.has_labels() || leftover.has(Topic::Labels) {
        ensure(Topic::Labels)?;
    }
    if config.has_truth() || leftover.has(Topic::Truth) {
        ensure(Topic::Truth)?;
    }
    Ok(created)
}

/// Says how a run can do without a topic that cannot be created.
fn without(config: &ProducerConfig, topic: Topic) -> String {
    let of_preset = config.preset.is_some();
    let text = match topic {
        Topic::Orders => return String::new(),
        Topic::Labels if config.replay.is_some() => "name one that exists in `labels_topic`, or leave out `labels`",
        Topic::Labels if of_preset => {
            "name one that exists in `labels_topic`, or give the `preset` its constant labelled=0"
        }
        Topic::Labels => "name one that exists in `labels_topic`, or send no labels by `fraud` 0",
        Topic::Truth if of_preset => "name one that exists in `truth_topic`",
        Topic::Truth => {
            "name one that exists in `truth_topic`, or send no truth by `fraud` 0, without incidents, `malformed`, \
             `control` and `script`"
        }
    };
    format!("; or {text}")
}

/// The mean number of events in a second of real time, once a history has been sent.
fn real_rate(config: &ProducerConfig, pace: Pace) -> f64 {
    let Speed(speed) = config.speed.filter(|_| config.start_time.is_some()).unwrap_or(Speed(1.0));
    if pace == Pace::Max { f64::INFINITY } else { pace.per_second() * speed }
}

fn warn(observers: &mut Observers<'_, ProduceEvent>, kind: ProducerWarningKind, text: String) {
    observers.report(&ProduceEvent::Warning(ProducerWarning { kind, text }));
}

/// Warns if the cards of a world are used so often that they show no habits.
pub(crate) fn warn_of_overuse(world: &World, observers: &mut Observers<'_, ProduceEvent>) {
    if let Some(payments) = world.payments_a_day().filter(|payments| *payments > MOST_A_DAY) {
        let cards = world.cards();
        let text = format!(
            "{cards} cards make {payments:.0} payments a day each, which is too many for habits; \
             for {MOST_A_DAY} or fewer, lower `rate` or raise `cards`"
        );
        warn(observers, ProducerWarningKind::CardsOverused, text);
    }
}

/// The error of a broker that did not answer.
fn no_answer(config: &ProducerConfig, producer: &BaseProducer<Deliveries>, source: KafkaError) -> Error {
    // librdkafka reports the cause only to a client that polls.
    producer.poll(TICK);
    unreachable(&config.kafka.bootstrap_servers, &producer.context().log, source)
}

/// Sends ready-made messages, and waits for their delivery.
///
/// Returns the places of the messages that the broker has, and why another was not delivered, if any was not.
/// Errors: an unreachable broker, a topic that does not exist.
pub(crate) fn resend(config: &ProducerConfig, messages: &[Record]) -> Result<(Vec<usize>, Option<String>)> {
    let producer = connect(config, true)?;
    match find_topic(producer.client(), &config.kafka.topic) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(Error::Broker(format!("topic {:?} does not exist", config.kafka.topic))),
        Err(source) => return Err(no_answer(config, &producer, source)),
    }
    let stop = CancellationToken::new();
    let mut sender = Sender::new(config, &stop, producer);
    let sent = messages.iter().try_for_each(|message| sender.send(Topic::Orders, message).map(drop));
    let summary = sender.drain();
    let failure = match sent {
        // Messages that were delivered before the error are returned: they must not be re-sent.
        Err(error) => Some(error.chain()),
        Ok(()) => (summary.failed > 0).then(|| sender.failure.clone()),
    };
    Ok((sender.take_delivered().iter().map(|delivered| delivered.number).collect(), failure))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::kafka::client::test_broker;
    use ccstream_core::settings::KafkaConfig;
    use ccstream_core::settings::kafka::Options;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    const LABELS: &str = "transaction_id,labelled_at,fraud\na,2026-01-02,1\nb,2026-01-03,0\n";

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ccstream-{}-produce-{name}.csv", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_topic_that_cannot_be_created_is_named_with_what_avoids_it() {
        // The mock cluster creates no topic when it is asked to.
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders_json", 1, 1).unwrap();
        let kafka = KafkaConfig { bootstrap_servers: cluster.bootstrap_servers().into(), ..KafkaConfig::default() };
        let refused = |config: ProducerConfig| {
            let stop = CancellationToken::new();
            let why = produce(&config, &stop, &mut Observers::default()).unwrap_err().chain();
            assert!(why.contains(" does not exist and could not be created"), "{why}");
            why
        };
        let (kafka, count) = (|| kafka.clone(), Some(5));
        let why = refused(ProducerConfig { kafka: kafka(), count, ..Default::default() });
        assert!(why.starts_with("topic \"labels_json\"") && why.ends_with("send no labels by `fraud` 0"), "{why}");
        let fraud = Some(0.0);
        let why = refused(ProducerConfig { kafka: kafka(), count, fraud, incidents: true, ..Default::default() });
        assert!(why.starts_with("topic \"truth_json\"") && why.contains("by `fraud` 0, without incidents"), "{why}");
        let of_preset = |preset: &str| {
            let (preset, start_time) = (Some(preset.parse().unwrap()), Some(Micros(0)));
            refused(ProducerConfig { kafka: kafka(), count, preset, start_time, ..Default::default() })
        };
        let why = of_preset("handbook");
        assert!(why.starts_with("topic \"labels_json\"") && why.ends_with("constant labelled=0"), "{why}");
        let why = of_preset("handbook,labelled=0");
        assert!(why.starts_with("topic \"truth_json\"") && why.ends_with("in `truth_topic`"), "{why}");
        let (replay, labels) = (file("replay", "timestamp,amount\n2026-01-02,1\n"), file("labels", LABELS));
        let files = (Some(replay.clone()), Some(labels.clone()));
        let why = refused(ProducerConfig { kafka: kafka(), replay: files.0, labels: files.1, ..Default::default() });
        assert!(why.starts_with("topic \"labels_json\"") && why.ends_with("or leave out `labels`"), "{why}");
        for path in [replay, labels] {
            std::fs::remove_file(path).unwrap();
        }
        let config =
            ProducerConfig { kafka: kafka(), count, fraud, rate: Pace::PerSecond(1_000.0), ..Default::default() };
        let sent = produce(&config, &CancellationToken::new(), &mut Observers::default()).unwrap();
        assert_eq!((sent.acknowledged, sent.labels, sent.truths), (5, 0, 0));
    }

    #[test]
    fn without_its_labels_no_transaction_is_sent() {
        let cluster = MockCluster::new(1).unwrap();
        for topic in ["orders_json", "labels_json"] {
            cluster.create_topic(topic, 1, 1).unwrap();
        }
        let (replay, labels) = (file("events", "timestamp,amount\n2026-01-02,1\n"), file("known", LABELS));
        let config = ProducerConfig {
            kafka: KafkaConfig {
                bootstrap_servers: cluster.bootstrap_servers().into(),
                // Both labels are in one batch, even if this thread is suspended between them.
                librdkafka_options: Options(vec![("linger.ms".into(), "200".into())]),
                ..KafkaConfig::default()
            },
            rate: Pace::Max,
            replay: Some(replay.clone()),
            labels: Some(labels.clone()),
            ..Default::default()
        };
        let run = || {
            let (mut last, mut warned) = (ProduceSummary::default(), Vec::new());
            let mut observers = Observers::default().with(|event| match event {
                ProduceEvent::Progress(summary) => last = *summary,
                ProduceEvent::Warning(warning) => warned.push(warning.kind),
                _ => {}
            });
            let result = produce(&config, &CancellationToken::new(), &mut observers).map_err(|error| error.chain());
            drop(observers);
            (result, last, warned)
        };
        // The broker refuses the one batch of labels.
        cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
        let (result, last, _) = run();
        let why = result.unwrap_err();
        assert!(why.starts_with("2 labels were not delivered, so no transaction was sent: "), "{why}");
        assert_eq!((last.sent, last.labels, last.lost), (0, 0, 2));
        let (result, last, warned) = run();
        assert_eq!(result, Ok(last));
        assert_eq!((last.acknowledged, last.labels, last.lost, warned), (1, 2, 0, Vec::new()));
        for path in [replay, labels] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_message_larger_than_the_queue_fails_and_the_others_are_sent() {
        let Some(servers) = test_broker() else { return };
        let kafka = KafkaConfig {
            bootstrap_servers: servers.into(),
            topic: format!("large-{}", std::process::id()),
            librdkafka_options: Options(vec![("message.max.bytes".into(), "100000000".into())]),
            ..KafkaConfig::default()
        };
        let config = ProducerConfig { kafka, ..ProducerConfig::default() };
        let producer = connect(&config, true).unwrap();
        assert!(ensure_topic(&config.kafka, &config.kafka.topic, producer.client(), 1).unwrap());
        let of_size = |size| Record { payload: vec![b'x'; size], ..Record::default() };
        let (delivered, failure) = resend(&config, &[of_size(1), of_size(33 << 20), of_size(2)]).unwrap();
        assert_eq!(delivered, [0, 2]);
        let failure = failure.unwrap();
        assert!(failure.contains("Queue full") && failure.contains("34603008 bytes"), "{failure}");
    }
}
