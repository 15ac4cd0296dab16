//! This module reads a file of definitions, `windows.toml` or `alerts.toml`, and again when it changes.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::error::Result;
use ccstream_analysis::toml::{Defined, parse};
use ccstream_core::Error as CoreError;

/// Interval at which the file is checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is reported of a folder, a pipe or a device.
const NO_FILE: &str = "it is not a file";
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

/// Checks that a file that was named is there.
///
/// Errors: it is not, or it is no file.
pub(super) fn check(setting: &'static str, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let refuse = |why: String| CoreError::config(setting, format!("{}: {why}", path.display())).into();
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(refuse(NO_FILE.into())),
        found => found.map(drop).map_err(|error| refuse(error.to_string())),
    }
}

/// Reads a file whole. A pipe or a device might never end.
fn read(path: &Path) -> std::result::Result<String, String> {
    if !std::fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err(NO_FILE.into());
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    Ok(text)
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
        if seen == Seen::NoFile && !self.is_named {
            self.definitions.clear();
            return Some(Vec::new());
        }
        let text = match read(&self.path) {
            Err(why) => return Some(vec![format!("{name} cannot be read: {why}")]),
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
