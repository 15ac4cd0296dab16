//! Declares the settings of the connection to Kafka.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::private_file;
use crate::settings;
use crate::settings::Servers;

settings! {
    /// Configures the brokers and the topic. `Debug` does not show the values of options, which may be passwords.
    pub struct KafkaConfig {
        /// The brokers as `host:port`, separated by commas.
        @variable("KAFKA_BOOTSTRAP_SERVERS") @shown("HOST:PORT")
        bootstrap_servers: Servers = "localhost:9094".into();
        /// The name of the topic. If it does not exist, the producer creates it, provided that the broker allows that,
        /// and the consumer waits for it.
        @variable("KAFKA_TOPIC") @shown("NAME")
        topic: String = "orders_json".into();
        /// Settings of librdkafka (TLS, SASL, buffers), such as `security.protocol=sasl_ssl`. Those that ccstream sets
        /// itself are refused. Set passwords by variables, such as `sasl.password` by `CCSTREAM_KAFKA_SASL_PASSWORD`,
        /// because other users can read a command line.
        @flag("--kafka-option") @variable("CCSTREAM_KAFKA_*") @shown("KEY=VALUE") @unset("none")
        librdkafka_options: Options = Options::default();
        /// A file with settings of librdkafka, one `key=value` in each line. Only its owner may be able to read it.
        /// Settings that are also given otherwise override those in the file.
        @flag("--kafka-options-file") @variable("KAFKA_OPTIONS_FILE") @shown("FILE") @unset("none")
        librdkafka_options_file: Option<PathBuf> = None;
    }
}

/// Holds names and values of librdkafka's settings. `Debug` shows only the names, because a value may be a password.
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
    /// Fails with [`Error::Config`] if a setting is invalid. The error names the first one.
    pub fn validate(&self) -> Result<()> {
        self.bootstrap_servers.validate()?;
        check_topic("topic", &self.topic)
    }

    /// Returns librdkafka's settings without duplicates: those given directly, and the others from the file. Fails if
    /// the file cannot be used.
    pub fn all_options(&self) -> Result<Vec<(String, String)>> {
        let mut all = match &self.librdkafka_options_file {
            Some(path) => read_options(path)?,
            None => Vec::new(),
        };
        all.extend(self.librdkafka_options.0.iter().cloned());
        // The last setting with a name overrides the earlier ones.
        let is_last = |place: &usize| !all[place + 1..].iter().any(|(name, _)| *name == all[*place].0);
        Ok((0..all.len()).filter(is_last).map(|place| all[place].clone()).collect())
    }
}

/// Fails with [`Error::Config`] for `setting` if Kafka allows no topic of this name.
pub(super) fn check_topic(setting: &'static str, topic: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if topic.is_empty() || topic.len() > 249 || !topic.bytes().all(legal) {
        let reason = format!("{topic:?} is not a topic name, which has 1 to 249 letters, digits, '.', '_' or '-'");
        return Err(Error::config(setting, reason));
    }
    Ok(())
}

/// Reads `key=value` lines. Empty lines and lines that begin with `#` are ignored.
fn read_options(path: &Path) -> Result<Vec<(String, String)>> {
    let refused = |why: String| Error::config("librdkafka_options_file", format!("{} {why}", path.display()));
    let bytes = private_file::read(path).map_err(refused)?;
    let text = String::from_utf8(bytes).map_err(|_| refused("is not UTF-8 text".into()))?;
    let lines = text.lines().map(str::trim).enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| match line.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            // The message does not quote the line, which may be a password.
            None => Err(refused(format!("has no key=value in line {}", number + 1))),
        })
        .collect()
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

    #[test]
    fn a_file_of_options_must_be_private_and_is_overridden() {
        let path = std::env::temp_dir().join(format!("ccstream-{}-options", std::process::id()));
        let options = |text: &[u8], mode| {
            private_file::write_for_test(&path, text, mode);
            let librdkafka_options = Options(vec![("client.id".into(), "given".into())]);
            let librdkafka_options_file = Some(path.clone());
            KafkaConfig { librdkafka_options, librdkafka_options_file, ..KafkaConfig::default() }.all_options()
        };
        let found = options(b"# TLS\n\n sasl.password = a=b \nclient.id=file\r\nsasl.password=c\n", 0o600).unwrap();
        let expected = [("sasl.password", "c"), ("client.id", "given")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (text, mode, part) in [
            (b"sasl.password=secret".as_slice(), 0o640, "chmod 600"),
            (b"a=b\nsecret\n", 0o600, "in line 2"),
            (b"a=\xff", 0o600, "UTF-8"),
        ] {
            let error = options(text, mode).unwrap_err().to_string();
            assert!(error.starts_with("librdkafka_options_file: ") && error.contains(part), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        std::fs::remove_file(path).unwrap();
    }
}
