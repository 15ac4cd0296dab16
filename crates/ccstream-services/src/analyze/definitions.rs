//! This module reads a file of definitions, `windows.toml` or `alerts.toml`, and again when it changes.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::error::Result;
use ccstream_analysis::toml::{Defined, parse};
use ccstream_core::Error as CoreError;

/// Interval at which the file is checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The maximum size of the file.
const MAX_BYTES: u64 = 1 << 20;

/// What was found when the file was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It was not read yet.
    Nothing,
    NoFile,
    /// The time at which it was changed, and its size.
    File(SystemTime, u64),
}

/// A file of definitions.
pub(super) struct DefinitionsFile<T> {
    path: PathBuf,
    is_named: bool,
    looked: Option<Instant>,
    seen: Seen,
    /// The definitions that are in use.
    pub(super) definitions: Vec<Arc<T>>,
}

/// Checks that a file that was named can be read.
///
/// Errors: it cannot.
pub(super) fn check(setting: &'static str, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let refuse = |error: std::io::Error| CoreError::config(setting, format!("{}: {error}", path.display()));
    std::fs::metadata(path).map(drop).map_err(|error| refuse(error).into())
}

impl<T: Defined + Clone> DefinitionsFile<T> {
    /// Without a path, the file has its usual name in the current folder, and may be absent.
    pub(super) fn new(path: Option<&Path>) -> Self {
        let is_named = path.is_some();
        let path = path.map_or_else(|| PathBuf::from(format!("{}s.toml", T::KEYS[0])), Path::to_owned);
        Self { path, is_named, looked: None, seen: Seen::Nothing, definitions: Vec::new() }
    }

    /// Returns the file's name.
    pub(super) fn name(&self) -> impl Display + '_ {
        self.path.display()
    }

    /// Returns whether there was a file when it was read last.
    pub(super) fn is_there(&self) -> bool {
        matches!(self.seen, Seen::File(..))
    }

    /// Reads the file if it has changed, at most once a second. Returns what is wrong in it, each in words, if it was read.
    ///
    /// A definition that is wrong is not used; if it is in use already, it remains as it was. So do all, while the file
    /// cannot be read.
    pub(super) fn look(&mut self) -> Option<Vec<String>> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return None;
        }
        self.looked = Some(Instant::now());
        let seen = std::fs::metadata(&self.path)
            .map_or(Seen::NoFile, |found| Seen::File(found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.len()));
        if std::mem::replace(&mut self.seen, seen) == seen {
            return None;
        }
        let name = self.path.display();
        if let Seen::File(_, size) = seen
            && size > MAX_BYTES
        {
            return Some(vec![format!("{name} has {size} bytes; at most {MAX_BYTES} are supported")]);
        }
        let text = std::fs::read_to_string(&self.path);
        let text = match text {
            Err(error) if error.kind() == ErrorKind::NotFound && !self.is_named => {
                self.definitions.clear();
                return Some(Vec::new());
            }
            Err(error) => return Some(vec![format!("{name} cannot be read: {error}")]),
            Ok(text) => text,
        };
        let parsed = parse::<T>(&text);
        let wrong = parsed.wrong.iter().map(|wrong| format!("{name}, {wrong}")).collect();
        if !parsed.is_unreadable {
            let is_wrong = |name: &str| parsed.wrong.iter().any(|wrong| wrong.name.as_deref() == Some(name));
            let is_right = |name: &str| parsed.right.iter().any(|right| right.name() == name);
            self.definitions.retain(|one| is_wrong(one.name()) && !is_right(one.name()));
            self.definitions.extend(parsed.right.iter().cloned().map(Arc::new));
        }
        Some(wrong)
    }
}
