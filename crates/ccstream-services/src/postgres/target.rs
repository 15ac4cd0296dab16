//! Reads connection strings as libpq reads them.

use std::path::PathBuf;
use std::time::Duration;

use postgres_openssl::MakeTlsConnector;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
#[cfg(test)]
use tokio_postgres::config::SslMode;

use super::password;
use super::tls::{Parameters, Tls};
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// The time after which a silent peer is probed. It is considered dead after the same time again.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A parsed connection string.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) config: Config,
    tls: Tls,
}

/// Holds the parameters that tokio-postgres does not know or does not implement.
#[derive(Debug, Default)]
struct More {
    tls: Parameters,
    password_file: Option<PathBuf>,
    fallback_name: Option<String>,
}

impl More {
    /// Takes a parameter. Returns false if the driver has to handle it.
    ///
    /// Errors, in words that follow the URL: libpq has the parameter but ccstream does not, or ccstream does not
    /// support the value.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "passfile" => self.password_file = Some(PathBuf::from(value)),
            "fallback_application_name" => self.fallback_name = Some(value.to_owned()),
            "client_encoding" => match value.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
                // The driver always uses UTF-8, whatever the locale, so `auto` is UTF-8 too.
                "utf8" | "auto" | "unicode" => {}
                _ => return Err(format!("has client_encoding={value}, but ccstream supports only UTF8; remove it")),
            },
            "gssencmode" => match value {
                "disable" | "prefer" => {}
                _ => {
                    return Err(format!("has gssencmode={value}, but ccstream does not support GSSAPI; use sslmode"));
                }
            },
            "service" | "servicefile" => {
                return Err(format!(
                    "has {name}, which ccstream does not support; put the service's settings into the URL"
                ));
            }
            "sslcrldir"
            | "sslsni"
            | "sslcompression"
            | "sslcertmode"
            | "sslkeylogfile"
            | "requirepeer"
            | "require_auth"
            | "krbsrvname"
            | "gsslib"
            | "gssdelegation"
            | "scram_client_key"
            | "scram_server_key"
            | "min_protocol_version"
            | "max_protocol_version"
            | "oauth_issuer"
            | "oauth_client_id"
            | "replication" => {
                return Err(format!("has {name}, which ccstream does not support; remove it"));
            }
            _ => return Ok(self.tls.take(name, value)),
        }
        Ok(true)
    }
}

/// Reads a URL (`postgresql://`, `postgres://`, SQLAlchemy's `postgresql+driver://`) or a string of `key=value` pairs.
///
/// Errors: an error of the setting `database_url`, which never contains the password.
pub(super) fn read(url: &DatabaseUrl) -> Result<Target> {
    let refuse = |why: String| Error::config("database_url", format!("{url} {why}"));
    let mut more = More::default();
    let driver_part = driver_part(&url.0, &mut more).map_err(refuse)?;
    let mut config: Config = driver_part.parse().map_err(|error: tokio_postgres::Error| {
        // The driver's text never contains the password. `refuse` shows the URL without it.
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        refuse(format!("is not a connection string: {cause}"))
    })?;
    for host in config.get_hosts() {
        if let Host::Tcp(name) = host
            && !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte))
        {
            return Err(refuse(format!("has the host name {name:?}, which contains an invalid character")));
        }
    }
    password::add(&mut config, more.password_file).map_err(refuse)?;
    // A Unix socket has no TLS, whatever the sslmode. An address (hostaddr) overrides a host.
    let is_socket = |host: &Host| !matches!(host, Host::Tcp(_));
    let hosts = config.get_hosts();
    let is_local = !hosts.is_empty() && hosts.iter().all(is_socket) && config.get_hostaddrs().is_empty();
    let tls = more.tls.resolve(is_local).map_err(refuse)?;
    config.ssl_mode(tls.ssl_mode());
    if config.get_application_name().is_none() {
        config.application_name(more.fallback_name.as_deref().unwrap_or("ccstream"));
    }
    config
        .keepalives(true)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE / 5)
        .keepalives_retries(5)
        .tcp_user_timeout(KEEPALIVE * 2);
    Ok(Target { config, tls })
}

/// Returns the connection string without the parameters that the driver does not know, which `more` takes.
///
/// Errors, in words that follow the URL: the string cannot be read.
fn driver_part(url: &str, more: &mut More) -> Result<String, String> {
    let Some((scheme, rest)) = url.split_once("://") else { return driver_pairs(url, more) };
    let plain = scheme.split('+').next().unwrap_or(scheme);
    if plain != "postgresql" && plain != "postgres" {
        return Err("does not begin with postgresql://".into());
    }
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut kept = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if !more.take(&key, &value)? {
            kept.append_pair(&key, &value);
        }
    }
    let kept = kept.finish().replace('+', "%20");
    Ok(if kept.is_empty() { format!("{plain}://{base}") } else { format!("{plain}://{base}?{kept}") })
}

/// Does the same as [`driver_part`] for a string of `key=value` pairs. A value with spaces is in single quotes, and a
/// backslash escapes the next character.
fn driver_pairs(text: &str, more: &mut More) -> Result<String, String> {
    let mut kept = String::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        if letters.peek().is_none() {
            return Ok(kept);
        }
        let mut key = String::new();
        while let Some(letter) = letters.next_if(|letter| *letter != '=') {
            key.push(letter);
        }
        let key = key.trim();
        if letters.next().is_none() {
            return Err(format!("is not a connection string: {key:?} is not followed by ="));
        }
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        let is_quoted = letters.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        let mut is_ended = !is_quoted;
        while let Some(letter) = letters.next_if(|letter| is_quoted || !letter.is_whitespace()) {
            match letter {
                '\\' => value.extend(letters.next()),
                '\'' if is_quoted => {
                    is_ended = true;
                    break;
                }
                letter => value.push(letter),
            }
        }
        if !is_ended {
            return Err(format!("is not a connection string: the closing quote of {key} is missing"));
        }
        if !more.take(key, &value)? {
            kept.extend([key, "='", &value.replace('\\', "\\\\").replace('\'', "\\'"), "' "]);
        }
    }
}

/// Returns the connector that sets up TLS as the URL demands.
pub(super) fn connector(url: &DatabaseUrl, target: &Target) -> Result<MakeTlsConnector> {
    target.tls.connector().map_err(|why| Error::config("database_url", format!("{url} {why}")))
}

/// Checks that a URL can be used, without connecting.
pub(crate) fn check_url(url: &DatabaseUrl) -> Result<()> {
    connector(url, &read(url)?).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        read(&DatabaseUrl(url.into())).unwrap()
    }

    #[test]
    fn modes_of_tls() {
        for (mode, expected) in
            [("disable", SslMode::Disable), ("allow", SslMode::Prefer), ("require", SslMode::Require)]
        {
            assert_eq!(target(&format!("postgresql://u:p@h/d?sslmode={mode}")).config.get_ssl_mode(), expected);
            assert_eq!(target(&format!("host=h user=u sslmode='{mode}'")).config.get_ssl_mode(), expected);
            let local = target(&format!("postgresql://u:p@%2Ftmp/d?sslmode={mode}"));
            assert_eq!(local.config.get_ssl_mode(), SslMode::Disable);
        }
        let elsewhere = target("host=/tmp hostaddr=10.0.0.5 user=u sslmode=require");
        assert_eq!(elsewhere.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(target("postgresql://u:p@h/d").config.get_ssl_mode(), SslMode::Prefer);
    }

    #[test]
    fn what_the_driver_does_not_know_is_taken_out() {
        let url =
            "postgresql+psycopg://u:p%40w@h:5/d?gssencmode=disable&application_name=my%20app&client_encoding=UTF-8";
        let read = target(url);
        assert_eq!(read.config.get_password(), Some(b"p@w".as_slice()));
        assert_eq!(read.config.get_application_name(), Some("my app"));
        let read = target("postgresql://u:p@h/d?fallback_application_name=theirs");
        assert_eq!(read.config.get_application_name(), Some("theirs"));
    }

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        let read = target(r"host = h  user=u password='it\'s  a \\ secret' sslmode=require dbname=a\ b");
        assert_eq!(read.config.get_password(), Some(br"it's  a \ secret".as_slice()));
        assert_eq!((read.config.get_dbname(), read.config.get_ssl_mode()), (Some("a b"), SslMode::Require));
        for broken in ["host", "host=h password='secret"] {
            assert_eq!(super::read(&DatabaseUrl(broken.into())).unwrap_err().exit_code(), 2, "{broken}");
        }
    }

    #[test]
    fn bad_urls_say_so_without_the_password() {
        for (url, part) in [
            ("mysql://u:secret@h/d", "postgresql://"),
            ("postgresql://u:secret@h/d?sslmode=x", "sslmode"),
            ("postgresql://u:secret@h:port/d", "port"),
            ("postgresql://u:secret@h/d?service=x", "service"),
            ("postgresql://u:secret@h/d?gssencmode=require", "gssencmode"),
            ("postgresql://u:secret@h/d?client_encoding=latin1", "client_encoding"),
            ("postgresql://u:secret@h/d?sslcrldir=x", "sslcrldir"),
            ("postgresql://u:secret@h/d?colour=x", "colour"),
            ("postgresql://u:secret@local%20host/d", "\"local host\""),
            ("postgresql://u:secret@h;i/d", "\"h;i\""),
        ] {
            let error = read(&DatabaseUrl(url.into())).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.chain().contains(part) && !error.chain().contains("secret"), "{error}");
        }
    }
}
