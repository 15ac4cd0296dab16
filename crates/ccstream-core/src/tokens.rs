//! Replaces values that must not be sent, such as card numbers, by tokens. Equal values get equal tokens. Without the
//! key, nobody can find a value by computing the tokens of all possible values.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};
use crate::private_file;

/// The minimum length of a key in bytes. Shorter keys could be guessed.
const LEAST_KEY: usize = 16;
/// The number of bytes of the HMAC in a token. Among four billion values, two get the same token with a probability of
/// 2^-65.
const TOKEN_BYTES: usize = 16;

/// Configures which fields get tokens, and the key.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The names of the fields whose values are replaced.
    pub fields: Vec<String>,
    /// The path of the file with the key.
    pub key_file: PathBuf,
}

/// Creates tokens with a key.
pub(crate) struct Tokens(Hmac<Sha256>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Reads the key. Fails if its file cannot be read, other users can read it, or the key is too short.
    pub(crate) fn new(config: &TokenConfig) -> Result<Self> {
        let key = read_key(&config.key_file)?;
        Ok(Self(Hmac::new_from_slice(&key).map_err(|_| refused(&config.key_file, "does not contain a key"))?))
    }

    /// Returns the token of a value: `tok_` and 32 hexadecimal digits. They are the first 128 bits of the HMAC-SHA256
    /// (RFC 2104) of the value without spaces and hyphens.
    pub(crate) fn of(&self, value: &[u8]) -> String {
        let plain: Vec<u8> = value.iter().copied().filter(|byte| !matches!(byte, b' ' | b'-')).collect();
        let mac = self.0.clone().chain_update(plain).finalize().into_bytes();
        let mut token = String::from("tok_");
        for byte in &mac[..TOKEN_BYTES] {
            let _ = write!(token, "{byte:02x}");
        }
        token
    }
}

fn read_key(path: &Path) -> Result<Vec<u8>> {
    let mut key = private_file::read(path).map_err(|why| refused(path, &why))?;
    while key.last().is_some_and(u8::is_ascii_whitespace) {
        key.pop();
    }
    if key.len() < LEAST_KEY {
        return Err(refused(path, "contains less than 16 bytes; `head -c 32 /dev/urandom | base64` prints a key"));
    }
    Ok(key)
}

fn refused(path: &Path, why: &str) -> Error {
    Error::config("token_key_file", format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_file::write_for_test;

    #[test]
    fn a_token_depends_only_on_the_value_and_the_key() {
        let path = std::env::temp_dir().join(format!("ccstream-{}-token-key", std::process::id()));
        let tokens = |key: &[u8], mode| {
            write_for_test(&path, key, mode);
            Tokens::new(&TokenConfig { fields: Vec::new(), key_file: path.clone() })
        };
        // `openssl dgst -sha256 -mac HMAC -macopt key:0123456789abcdef` computed this token.
        let one = tokens(b"0123456789abcdef\n", 0o600).unwrap();
        assert_eq!(one.of(b"4111 1111-11111111"), "tok_6ab68ca2a9a5093ababdf00856c5692b");
        assert_eq!(one.of(b"4111111111111111"), one.of(b"4111-1111-1111-1111"));
        assert_ne!(tokens(b"0123456789abcdeF", 0o400).unwrap().of(b"4111111111111111"), one.of(b"4111111111111111"));
        for (key, mode, part) in [
            (b"short\n".as_slice(), 0o600, "16 bytes"),
            (b"0123456789abcdef", 0o640, "chmod 600"),
            (b"0123456789abcdef", 0o604, "chmod 600"),
        ] {
            let error = tokens(key, mode).unwrap_err().to_string();
            assert!(error.starts_with("token_key_file: ") && error.contains(part), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        let error = Tokens::new(&TokenConfig { fields: Vec::new(), key_file: path }).unwrap_err().to_string();
        assert!(error.starts_with("token_key_file: ") && error.contains("cannot be read"), "{error}");
    }
}
