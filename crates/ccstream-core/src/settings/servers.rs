//! Holds and checks the addresses of the bootstrap servers.

use std::fmt;
use std::ops::Deref;

use super::value::unwrapped;
use super::{Kind, SettingType, Value};
use crate::error::{Error, Result};

/// Holds addresses of brokers as `host:port`, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers(String);

impl<T: Into<String>> From<T> for Servers {
    /// Reads addresses, and removes white space and quotes around the list and around each address. Secrets and files
    /// may contain these.
    fn from(text: T) -> Self {
        let text = text.into();
        let servers: Vec<&str> =
            unwrapped(&text).split(',').map(unwrapped).filter(|server| !server.is_empty()).collect();
        Self(servers.join(","))
    }
}

impl Deref for Servers {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl SettingType for Servers {
    const KIND: Kind = Kind::Text;
    fn from_value(name: &'static str, value: Value) -> Result<Self> {
        String::from_value(name, value).map(Self::from)
    }
    fn to_value(&self) -> Option<Value> {
        Some(Value::Text(self.0.clone()))
    }
}

impl Servers {
    /// Fails with [`Error::Config`] if an address is invalid. The error names the first one.
    pub fn validate(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::config("bootstrap_servers", why));
        if self.is_empty() {
            return refuse("is empty; give host:port, such as localhost:9094".into());
        }
        for server in self.split(',') {
            // librdkafka allows the protocol of the listener before the address.
            let address = server.split_once("://").map_or(server, |(_, address)| address);
            let (host, port) = match address.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
                _ => (address, None),
            };
            let is_name = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            if inner
                .map_or_else(|| host.is_empty() || !is_name(host), |inner| inner.parse::<std::net::Ipv6Addr>().is_err())
            {
                return refuse(format!("{server:?} is not host:port; separate several addresses by commas"));
            }
            match port.map(str::parse::<u16>) {
                Some(Ok(1..)) => {}
                Some(_) => return refuse(format!("{server:?} has no port from 1 to 65535 after the colon")),
                None => return refuse(format!("{server:?} has no port; give it as {host}:9094")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_quotes_are_removed() {
        for (text, servers) in [
            ("\"localhost:9094\"", "localhost:9094"),
            (" 'a:1' , \"b:2\"\r\n", "a:1,b:2"),
            ("'a:1,b:2,'", "a:1,b:2"),
            ("[::1]:9094", "[::1]:9094"),
            ("SASL_SSL://kafka-1.example:9093", "SASL_SSL://kafka-1.example:9093"),
        ] {
            let read = Servers::from(text);
            assert_eq!(&*read, servers, "{text:?}");
            read.validate().unwrap();
        }
    }

    #[test]
    fn errors_name_the_invalid_address() {
        for (text, part) in [
            ("", "is empty"),
            (" , ", "is empty"),
            ("localhost", "has no port; give it as localhost:9094"),
            ("::1", "is not host:port"),
            ("localhost:9094;localhost:9095", "commas"),
            ("localhost:9094 localhost:9095", "commas"),
            ("local host:9094", "is not host:port"),
            ("localhost:kafka", "has no port from 1 to 65535"),
            ("localhost:0", "has no port from 1 to 65535"),
            ("localhost:99999", "has no port from 1 to 65535"),
            (":9094", "is not host:port"),
            ("localhost:9094/", "has no port from 1"),
        ] {
            let error = Servers::from(text).validate().unwrap_err().to_string();
            assert!(error.starts_with("bootstrap_servers: ") && error.contains(part), "{text:?}: {error}");
        }
    }
}
