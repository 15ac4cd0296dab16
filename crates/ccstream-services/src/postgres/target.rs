//! A connection string, read with libpq's meaning of `sslmode`.

use std::path::PathBuf;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use postgres_openssl::MakeTlsConnector;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::password;
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// A silent peer is probed after this time, and declared dead after as much again.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A URL's `sslmode`, as libpq means it: only the two `verify` modes look at the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// A connection string, read.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) config: Config,
    tls: TlsMode,
    root_certificate: Option<PathBuf>,
}

/// Reads a URL (`postgresql://`, `postgres://`, SQLAlchemy's `postgresql+driver://`) or a string of
/// `key=value`. The parameters that tokio-postgres does not know are taken out first.
pub(super) fn read(url: &DatabaseUrl) -> Result<Target> {
    let refuse = |why: String| Error::config("database_url", format!("{url} {why}"));
    let (mut tls, mut root_certificate, mut password_file) = (TlsMode::Prefer, None, None);
    let mut take = |key: &str, value: &str| -> Result<bool> {
        match key {
            "sslmode" => {
                tls = match value {
                    "disable" => TlsMode::Disable,
                    "allow" | "prefer" => TlsMode::Prefer,
                    "require" => TlsMode::Require,
                    "verify-ca" => TlsMode::VerifyCa,
                    "verify-full" => TlsMode::VerifyFull,
                    _ => return Err(refuse(format!("has an unknown sslmode {value:?}"))),
                };
            }
            "passfile" => password_file = Some(PathBuf::from(value)),
            "sslrootcert" => root_certificate = (value != "system").then(|| PathBuf::from(value)),
            _ => return Ok(false),
        }
        Ok(true)
    };
    let cleaned = if let Some((scheme, rest)) = url.0.split_once("://") {
        let plain = scheme.split('+').next().unwrap_or(scheme);
        if plain != "postgresql" && plain != "postgres" {
            return Err(refuse("does not begin with postgresql://".into()));
        }
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut kept = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !take(&key, &value)? {
                kept.append_pair(&key, &value);
            }
        }
        let kept = kept.finish().replace('+', "%20");
        if kept.is_empty() { format!("{plain}://{base}") } else { format!("{plain}://{base}?{kept}") }
    } else {
        let mut kept = Vec::new();
        for word in url.0.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            if !take(key, value.trim_matches('\''))? {
                kept.push(word);
            }
        }
        kept.join(" ")
    };
    let mut config: Config = cleaned.parse().map_err(|error: tokio_postgres::Error| {
        // The driver's own text never holds the password; the URL may.
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        refuse(format!("is not a connection string: {cause}"))
    })?;
    password::add(&mut config, password_file).map_err(refuse)?;
    config.ssl_mode(match tls {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
    });
    if config.get_application_name().is_none() {
        config.application_name("ccstream");
    }
    config
        .keepalives(true)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE / 5)
        .keepalives_retries(5)
        .tcp_user_timeout(KEEPALIVE * 2);
    Ok(Target { config, tls, root_certificate })
}

/// What makes TLS of a connection, as the URL's `sslmode` says.
pub(super) fn connector(target: &Target) -> Result<MakeTlsConnector> {
    let fail = |error: openssl::error::ErrorStack| Error::config("database_url", format!("TLS: {error}"));
    let mut builder = SslConnector::builder(SslMethod::tls()).map_err(fail)?;
    let verify = matches!(target.tls, TlsMode::VerifyCa | TlsMode::VerifyFull);
    // A static OpenSSL knows no folder of certificates: find the system's. Reading a whole bundle takes a tenth of a
    // second, so only where one is looked at.
    let authorities = target.root_certificate.clone().or_else(|| openssl_probe::probe().cert_file);
    if let (true, Some(path)) = (verify, authorities) {
        builder.set_ca_file(path).map_err(fail)?;
    }
    builder.set_verify(if verify { SslVerifyMode::PEER } else { SslVerifyMode::NONE });
    let mut connector = MakeTlsConnector::new(builder.build());
    if target.tls != TlsMode::VerifyFull {
        connector.set_callback(|config, _| {
            config.set_verify_hostname(false);
            Ok(())
        });
    }
    Ok(connector)
}

/// Errors: the URL is not usable. Nothing is connected.
pub(crate) fn check_url(url: &DatabaseUrl) -> Result<()> {
    connector(&read(url)?).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        read(&DatabaseUrl(url.into())).unwrap()
    }

    #[test]
    fn modes_of_tls() {
        for (mode, expected) in [
            ("disable", TlsMode::Disable),
            ("allow", TlsMode::Prefer),
            ("require", TlsMode::Require),
            ("verify-ca", TlsMode::VerifyCa),
            ("verify-full", TlsMode::VerifyFull),
        ] {
            assert_eq!(target(&format!("postgresql://u:p@h/d?sslmode={mode}")).tls, expected);
            assert_eq!(target(&format!("host=h user=u sslmode='{mode}'")).tls, expected);
        }
        assert_eq!(target("postgresql://u:p@h/d").tls, TlsMode::Prefer);
    }

    #[test]
    fn what_the_driver_does_not_know_is_taken_out() {
        let url = "postgresql+psycopg://u:p%40w@h:5/d?sslrootcert=/ca.pem&application_name=my%20app";
        let read = target(url);
        assert_eq!(read.root_certificate, Some(PathBuf::from("/ca.pem")));
        assert_eq!(read.config.get_password(), Some(b"p@w".as_slice()));
        assert_eq!(read.config.get_application_name(), Some("my app"));
    }

    #[test]
    fn bad_urls_say_so_without_the_password() {
        for url in ["mysql://u:secret@h/d", "postgresql://u:secret@h/d?sslmode=x", "postgresql://u:secret@h:port/d"] {
            let error = read(&DatabaseUrl(url.into())).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(!error.chain().contains("secret"), "{error}");
        }
    }
}
