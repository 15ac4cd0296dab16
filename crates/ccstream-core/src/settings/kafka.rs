//! Where Kafka is.

use crate::error::{Error, Result};
use crate::settings;

settings! {
    /// Where Kafka is, and the topic. Its `Debug` shows no option's value, which may be a password.
    pub struct KafkaConfig {
        /// The brokers, `host:port` joined by commas.
        @variable("KAFKA_BOOTSTRAP_SERVERS") @shown("HOST:PORT")
        bootstrap_servers: String = "localhost:9094".into();
        /// The topic. The producer creates a missing one where the broker allows it; the consumer waits for it.
        @variable("KAFKA_TOPIC") @shown("NAME")
        topic: String = "orders_json".into();
        /// Settings of librdkafka itself (TLS, SASL, buffers), as `security.protocol=sasl_ssl`; one that ccstream sets
        /// itself is refused.
        @flag("--kafka-option") @shown("KEY=VALUE") @unset("none")
        librdkafka_options: Options = Options::default();
    }
}

/// Names and values of librdkafka, applied last. `Debug` shows the names alone: a value may be a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options(pub Vec<(String, String)>);

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl settings::SettingType for Options {
    const KIND: settings::Kind = settings::Kind::Pairs;
    fn from_value(name: &'static str, value: settings::Value) -> Result<Self> {
        settings::SettingType::from_value(name, value).map(Self)
    }
    fn to_value(&self) -> Option<settings::Value> {
        None
    }
}

impl KafkaConfig {
    /// Errors: [`Error::Config`] of the first setting that is not usable.
    pub fn validate(&self) -> Result<()> {
        if self.bootstrap_servers.trim().is_empty() {
            return Err(Error::config("bootstrap_servers", "is empty; give host:port, as localhost:9094"));
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.topic.is_empty() || self.topic.len() > 249 || !self.topic.bytes().all(legal) {
            let reason = format!("{:?} is not a topic's name: 1 to 249 letters, digits, '.', '_' or '-'", self.topic);
            return Err(Error::config("topic", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        let options = Options(vec![("sasl.password".to_owned(), "secret".to_owned())]);
        let kafka = format!("{:?}", KafkaConfig { librdkafka_options: options, ..KafkaConfig::default() });
        assert!(kafka.contains("sasl.password") && !kafka.contains("secret"), "{kafka}");
    }
}
