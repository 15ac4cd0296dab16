//! Reads targets from the text of `alerts.toml`. What is wrong is reported with its line and column.

use super::secret::Secret;
use super::target::{Channel, Form, Mail, Target};
use crate::alerts::{Severity, severity};
use crate::toml::{DAY, Defined, Reading, SECOND, Wrong, quoted};

/// The keys of which each target has exactly one.
const CHANNELS: [&str; 4] = ["webhook", "webhook_env", "email", "topic"];
/// The keys of every target.
const KEYS: [&str; 5] = ["name", "severity", "rules", "resolved", "group"];
/// The keys of an e-mail.
const MAIL_KEYS: [&str; 5] = ["email", "from", "smtp", "smtp_password_env", "smtp_password_file"];
/// The default of `group`.
const GROUP: i64 = 30 * SECOND;
/// The longest text of a URL, an address or a path.
const MAX_TEXT: usize = 1_000;
/// The longest name of a topic.
const MAX_TOPIC: usize = 249;

impl Defined for Target {
    const KEY: &'static str = "notify";
    const KEYS: &'static [&'static str] = &["alert", "notify"];
    const MOST: usize = 16;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(reading: &Reading<'_>) -> Result<Self, Wrong> {
        let name = reading.name()?;
        let found: Vec<&str> = CHANNELS.into_iter().filter(|key| reading.table.contains_key(key)).collect();
        let channel = match found[..] {
            [one] => one,
            [] => return Err(reading.at("name", format!("a target needs one of {}", CHANNELS.join(", ")))),
            [_, other, ..] => {
                return Err(reading.at(other, format!("a target has exactly one of {}", CHANNELS.join(", "))));
            }
        };
        let own: &[&str] = match channel {
            "email" => &MAIL_KEYS,
            "topic" => &["topic"],
            webhook => &[webhook, "form"],
        };
        let known: Vec<&str> = KEYS.iter().chain(own).copied().collect();
        reading.only(&known)?;
        let channel = match channel {
            "webhook" => {
                let url = text(reading, "webhook")?;
                check_url(&url).map_err(|text| reading.at("webhook", text))?;
                Channel::Webhook(Secret::Written(url), form(reading)?)
            }
            "webhook_env" => Channel::Webhook(variable(reading, "webhook_env")?, form(reading)?),
            "email" => Channel::Mail(mail(reading)?),
            _ => Channel::Topic(topic(reading)?),
        };
        let rules = reading.texts("rules")?.into_iter().map(|(name, _)| name).collect();
        let resolved = match reading.table.get("resolved") {
            None => false,
            Some(item) => {
                item.as_bool().ok_or_else(|| reading.at("resolved", "write resolved as true or false".into()))?
            }
        };
        let group = reading.length("group", 0, DAY)?.unwrap_or(GROUP);
        let severity = severity(reading)?.unwrap_or(Severity::Info);
        Ok(Self { name, channel, severity, rules, resolved, group })
    }
}

/// Checks the URL of a webhook.
///
/// Errors: it cannot be used, in words that do not show it.
pub fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("write a URL that begins with https:// or http://".into()) };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err("the URL has a user or password, which is not supported".into());
    }
    let is_usable = !host.is_empty() && url.bytes().all(|byte| byte.is_ascii_graphic());
    if is_usable { Ok(()) } else { Err("the URL has no host, or a character that must be encoded".into()) }
}

fn text(reading: &Reading<'_>, key: &str) -> Result<String, Wrong> {
    let text = reading.string(key)?.unwrap_or_default();
    if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
        return Err(reading.at(key, format!("write {key} as a text of 1 to {MAX_TEXT} characters")));
    }
    Ok(text.to_owned())
}

fn variable(reading: &Reading<'_>, key: &str) -> Result<Secret, Wrong> {
    let name = text(reading, key)?;
    if name.contains(['=', '/', ':', ' ']) {
        return Err(reading.at(key, format!("write the name of an environment variable, as in {key} = \"MY_SECRET\"")));
    }
    Ok(Secret::Variable(name))
}

fn form(reading: &Reading<'_>) -> Result<Form, Wrong> {
    let Some(name) = reading.string("form")? else { return Ok(Form::Json) };
    Form::ALL.into_iter().find(|form| form.name() == name).ok_or_else(|| {
        let names = Form::ALL.map(Form::name).join(", ");
        reading.at("form", format!("there is no form {}; use {names}", quoted(name)))
    })
}

fn topic(reading: &Reading<'_>) -> Result<String, Wrong> {
    let name = text(reading, "topic")?;
    let is_usable = name.bytes().all(|one| one.is_ascii_alphanumeric() || b"._-".contains(&one));
    if is_usable && name.len() <= MAX_TOPIC && name != "." && name != ".." {
        return Ok(name);
    }
    Err(reading.at("topic", format!("a topic has at most {MAX_TOPIC} letters, digits, dots, underscores and hyphens")))
}

fn mail(reading: &Reading<'_>) -> Result<Mail, Wrong> {
    let to = text(reading, "email")?;
    check_address(&to).map_err(|text| reading.at("email", text))?;
    if !reading.table.contains_key("smtp") {
        return Err(
            reading.at("smtp", "an e-mail needs smtp, as in smtp = \"smtp://user@smtp.example.com:587\"".into())
        );
    }
    let url = text(reading, "smtp")?;
    let refuse = |text: &str| reading.at("smtp", text.to_owned());
    let (is_tls, rest) = match url.split_once("://") {
        Some(("smtp", rest)) => (false, rest),
        Some(("smtps", rest)) => (true, rest),
        _ => return Err(refuse("write a URL that begins with smtp:// or smtps://")),
    };
    let (user, server) = rest.rsplit_once('@').map_or((None, rest), |(user, server)| (Some(user), server));
    if user.is_some_and(|user| user.contains(':')) {
        return Err(refuse("the URL has a password; write smtp_password_env or smtp_password_file instead"));
    }
    let usual = if is_tls { 465 } else { 587 };
    let (host, port) = match server.trim_end_matches('/').rsplit_once(':') {
        None => (server.trim_end_matches('/'), Some(usual)),
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
    };
    let is_host =
        |host: &str| !host.is_empty() && host.bytes().all(|one| one.is_ascii_alphanumeric() || b".-_".contains(&one));
    let Some(port) = port.filter(|_| is_host(host)) else {
        return Err(refuse("write a host and a port, as in smtp://smtp.example.com:587"));
    };
    let has = |key: &str| reading.table.contains_key(key);
    let password = match (has("smtp_password_env"), has("smtp_password_file")) {
        (true, true) => {
            return Err(
                reading.at("smtp_password_file", "write smtp_password_env or smtp_password_file, not both".into())
            );
        }
        (true, false) => Some(("smtp_password_env", variable(reading, "smtp_password_env")?)),
        (false, true) => Some(("smtp_password_file", Secret::File(text(reading, "smtp_password_file")?))),
        (false, false) => None,
    };
    let login = match (user.filter(|user| !user.is_empty()), password) {
        (Some(user), Some((_, password))) => Some((user.to_owned(), password)),
        (None, None) => None,
        (Some(_), None) => return Err(refuse("a user needs smtp_password_env or smtp_password_file")),
        (None, Some((key, _))) => {
            return Err(reading.at(key, "a password needs a user, as in smtp://user@smtp.example.com:587".into()));
        }
    };
    let from = match &login {
        _ if has("from") => text(reading, "from")?,
        Some((user, _)) if user.contains('@') => user.clone(),
        _ => return Err(reading.at("from", "an e-mail needs from, the address of the sender".into())),
    };
    check_address(&from).map_err(|text| reading.at(if has("from") { "from" } else { "smtp" }, text))?;
    Ok(Mail { to, from, host: host.to_owned(), port, is_tls, login })
}

fn check_address(address: &str) -> Result<(), String> {
    let is_usable = |(user, host): (&str, &str)| !user.is_empty() && !host.is_empty() && !user.contains('@');
    let has_letters = address.chars().all(|one| !one.is_whitespace() && !"<>,;\"".contains(one));
    if has_letters && address.rsplit_once('@').is_some_and(is_usable) {
        return Ok(());
    }
    Err("write one address, as in \"analysts@example.com\"".into())
}
