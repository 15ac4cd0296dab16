//! The file of `resume`: what a run made and did not send, for the next run.
//!
//! The file is replaced as a whole: every few seconds during a run, and when the run ends. Its first line says which of
//! the two it was. If a run is killed, the next run sends what the last save had. Messages of that save that the killed run
//! had sent since are then sent twice, with the same bytes, and what the killed run made since is lost.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use ccstream_core::Error as CoreError;
use ccstream_core::generate::Unsent;

/// The maximum number of messages in a file. The generator keeps at most half of it.
const MOST: usize = 1_000_000;
/// The maximum length of a line, in bytes. A message of the generator has less than a tenth of it.
const MOST_LINE: u64 = 65_536;
/// The first line after a run has ended. Its version is raised whenever the lines change.
const HEAD: &str = r#"{"file":"unsent messages of ccstream produce","version":1}"#;
/// The first line during a run.
const HEAD_OF_RUNNING: &str = r#"{"file":"unsent messages of ccstream produce","version":1,"run":"has not ended"}"#;

/// What a file has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) messages: Vec<Unsent>,
    /// Whether the run that saved it has not ended since: it was killed.
    pub(super) is_of_running: bool,
}

/// Reads a file; one that does not exist has no messages. Errors: the file cannot be read, or a line is wrong.
pub(super) fn read(path: &Path) -> Result<Saved> {
    let refused = |reason: String| {
        let fix = "restore the file, or delete it to continue without its messages";
        Error::from(CoreError::File { path: path.display().to_string(), reason: format!("{reason}; {fix}") })
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
        Err(error) => return Err(refused(format!("cannot be read: {error}"))),
    };
    let (mut reader, mut line, mut number) = (BufReader::new(file), String::new(), 0usize);
    let mut next = |line: &mut String| {
        line.clear();
        number += 1;
        let length = reader.by_ref().take(MOST_LINE).read_line(line);
        let length = length.map_err(|error| refused(format!("line {number} cannot be read: {error}")))?;
        if length > 0 && !line.ends_with('\n') {
            return Err(refused(format!("line {number} is too long, or has no end")));
        }
        Ok((number, length > 0))
    };
    next(&mut line)?;
    let is_of_running = line.trim_end() == HEAD_OF_RUNNING;
    if line.trim_end() != HEAD && !is_of_running {
        return Err(refused(format!("line 1 is not {HEAD}, so this version did not write the file")));
    }
    let mut messages = Vec::new();
    loop {
        let (number, is_any) = next(&mut line)?;
        if !is_any {
            return Err(refused(format!("ends after line {}, without its last line", number - 1)));
        }
        if line.trim_end() == end(messages.len()) {
            break;
        }
        if messages.len() == MOST {
            return Err(refused(format!("line {number} is beyond the maximum of {MOST} messages")));
        }
        match line.trim_end().parse() {
            Ok(message) => messages.push(message),
            Err(why) => return Err(refused(format!("line {number} is not a message: {why}"))),
        }
    }
    if let (number, true) = next(&mut line)? {
        return Err(refused(format!("line {number} follows the last line")));
    }
    messages.sort_by_key(Unsent::due);
    Ok(Saved { messages, is_of_running })
}

/// Replaces the file by another one, which only its owner can read.
pub(super) fn write(path: &Path, saved: &Saved) -> Result<()> {
    let context = || {
        format!("saving {} unsent messages in {}, without which they are lost", saved.messages.len(), path.display())
    };
    write_all(path, saved).map_err(Error::system(context()))
}

/// Fails if the file cannot be written. A run that finds out at its end would lose the messages.
pub(super) fn check(path: &Path) -> Result<()> {
    let new = new_name(path);
    let is_folder = path.is_dir().then(|| io::Error::from(io::ErrorKind::IsADirectory));
    let created = is_folder.map_or_else(|| create(&new).and_then(|_| fs::remove_file(&new)), Err);
    let why = |error| format!("{} cannot be written: {error}; name a file in a folder that can be", path.display());
    created.map_err(|error| Error::config("resume", why(error)))
}

/// Creates a file that only its owner can read, in place of one that a killed run has left.
fn create(new: &Path) -> io::Result<File> {
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(new)
}

fn write_all(path: &Path, Saved { messages, is_of_running }: &Saved) -> io::Result<()> {
    let new = new_name(path);
    let mut out = BufWriter::new(create(&new)?);
    writeln!(out, "{}", if *is_of_running { HEAD_OF_RUNNING } else { HEAD })?;
    for message in messages {
        writeln!(out, "{message}")?;
    }
    writeln!(out, "{}", end(messages.len()))?;
    out.into_inner()?.sync_all()?;
    fs::rename(&new, path)?;
    // The new name is safe against a power failure once the folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn new_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

/// Returns the last line, by which a file that was cut off is found.
fn end(count: usize) -> String {
    format!("{{\"end\":{count}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ccstream-{}-{name}.unsent", std::process::id()))
    }

    fn label(second: u32) -> String {
        format!(
            "{{\"label\":\"019a0b1c-2d3e-7f40-8a5b-6c7d8e9f0a1b\",\"due\":\"2026-12-01T10:00:{second:02}.000000Z\",\
             \"source\":\"issuer\"}}"
        )
    }

    #[test]
    fn what_was_written_is_read_in_the_order_in_which_it_is_due() {
        let path = in_folder("order");
        check(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Saved::default(), "the file does not exist");
        let messages: Vec<Unsent> = [3, 1, 2].map(|second| label(second).parse().unwrap()).to_vec();
        fs::write(new_name(&path), "of a killed run").unwrap();
        write(&path, &Saved { messages, is_of_running: true }).unwrap();
        check(&path).unwrap();
        let Saved { messages, is_of_running } = read(&path).unwrap();
        assert_eq!(messages.iter().map(ToString::to_string).collect::<Vec<_>>(), [1, 2, 3].map(label));
        assert!(is_of_running);
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        write(&path, &Saved::default()).unwrap();
        assert_eq!(read(&path).unwrap(), Saved::default());
        assert!(!new_name(&path).exists());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_broken_file_names_the_line_and_what_to_do() {
        let path = in_folder("broken");
        let (head, end, good) = (HEAD, end(1), label(1));
        for (text, part) in [
            (String::new(), "line 1 is not {\"file\":"),
            (format!("{good}\n"), "line 1 is not {\"file\":"),
            (format!("{head}\n"), "ends after line 1, without its last line"),
            (format!("{head}\n{good}\n"), "ends after line 2, without its last line"),
            (format!("{head}\n{good}\nx\n{end}\n"), "line 3 is not a message: expected value"),
            (format!("{head}\n{good}\n{good}\n{end}\n"), "line 4 is not a message"),
            (format!("{head}\n{good}\n{end}\n{good}\n"), "line 4 follows the last line"),
            (format!("{head}\n{good}"), "line 2 is too long, or has no end"),
            (format!("{head}\n{}\n", "x".repeat(70_000)), "line 2 is too long, or has no end"),
        ] {
            fs::write(&path, text).unwrap();
            let why = read(&path).unwrap_err().to_string();
            assert!(why.contains(part) && why.ends_with("delete it to continue without its messages"), "{why}");
        }
        fs::write(&path, b"\xff\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1 cannot be read"));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused_at_the_start() {
        for path in [std::env::temp_dir(), in_folder("missing").join("file")] {
            let why = check(&path).unwrap_err().to_string();
            assert!(why.starts_with("resume: ") && why.contains("cannot be written"), "{why}");
        }
    }
}
