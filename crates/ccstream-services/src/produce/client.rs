//! The idempotent Kafka client of a producer.

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::producer::BaseProducer;

use super::deliveries::Deliveries;
use crate::error::Result;
use crate::kafka::client::refused;
use crate::kafka::options::options;
use ccstream_core::settings::ProducerConfig;

/// The settings of an idempotent client.
pub(super) fn client(config: &ProducerConfig) -> ccstream_core::Result<ClientConfig> {
    options(
        &config.kafka,
        &[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // Unsent messages take at most 32 MiB: a full queue slows the source.
            ("queue.buffering.max.kbytes", "32768"),
            // A running broker knows a producer's last five batches. After a kill it starts from a snapshot that has
            // only the last one (its `ProducerStateManager`), so the first of several batches in flight would be out
            // of sequence.
            ("max.in.flight", "1"),
            ("statistics.interval.ms", "0"),
        ],
    )
}

/// Makes an idempotent client. With `each`, it keeps which messages are acknowledged.
pub(super) fn connect(config: &ProducerConfig, each: bool) -> Result<BaseProducer<Deliveries>> {
    BaseProducer::from_config_and_context(&client(config)?, Deliveries::new(each)).map_err(refused)
}
