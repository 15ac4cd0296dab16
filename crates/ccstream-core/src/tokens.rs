//! Tokens that stand for values which must not be sent, as card numbers: one value has one token, and nobody without the key
//! finds the value by trying all of them.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};
use crate::private_file;

/// Shorter keys could be tried out.
const LEAST_KEY: usize = 16;
/// Bytes of the HMAC in a token: of four billion values, two have the same one with a chance of 2^-65.
const TOKEN_BYTES: usize = 16;

/// Which fields' values are replaced, and by which key.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The fields.
    pub fields: Vec<String>,
    /// The file that holds the key.
    pub key_file: PathBuf,
}

/// Makes tokens with a key.
pub(crate) struct Tokens(Hmac<Sha256>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Errors: the key's file cannot be read, others may read it, or it holds too little.
    pub(crate) fn new(config: &TokenConfig) -> Result<Self> {
        let key = read_key(&config.key_file)?;
        Ok(Self(Hmac::new_from_slice(&key).map_err(|_| refused(&config.key_file, "holds no key"))?))
    }

    /// `tok_` and 32 hexadecimal digits: HMAC-SHA256 (RFC 2104) of the value without blanks and hyphens, cut to 128 bits.
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
        return Err(refused(path, "holds less than 16 bytes; `head -c 32 /dev/urandom | base64` makes a key"));
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
    fn a_token_depends_on_value_and_key_alone() {
        let path = std::env::temp_dir().join(format!("ccstream-{}-token-key", std::process::id()));
        let tokens = |key: &[u8], mode| {
            write_for_test(&path, key, mode);
            Tokens::new(&TokenConfig { fields: Vec::new(), key_file: path.clone() })
        };
        // HMAC-SHA256 by `openssl dgst -sha256 -mac HMAC -macopt key:0123456789abcdef`.
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
