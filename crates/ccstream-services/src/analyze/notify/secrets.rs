//! Reads secrets of targets from the environment or from files. They are in no message.

use std::path::Path;

use ccstream_analysis::notify::{Channel, Secret, check_url};
use ccstream_core::private_file;

/// Returns a secret.
///
/// Errors: it is not there, in words.
pub(super) fn read(secret: &Secret) -> Result<String, String> {
    match secret {
        Secret::Written(text) => Ok(text.clone()),
        Secret::Variable(name) => match std::env::var(name) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(format!("the environment variable {name} is not set")),
        },
        Secret::File(path) => {
            let bytes = private_file::read(Path::new(path)).map_err(|why| format!("{path} {why}"))?;
            let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

/// Returns the URL of a webhook.
///
/// Errors: it is not there or cannot be used, in words that do not show it.
pub(super) fn url(secret: &Secret) -> Result<String, String> {
    let url = read(secret)?.trim().to_owned();
    check_url(&url).map(|()| url)
}

/// Checks that the secrets of a target are there.
pub(super) fn check(channel: &Channel) -> Result<(), String> {
    match channel {
        Channel::Webhook(secret, _) => url(secret).map(drop),
        Channel::Mail(mail) => mail.login.as_ref().map_or(Ok(()), |(_, password)| read(password).map(drop)),
        Channel::Topic(_) => Ok(()),
    }
}
