//! This module asks the broker where a topic's partitions end. Lag is measured against these offsets.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::options::options;
use crate::error::{Error, Result};
use crate::kafka::client::{ASK_LIMIT, ClientLog, find_topic, refused, unreachable};
use ccstream_core::settings::KafkaConfig;

/// Returns, by partition, the offset that its next message gets. The map is empty if the topic does not exist.
///
/// The offsets are meant for display only: if the last batch has several messages, the embedded broker returns an end
/// that is too low by up to its length.
///
/// Errors: [`Error::Core`] for a setting that is not usable, [`Error::Kafka`] if the broker does not answer.
pub fn topic_ends(config: &KafkaConfig) -> Result<BTreeMap<i32, i64>> {
    config.validate()?;
    let client =
        BaseConsumer::from_config_and_context(&options(config, &[])?, ClientLog::default()).map_err(refused)?;
    let topic = &config.topic;
    let found = find_topic(client.client(), topic);
    // librdkafka passes on the reason for a missing answer only when the client polls.
    let _ = client.poll(Duration::ZERO);
    let found = found.map_err(|error| unreachable(&config.bootstrap_servers, client.context(), error))?;
    let partitions = found.map_or(0, |found| found.partitions as i32);
    let ask = |partition| {
        let (_, end) = client
            .fetch_watermarks(topic, partition, ASK_LIMIT)
            .map_err(Error::kafka(format!("querying the end of partition {partition} of topic {topic}")))?;
        Ok((partition, end))
    };
    (0..partitions).map(ask).collect()
}
