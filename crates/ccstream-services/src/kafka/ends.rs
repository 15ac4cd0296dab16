//! Where a topic's partitions end, by the broker's word: what lag is measured against.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::options::options;
use crate::error::{Error, Result};
use crate::kafka::client::{ASK_LIMIT, ClientLog, find_topic, refused, unreachable};
use ccstream_core::settings::KafkaConfig;

/// The offset that the next message of each partition gets; empty where there is no such topic. For watching only: the
/// embedded broker answers a little too low while its last batch is of several messages. Errors: no broker.
pub fn topic_ends(config: &KafkaConfig) -> Result<BTreeMap<i32, i64>> {
    config.validate()?;
    let client =
        BaseConsumer::from_config_and_context(&options(config, &[])?, ClientLog::default()).map_err(refused)?;
    let topic = &config.topic;
    let found = find_topic(client.client(), topic);
    // librdkafka tells why there is no answer only to a client that polls.
    let _ = client.poll(Duration::ZERO);
    let found = found.map_err(|error| unreachable(&config.bootstrap_servers, client.context(), error))?;
    let partitions = found.map_or(0, |found| found.partitions as i32);
    let ask = |partition| {
        let (_, end) = client
            .fetch_watermarks(topic, partition, ASK_LIMIT)
            .map_err(Error::kafka(format!("asking where partition {partition} of {topic} ends")))?;
        Ok((partition, end))
    };
    (0..partitions).map(ask).collect()
}
