//! Sets up TLS to PostgreSQL as libpq 18 does: <https://www.postgresql.org/docs/18/libpq-ssl.html>.
//!
//! It is stricter than libpq in three ways. A certificate file that is named but does not exist is an error in every
//! mode. With root certificates, `prefer` never falls back to a connection without TLS. `allow` means `prefer`, because
//! libpq's `allow` tries without TLS first. The table in `docs/security.md` lists every case, and a test compares it
//! with libpq.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::store::{X509Lookup, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use postgres_openssl::MakeTlsConnector;
use tokio_postgres::config::SslMode;

/// The connection string's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// The authorities of which one must have signed the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Roots {
    /// The certificate is not verified.
    None,
    /// The authorities whose certificates are in this file.
    File(PathBuf),
    /// The authorities that the system trusts.
    System,
}

/// Holds the TLS parameters of a connection string.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    mode: Option<String>,
    roots: Option<String>,
    revoked: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    key_password: Option<String>,
    oldest: Option<String>,
    newest: Option<String>,
}

/// Holds the resolved TLS settings of a connection.
#[derive(Debug)]
pub(super) struct Tls {
    mode: Mode,
    roots: Roots,
    revoked: Option<PathBuf>,
    /// The client's certificate and its key.
    client: Option<(PathBuf, PathBuf)>,
    key_password: Option<String>,
    oldest: SslVersion,
    newest: Option<SslVersion>,
}

impl Parameters {
    /// Takes a parameter of the connection string. Returns false if it has nothing to do with TLS.
    pub(super) fn take(&mut self, name: &str, value: &str) -> bool {
        let text = || Some(value.to_owned());
        let path = || Some(PathBuf::from(value)).filter(|_| !value.is_empty());
        match name {
            "sslmode" => self.mode = text(),
            "sslrootcert" => self.roots = text().filter(|text| !text.is_empty()),
            "sslcrl" => self.revoked = path(),
            "sslcert" => self.certificate = path(),
            "sslkey" => self.key = path(),
            "sslpassword" => self.key_password = text(),
            "ssl_min_protocol_version" => self.oldest = text(),
            "ssl_max_protocol_version" => self.newest = text(),
            _ => return false,
        }
        true
    }

    /// Resolves the parameters with libpq's defaults. `is_local` is whether the connection uses a Unix socket.
    ///
    /// Errors, in words that follow the URL: the parameters cannot be used.
    pub(super) fn resolve(self, is_local: bool) -> Result<Tls, String> {
        let is_system = self.roots.as_deref() == Some("system");
        let mode = match &self.mode {
            Some(text) => Mode::read(text).ok_or_else(|| {
                let known = "disable, allow, prefer, require, verify-ca and verify-full";
                format!("has an unknown sslmode {text:?}; known are {known}")
            })?,
            None if is_system => Mode::VerifyFull,
            None => Mode::Prefer,
        };
        if is_system && mode != Mode::VerifyFull {
            return Err("has sslrootcert=system, which requires sslmode=verify-full, because these authorities issue \
                        certificates to everybody; remove sslmode"
                .into());
        }
        let mode = if is_local { Mode::Disable } else { mode };
        let home = std::env::home_dir().map(|home| home.join(".postgresql"));
        let by_default = |name: &str| home.as_ref().map(|home| home.join(name)).filter(|path| path.exists());
        let named = |parameter: &str, path: Option<PathBuf>| match path {
            Some(path) if !path.exists() => {
                Err(format!("names a file that does not exist: {parameter}={}", path.display()))
            }
            path => Ok(path),
        };
        let certificate = named("sslcert", self.certificate)?.or_else(|| by_default("postgresql.crt"));
        let key = named("sslkey", self.key)?.or_else(|| by_default("postgresql.key"));
        let revoked = named("sslcrl", self.revoked)?.or_else(|| by_default("root.crl"));
        let roots = match self.roots.filter(|_| !is_system) {
            _ if is_system => Roots::System,
            Some(path) => named("sslrootcert", Some(path.into()))?.map_or(Roots::None, Roots::File),
            None => by_default("root.crt").map_or(Roots::None, Roots::File),
        };
        if roots == Roots::None && mode >= Mode::VerifyCa {
            let file = home.as_ref().map_or_else(|| "~/.postgresql".into(), |home| home.display().to_string());
            return Err(format!(
                "has sslmode={}, but {file}/root.crt does not exist; name a file with the authorities' certificates in \
                 sslrootcert, or use sslrootcert=system for the system's",
                self.mode.unwrap_or_default()
            ));
        }
        let client = match (certificate, key) {
            _ if mode == Mode::Disable => None,
            (None, _) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(certificate), None) => {
                return Err(format!(
                    "has the client certificate {}, but no key for it; name the key's file in sslkey",
                    certificate.display()
                ));
            }
        };
        if let Some((_, key)) = &client {
            check_key(key)?;
        }
        let version = |text: Option<String>| text.map(|text| version(&text)).transpose();
        Ok(Tls {
            mode,
            roots,
            revoked,
            client,
            key_password: self.key_password,
            oldest: version(self.oldest)?.unwrap_or(SslVersion::TLS1_2),
            newest: version(self.newest)?,
        })
    }
}

/// Checks that nobody else may read the key. As with libpq, the group may read a key that root owns.
///
/// Errors, in words that follow the URL: others may read the key.
#[cfg(unix)]
fn check_key(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let about = fs::metadata(path).map_err(|error| format!("names sslkey={}: {error}", path.display()))?;
    let others = if about.uid() == 0 { 0o037 } else { 0o077 };
    if about.permissions().mode() & others != 0 {
        return Err(format!("names sslkey={}, which other users may read; run chmod 600 on it", path.display()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_key(_: &Path) -> Result<(), String> {
    Ok(())
}

fn version(text: &str) -> Result<SslVersion, String> {
    match text.to_ascii_lowercase().as_str() {
        "tlsv1" => Ok(SslVersion::TLS1),
        "tlsv1.1" => Ok(SslVersion::TLS1_1),
        "tlsv1.2" => Ok(SslVersion::TLS1_2),
        "tlsv1.3" => Ok(SslVersion::TLS1_3),
        _ => Err(format!("has an unknown TLS version {text:?}; known are TLSv1, TLSv1.1, TLSv1.2 and TLSv1.3")),
    }
}

impl Tls {
    /// Returns the mode in which the driver negotiates TLS.
    pub(super) fn ssl_mode(&self) -> SslMode {
        match self.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer if self.roots == Roots::None => SslMode::Prefer,
            _ => SslMode::Require,
        }
    }

    /// Returns the connector for the driver.
    ///
    /// Errors, in words that follow the URL: a file or a parameter cannot be used.
    pub(super) fn connector(&self) -> Result<MakeTlsConnector, String> {
        let mut builder = SslConnector::builder(SslMethod::tls()).map_err(failed("TLS"))?;
        if self.mode != Mode::Disable {
            self.set_up(&mut builder)?;
        }
        let mut connector = MakeTlsConnector::new(builder.build());
        if self.mode != Mode::VerifyFull {
            connector.set_callback(|config, _| {
                config.set_verify_hostname(false);
                Ok(())
            });
        }
        Ok(connector)
    }

    fn set_up(&self, builder: &mut SslConnectorBuilder) -> Result<(), String> {
        postgres_openssl::set_postgresql_alpn(builder).map_err(failed("sslnegotiation"))?;
        builder.set_min_proto_version(Some(self.oldest)).map_err(failed("ssl_min_protocol_version"))?;
        builder.set_max_proto_version(self.newest).map_err(failed("ssl_max_protocol_version"))?;
        // The builder starts with the authorities of OpenSSL's defaults (its own folder, SSL_CERT_FILE). libpq does not
        // trust those, so an empty store replaces them.
        builder.set_cert_store(X509StoreBuilder::new().map_err(failed("TLS"))?.build());
        match &self.roots {
            Roots::None => {}
            Roots::File(path) => builder.set_ca_file(path).map_err(failed(path.display()))?,
            Roots::System => {
                // A statically linked OpenSSL does not know the system's folder of certificates.
                let found = openssl_probe::probe().cert_file.ok_or(
                    "has sslrootcert=system, but the system has no file of certificates; name one in sslrootcert",
                )?;
                builder.set_ca_file(&found).map_err(failed(found.display()))?;
            }
        }
        let verifies = self.roots != Roots::None;
        builder.set_verify(if verifies { SslVerifyMode::PEER } else { SslVerifyMode::NONE });
        if let Some(path) = self.revoked.as_ref().filter(|_| verifies) {
            let store = builder.cert_store_mut();
            let lookup = store.add_lookup(X509Lookup::file()).map_err(failed(path.display()))?;
            lookup.load_crl_file(path, SslFiletype::PEM).map_err(failed(path.display()))?;
            let flags = X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL;
            store.set_flags(flags).map_err(failed(path.display()))?;
        }
        if let Some((certificate, key)) = &self.client {
            builder.set_certificate_chain_file(certificate).map_err(failed(certificate.display()))?;
            let bytes = fs::read(key).map_err(|error| format!("names sslkey={}: {error}", key.display()))?;
            // Without a password, OpenSSL would prompt for one on the terminal. An empty one makes it fail instead.
            let password = self.key_password.as_deref().unwrap_or_default();
            let read =
                PKey::private_key_from_pem_passphrase(&bytes, password.as_bytes()).map_err(failed(key.display()))?;
            builder.set_private_key(&read).map_err(failed(key.display()))?;
            builder.check_private_key().map_err(failed(key.display()))?;
        }
        Ok(())
    }
}

/// Returns a function for `map_err` that says that OpenSSL cannot use a file or a parameter.
fn failed(what: impl std::fmt::Display) -> impl FnOnce(ErrorStack) -> String {
    move |error| format!("cannot use {what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(parameters: &[(&str, &str)]) -> Result<Tls, String> {
        let mut all = Parameters::default();
        for (name, value) in parameters {
            assert!(all.take(name, value));
        }
        all.resolve(false)
    }

    #[test]
    fn modes() {
        for (mode, expected) in [
            ("disable", SslMode::Disable),
            ("allow", SslMode::Prefer),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
        ] {
            assert_eq!(resolve(&[("sslmode", mode)]).unwrap().ssl_mode(), expected);
            assert!(resolve(&[("sslmode", mode), ("sslrootcert", "system")]).unwrap_err().contains("verify-full"));
        }
        assert_eq!(resolve(&[]).unwrap().mode, Mode::Prefer);
        assert_eq!(resolve(&[("sslrootcert", "system")]).unwrap().mode, Mode::VerifyFull);
        for mode in ["verify-ca", "verify-full"] {
            assert!(resolve(&[("sslmode", mode)]).unwrap_err().contains("root.crt"));
        }
        assert!(resolve(&[("sslmode", "verify")]).unwrap_err().contains("\"verify\""));
    }

    #[test]
    fn a_named_file_that_does_not_exist_is_an_error_in_every_mode() {
        for mode in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            for name in ["sslrootcert", "sslcert", "sslkey", "sslcrl"] {
                let why = resolve(&[("sslmode", mode), (name, "/none.pem")]).unwrap_err();
                assert!(why.contains("/none.pem") && why.contains(name), "{mode}: {why}");
            }
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("ccstream-key-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        for (mode, is_fine) in [(0o600, true), (0o400, true), (0o644, false), (0o660, false)] {
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_key(&path).is_ok(), is_fine, "{mode:o}");
            fs::remove_file(&path).unwrap();
        }
        fs::remove_dir(&folder).unwrap();
    }
}
