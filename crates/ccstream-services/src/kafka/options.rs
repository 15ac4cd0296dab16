//! This module combines ccstream's settings for librdkafka with the user's.

use rdkafka::ClientConfig;

use ccstream_core::settings::{Assignment, KafkaConfig};
use ccstream_core::{Error, Result};

/// librdkafka's aliases of settings that ccstream sets itself, each with the setting's usual name.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("request.required.acks", "acks"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
];

/// Returns the settings of one client. `ours` are the settings that ccstream sets itself for this kind of client.
///
/// Errors: the user sets one that ccstream sets itself, or the file with the user's settings is not usable.
pub(crate) fn options(kafka: &KafkaConfig, ours: &[(&str, &str)]) -> Result<ClientConfig> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &*kafka.bootstrap_servers)
        .set("client.id", "ccstream")
        // A statically linked OpenSSL does not know where the system keeps its certificates. `probe` searches for them.
        .set("ssl.ca.location", "probe")
        // A broker that is down is tried again after 250 ms, then at growing intervals of up to 2 s.
        .set("reconnect.backoff.ms", "250")
        .set("reconnect.backoff.max.ms", "2000")
        .set("topic.metadata.refresh.interval.ms", "10000");
    for (key, value) in ours {
        client.set(*key, *value);
    }
    for (key, value) in &kafka.all_options()? {
        let name = OTHER_NAMES.iter().find(|(other, _)| *other == key).map_or(key.as_str(), |(_, name)| name);
        if name == "bootstrap.servers" || ours.iter().any(|(owned, _)| *owned == name) {
            let reason = format!("{key} is set by ccstream itself and cannot be changed; remove it");
            return Err(Error::config("librdkafka_options", reason));
        }
        client.set(key, value);
    }
    Ok(client)
}

/// Returns librdkafka's name of a group's assignment strategy.
pub(crate) fn strategy(assignment: Assignment) -> &'static str {
    match assignment {
        Assignment::Eager => "range",
        Assignment::Cooperative => "cooperative-sticky",
    }
}

#[cfg(test)]
mod tests {
    use ccstream_core::settings::kafka::Options;

    use super::*;

    #[test]
    fn a_setting_that_ccstream_sets_itself_is_refused() {
        let with = |key: &str| {
            let librdkafka_options = Options(vec![(key.into(), "x".into())]);
            KafkaConfig { librdkafka_options, ..KafkaConfig::default() }
        };
        let refused = options(&with("enable.idempotence"), &[("enable.idempotence", "true")]).unwrap_err();
        assert!(matches!(refused, Error::Config { field: "librdkafka_options", .. }), "{refused}");
        let client = options(&with("ssl.ca.location"), &[]).unwrap();
        assert_eq!(client.get("ssl.ca.location"), Some("x"));
    }
}
