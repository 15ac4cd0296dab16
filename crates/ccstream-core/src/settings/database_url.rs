//! Holds the URL of a database without ever displaying its password.

use std::fmt;

/// Holds a connection URL. `Debug` and `Display` never show its password.
///
/// ```
/// use ccstream_core::settings::DatabaseUrl;
/// let url = DatabaseUrl("postgresql://me:secret@db:5432/x?sslmode=require".into());
/// assert_eq!(url.to_string(), "postgresql://me:***@db:5432/x");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub String);

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self("postgresql://kafka_user:kafka_password@localhost:5434/kafka_db".into())
    }
}

impl DatabaseUrl {
    /// Returns the URL without its password and parameters; None if it is unclear which part is the password.
    fn harmless(&self) -> Option<String> {
        let (scheme, rest) = self.0.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        // A password that is not percent-encoded may contain a character that ends the authority early.
        if rest.contains('@') || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        if !port.bytes().all(|byte| byte.is_ascii_digit() || byte == b']') && !host.ends_with(']') {
            return None;
        }
        let user = user.map_or_else(String::new, |user| match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@"),
            None => format!("{user}@"),
        });
        Some(format!("{scheme}://{user}{host}{path}"))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.harmless().unwrap_or_else(|| "(a connection string)".into()))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        for (url, shown) in [
            ("postgresql://me:secret@db:5432/x?password=secret", "postgresql://me:***@db:5432/x"),
            ("postgres://me@db/x", "postgres://me@db/x"),
            ("postgresql://db", "postgresql://db"),
            ("postgresql://me:se:cret@[::1]:5432/x", "postgresql://me:***@[::1]:5432/x"),
            ("postgresql://me:sec@ret@db:1/x", "postgresql://me:***@db:1/x"),
            ("postgresql://me:sec/ret@db/x", "(a connection string)"),
            ("postgresql://me:sec?ret@db/x", "(a connection string)"),
            ("postgresql://me:sec#ret@db/x", "(a connection string)"),
            ("postgresql://me:secret", "(a connection string)"),
            ("host=db password=secret", "(a connection string)"),
            ("host=db password=://secret", "(a connection string)"),
            ("", "(a connection string)"),
        ] {
            assert_eq!(DatabaseUrl(url.into()).to_string(), shown);
            assert_eq!(format!("{:?}", DatabaseUrl(url.into())), shown);
        }
    }
}
