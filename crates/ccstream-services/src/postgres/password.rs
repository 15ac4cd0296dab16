//! Finds the password of a connection whose URL has none, in libpq's order: `PGPASSWORD`, then the password file.
//!
//! <https://www.postgresql.org/docs/18/libpq-pgpass.html> describes the file.

use std::path::{Path, PathBuf};

use ccstream_core::private_file;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// A connection's target, as the password file describes it.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    database: String,
    user: String,
}

/// Adds a password if there is one. `named` is the password file that the URL names.
///
/// Errors, in words that follow the URL: a named password file cannot be used, or others may read the password file.
pub(super) fn add(config: &mut Config, named: Option<PathBuf>) -> Result<(), String> {
    if config.get_password().is_some() {
        return Ok(());
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    if let Some(password) = variable("PGPASSWORD") {
        config.password(password);
        return Ok(());
    }
    let named = named.or_else(|| variable("PGPASSFILE").map(PathBuf::from));
    let by_default = || variable("HOME").map(|home| Path::new(&home).join(".pgpass")).filter(|path| path.exists());
    let Some(path) = named.or_else(by_default) else { return Ok(()) };
    let bytes = private_file::read(&path).map_err(|why| format!("needs a password, and {} {why}", path.display()))?;
    if let Some(password) =
        places(config).iter().find_map(|place| password_for(place, &String::from_utf8_lossy(&bytes)))
    {
        config.password(password);
    }
    Ok(())
}

/// Returns the target for each host, with its port.
fn places(config: &Config) -> Vec<Place> {
    let user = config.get_user().unwrap_or_default().to_owned();
    let database = config.get_dbname().map_or_else(|| user.clone(), str::to_owned);
    let ports = config.get_ports();
    let place = |(number, host): (usize, &Host)| Place {
        host: match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) if is_default_folder(folder) => "localhost".into(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
        },
        port: ports.get(number).or(ports.first()).copied().unwrap_or(5432),
        database: database.clone(),
        user: user.clone(),
    };
    config.get_hosts().iter().enumerate().map(place).collect()
}

/// Returns whether a socket's folder is a default of libpq. The password file calls such a folder `localhost`.
#[cfg(unix)]
fn is_default_folder(folder: &Path) -> bool {
    folder == Path::new("/tmp") || folder == Path::new("/var/run/postgresql") || folder == Path::new("/run/postgresql")
}

/// Returns the password of a target: that of the first line whose four parts each equal the target's or are `*`.
fn password_for(place: &Place, text: &str) -> Option<String> {
    let port = place.port.to_string();
    let wanted = [place.host.as_str(), &port, &place.database, &place.user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for part in wanted {
            let (found, after) = split(rest)?;
            if found != part && rest.get(..2) != Some("*:") {
                return None;
            }
            rest = after;
        }
        Some(unescape(rest))
    })
}

/// Splits a line at the first colon that is not escaped by a backslash. Returns the unescaped part before it, and the
/// rest after it.
fn split(text: &str) -> Option<(String, &str)> {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ':' => return Some((unescape(&text[..at]), &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut letters = text.chars();
    std::iter::from_fn(|| match letters.next() {
        Some('\\') => letters.next().or(Some('\\')),
        other => other,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, port: u16) -> Place {
        Place { host: host.into(), port, database: "d:b".into(), user: "me".into() }
    }

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# db:5432:*:*:comment\nother:*:*:*:1\ndb:5433:*:me:2\ndb:*:d\\:b:me:pa\\:ss\\\\w:ord\n*:*:*:*:last\nbroken";
        assert_eq!(password_for(&place("db", 5432), text).as_deref(), Some("pa:ss\\w:ord"));
        assert_eq!(password_for(&place("db", 5433), text).as_deref(), Some("2"));
        assert_eq!(password_for(&place("other", 1), text).as_deref(), Some("1"));
        assert_eq!(password_for(&place("elsewhere", 1), text).as_deref(), Some("last"));
        assert_eq!(password_for(&place("db", 1), "db:1:other:me:x\ndb:1:d\\:b:you:x\n"), None);
    }

    #[test]
    fn places_are_as_libpq_names_them() {
        let config: Config = "postgresql://me@one:1,two:2/d".parse().unwrap();
        let found: Vec<_> = places(&config).into_iter().map(|one| (one.host, one.port, one.database)).collect();
        assert_eq!(found, [("one".into(), 1, "d".into()), ("two".into(), 2, "d".into())]);
        let config: Config = "host=/var/run/postgresql user=me".parse().unwrap();
        let found = places(&config).remove(0);
        assert_eq!((found.host.as_str(), found.port, found.database.as_str()), ("localhost", 5432, "me"));
    }
}
