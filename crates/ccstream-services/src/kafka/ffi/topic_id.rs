//! A topic's id, which tells a topic made anew from the one before: librdkafka's `DescribeTopics`,
//! which `rdkafka` does not wrap. The question is asked and the answer fetched without waiting.
//!
//! Why the `unsafe` is sound:
//! - `native_ptr` is a live `rd_kafka_t` for as long as the consumer lives, and `TopicIds` keeps the
//!   consumer alive by its `Arc`; librdkafka's handles may be used from any thread.
//! - `queue` comes from `rd_kafka_queue_new`, is owned here alone, and is destroyed once, in `drop`,
//!   before the `Arc` is given back. An answer that comes later finds the queue disabled, and
//!   librdkafka itself frees it.
//! - What `rd_kafka_event_DescribeTopics_result` and all below it return points into the event, which
//!   lives until `rd_kafka_event_destroy`; it is read and copied before that, and null is looked for.
//! - The topic's name, the collection and the options are only read during the call, which copies them.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings as raw;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;

/// How long one question may be under way.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// What the broker says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicState {
    /// It is there; without an id where the broker knows none (Kafka before 2.8).
    There(Option<String>),
    /// It is not.
    Missing,
    /// No answer, or one that says nothing about the topic.
    Unknown(String),
}

/// Asks for one topic's id, one question at a time.
pub(crate) struct TopicIds<C: ConsumerContext + 'static> {
    consumer: Arc<BaseConsumer<C>>,
    queue: NonNull<raw::rd_kafka_queue_t>,
    topic: CString,
    /// When the question under way was asked.
    asked: Option<Instant>,
}

impl<C: ConsumerContext> std::fmt::Debug for TopicIds<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicIds").field("topic", &self.topic).field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl<C: ConsumerContext> TopicIds<C> {
    /// For a topic whose name is valid, and so has no NUL.
    pub(crate) fn new(consumer: &Arc<BaseConsumer<C>>, topic: &str) -> Self {
        let topic = CString::new(topic).expect("a valid topic's name has no NUL");
        // SAFETY: a live client; see the file's head.
        let queue = unsafe { raw::rd_kafka_queue_new(consumer.client().native_ptr()) };
        let queue = NonNull::new(queue).expect("librdkafka returns a queue or aborts");
        Self { consumer: Arc::clone(consumer), queue, topic, asked: None }
    }

    /// Whether a question is under way.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Asks, unless a question is under way.
    pub(crate) fn ask(&mut self) {
        if self.asked.is_some() {
            return;
        }
        let client = self.consumer.client().native_ptr();
        let mut names = [self.topic.as_ptr()];
        // SAFETY: live client and queue, a NUL-terminated name; librdkafka copies collection and options.
        unsafe {
            let topics = raw::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            let options =
                raw::rd_kafka_AdminOptions_new(client, raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
            let mut reason = [0; 128];
            // Refuses only a limit out of range, and then its default of a minute is used.
            raw::rd_kafka_AdminOptions_set_request_timeout(
                options,
                ASK_LIMIT.as_millis() as i32,
                reason.as_mut_ptr(),
                reason.len(),
            );
            raw::rd_kafka_DescribeTopics(client, topics, options, self.queue.as_ptr());
            raw::rd_kafka_AdminOptions_destroy(options);
            raw::rd_kafka_TopicCollection_destroy(topics);
        }
        self.asked = Some(Instant::now());
    }

    /// The answer, with when it was asked for; None while there is none. Never waits.
    pub(crate) fn answer(&mut self) -> Option<(TopicState, Instant)> {
        let asked = self.asked?;
        // SAFETY: a live queue; the event is destroyed once, after what it holds was copied.
        let state = unsafe {
            let event = NonNull::new(raw::rd_kafka_queue_poll(self.queue.as_ptr(), 0))?;
            let state = read(event);
            raw::rd_kafka_event_destroy(event.as_ptr());
            state
        };
        self.asked = None;
        Some((state, asked))
    }
}

impl<C: ConsumerContext> Drop for TopicIds<C> {
    fn drop(&mut self) {
        // SAFETY: owned here, destroyed once, while the client lives.
        unsafe { raw::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Copies the answer out of an event.
///
/// # Safety
/// `event` must be live.
unsafe fn read(event: NonNull<raw::rd_kafka_event_t>) -> TopicState {
    let text = |pointer: *const std::ffi::c_char| {
        // SAFETY: null or a NUL-terminated text that lives as long as the event.
        (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
    };
    // SAFETY: the event is live; every pointer got from it is looked at before it is used.
    unsafe {
        let failed = raw::rd_kafka_event_error(event.as_ptr());
        if failed != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            let why = text(raw::rd_kafka_event_error_string(event.as_ptr()));
            return TopicState::Unknown(why.unwrap_or_else(|| format!("{failed:?}")));
        }
        let result = raw::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return TopicState::Unknown("librdkafka answered another question".into());
        }
        let mut count = 0;
        let topics = raw::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count == 0 || (*topics).is_null() {
            return TopicState::Unknown("the broker described no topic".into());
        }
        let topic = *topics;
        let error = raw::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            match raw::rd_kafka_error_code(error) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => return TopicState::Missing,
                code => {
                    let why = text(raw::rd_kafka_error_string(error));
                    return TopicState::Unknown(why.unwrap_or_else(|| format!("{code:?}")));
                }
            }
        }
        let id = raw::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return TopicState::There(None);
        }
        let (most, least) =
            (raw::rd_kafka_Uuid_most_significant_bits(id), raw::rd_kafka_Uuid_least_significant_bits(id));
        // All zero is no id; zero and one is kept for the metadata that the cluster has of itself.
        if most == 0 && (0..=1).contains(&least) {
            return TopicState::There(None);
        }
        TopicState::There(text(raw::rd_kafka_Uuid_base64str(id)))
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::DefaultConsumerContext;

    use super::*;
    use crate::kafka::client::{ensure_topic, test_broker};
    use ccstream_core::settings::KafkaConfig;

    fn wait(ids: &mut TopicIds<DefaultConsumerContext>) -> TopicState {
        ids.ask();
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some((state, asked)) = ids.answer() {
                assert!(asked < until && !ids.is_asking());
                return state;
            }
            assert!(Instant::now() < until, "no answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn consumer(servers: &str) -> Arc<BaseConsumer> {
        Arc::new(ClientConfig::new().set("bootstrap.servers", servers).set("group.id", "g").create().unwrap())
    }

    #[test]
    fn a_topic_has_one_id_and_another_topic_another() {
        let Some(servers) = test_broker() else { return };
        let consumer = consumer(&servers);
        let names = ["one", "two", "none"].map(|name| format!("{name}-{}", std::process::id()));
        let [mut one, mut two, mut none] = names.each_ref().map(|name| TopicIds::new(&consumer, name));
        for topic in &names[..2] {
            let config =
                KafkaConfig { bootstrap_servers: servers.as_str().into(), topic: topic.clone(), ..Default::default() };
            assert!(ensure_topic(&config, consumer.client(), 1).unwrap());
        }
        let TopicState::There(Some(id)) = wait(&mut one) else { panic!("no id") };
        assert_eq!(wait(&mut one), TopicState::There(Some(id.clone())));
        let TopicState::There(Some(other)) = wait(&mut two) else { panic!("no id") };
        assert_ne!(id, other);
        assert_eq!(wait(&mut none), TopicState::Missing);
        // Asking does not make it.
        assert_eq!(wait(&mut none), TopicState::Missing);
    }

    #[test]
    fn a_broker_that_is_away_is_told_and_a_question_may_be_left_open() {
        let consumer = consumer("127.0.0.1:1");
        let mut ids = TopicIds::new(&consumer, "t");
        assert!(matches!(wait(&mut ids), TopicState::Unknown(_)));
        ids.ask();
        ids.ask();
        assert!(ids.answer().is_none());
        drop(ids);
        drop(consumer);
    }
}
