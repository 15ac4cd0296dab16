//! This module queries a topic's id, which distinguishes a recreated topic from the previous one of the same name. It
//! uses librdkafka's `DescribeTopics`, which the crate `rdkafka` does not wrap. Neither sending the query nor receiving
//! its answer blocks.
//!
//! The `unsafe` code is sound for these reasons:
//! - `native_ptr` is a live `rd_kafka_t` as long as the consumer lives, and `TopicIds` keeps the consumer alive by its
//!   `Arc`. librdkafka's handles may be used from any thread.
//! - `queue` comes from `rd_kafka_queue_new` and has no other owner. It is destroyed once, in `drop`, before the `Arc`
//!   is dropped. An answer that comes later finds the queue disabled, and librdkafka frees the answer.
//! - Every pointer that `rd_kafka_event_DescribeTopics_result` and the functions on its result return points into the
//!   event, which lives until `rd_kafka_event_destroy`. It is compared with null, and its data is copied, before that.
//! - The topic's name, the collection and the options are only read during the call, which copies them.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings as raw;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;

/// Longest wait for the answer to one query.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// Tells what the broker answered about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicState {
    /// The topic exists and has this id. None means that the broker has no topic ids (Kafka before 2.8).
    There(Option<String>),
    /// The topic does not exist.
    Missing,
    /// The broker did not answer, or its answer does not describe the topic, for this reason.
    Unknown(String),
}

/// Queries the id of one topic. Only one query is under way at a time.
pub(crate) struct TopicIds<C: ConsumerContext + 'static> {
    consumer: Arc<BaseConsumer<C>>,
    queue: NonNull<raw::rd_kafka_queue_t>,
    topic: CString,
    /// When the query that is under way was sent.
    asked: Option<Instant>,
}

impl<C: ConsumerContext> std::fmt::Debug for TopicIds<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicIds").field("topic", &self.topic).field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl<C: ConsumerContext> TopicIds<C> {
    /// Creates this for a topic whose name was validated, and so has no NUL.
    pub(crate) fn new(consumer: &Arc<BaseConsumer<C>>, topic: &str) -> Self {
        let topic = CString::new(topic).expect("a valid topic's name has no NUL");
        // SAFETY: the client is live, as the module's documentation explains.
        let queue = unsafe { raw::rd_kafka_queue_new(consumer.client().native_ptr()) };
        let queue = NonNull::new(queue).expect("librdkafka returns a queue or aborts");
        Self { consumer: Arc::clone(consumer), queue, topic, asked: None }
    }

    /// Returns whether a query is under way.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Sends a query, unless one is under way.
    pub(crate) fn ask(&mut self) {
        if self.asked.is_some() {
            return;
        }
        let client = self.consumer.client().native_ptr();
        let mut names = [self.topic.as_ptr()];
        // SAFETY: client and queue are live, the name is NUL-terminated, and librdkafka copies collection and options.
        unsafe {
            let topics = raw::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            let options =
                raw::rd_kafka_AdminOptions_new(client, raw::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
            let mut reason = [0; 128];
            // The call fails only for a limit that is out of range, and then the default of 60 s applies.
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

    /// Returns the answer and when its query was sent; None while there is no answer. Never waits.
    pub(crate) fn answer(&mut self) -> Option<(TopicState, Instant)> {
        let asked = self.asked?;
        // SAFETY: the queue is live, and the event is destroyed once, after its data was copied.
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
        // SAFETY: the queue has no other owner, and is destroyed once, while the client is live.
        unsafe { raw::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Copies the answer out of an event.
///
/// # Safety
/// `event` must be live.
unsafe fn read(event: NonNull<raw::rd_kafka_event_t>) -> TopicState {
    let text = |pointer: *const std::ffi::c_char| {
        // SAFETY: the pointer is null, or points to a NUL-terminated string that lives as long as the event.
        (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
    };
    // SAFETY: the event is live, and every pointer from it is compared with null before it is used.
    unsafe {
        let failed = raw::rd_kafka_event_error(event.as_ptr());
        if failed != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            let why = text(raw::rd_kafka_event_error_string(event.as_ptr()));
            return TopicState::Unknown(why.unwrap_or_else(|| format!("{failed:?}")));
        }
        let result = raw::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return TopicState::Unknown("librdkafka returned the result of another request".into());
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
        // Kafka reserves two ids: 0 means that there is none, and 1 is the id of the cluster's metadata log.
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
    fn each_topic_has_its_own_constant_id() {
        let Some(servers) = test_broker() else { return };
        let consumer = consumer(&servers);
        let names = ["one", "two", "none"].map(|name| format!("{name}-{}", std::process::id()));
        let [mut one, mut two, mut none] = names.each_ref().map(|name| TopicIds::new(&consumer, name));
        for topic in &names[..2] {
            let config =
                KafkaConfig { bootstrap_servers: servers.as_str().into(), topic: topic.clone(), ..Default::default() };
            assert!(ensure_topic(&config, &config.topic, consumer.client(), 1).unwrap());
        }
        let TopicState::There(Some(id)) = wait(&mut one) else { panic!("no id") };
        assert_eq!(wait(&mut one), TopicState::There(Some(id.clone())));
        let TopicState::There(Some(other)) = wait(&mut two) else { panic!("no id") };
        assert_ne!(id, other);
        assert_eq!(wait(&mut none), TopicState::Missing);
        // The query does not create the topic.
        assert_eq!(wait(&mut none), TopicState::Missing);
    }

    #[test]
    fn an_unavailable_broker_is_reported_and_a_query_may_be_dropped() {
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
