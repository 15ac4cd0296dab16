//! Follows the text file of `control`: reads the lines that are appended during a run.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The shortest time between two reads of the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The maximum number of bytes that are read at once.
const MOST_AT_ONCE: u64 = 65_536;
/// The maximum length of a line, in bytes.
const MOST_LINE: usize = 1_000;

/// A file, and how far it was read.
#[derive(Debug)]
pub(super) struct Follow {
    path: PathBuf,
    /// The number of bytes that were read.
    at: u64,
    /// The number of lines that were read to their end.
    lines: u64,
    /// The beginning of a line whose end is not in the file yet.
    part: Vec<u8>,
    looked: Option<Instant>,
    /// Why the file could not be read the last time; empty if it could.
    failure: String,
}

/// A line that was appended, with its number from 1; or why it, or the file, cannot be read.
pub(super) type Line = (u64, Result<String, String>);

impl Follow {
    /// Begins at the end of the file, which need not exist yet.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let refused = |why| Error::config("control", format!("{} {why}", path.display()));
        let mut made =
            Self { path: path.into(), at: 0, lines: 0, part: Vec::new(), looked: None, failure: String::new() };
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(refused("is not a file; name a text file".into())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused(format!("cannot be read: {error}")));
            }
            _ => {}
        }
        loop {
            match made.read() {
                Ok(lines) if lines.is_empty() && made.part.is_empty() => return Ok(made),
                Ok(_) => made.part.clear(),
                Err(error) => return Err(refused(format!("cannot be read: {error}"))),
            }
        }
    }

    /// Returns the lines that were appended, at most once a second.
    pub(super) fn look(&mut self) -> Vec<Line> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        match self.read() {
            Ok(lines) => {
                self.failure.clear();
                lines
            }
            Err(error) => {
                let failure = error.to_string();
                let is_new = failure != self.failure;
                self.failure.clone_from(&failure);
                let why = format!("{} cannot be read: {failure}", self.path.display());
                if is_new { vec![(self.lines + 1, Err(why))] } else { Vec::new() }
            }
        }
    }

    /// Reads the lines that have an end. A file that has become shorter is read from its beginning.
    fn read(&mut self) -> io::Result<Vec<Line>> {
        let length = match fs::metadata(&self.path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        if length < self.at {
            (self.at, self.lines) = (0, 0);
            self.part.clear();
        }
        if length == self.at {
            return Ok(Vec::new());
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut read = Vec::new();
        self.at += file.take(MOST_AT_ONCE).read_to_end(&mut read)? as u64;
        Ok(self.split(&read))
    }

    fn split(&mut self, read: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for piece in read.split_inclusive(|&byte| byte == b'\n') {
            // One byte more than a line may have shows that it is too long; no more is kept of it.
            let room = (MOST_LINE + 1).saturating_sub(self.part.len());
            self.part.extend(piece.iter().filter(|&&byte| byte != b'\n').take(room));
            if piece.ends_with(b"\n") {
                self.lines += 1;
                let line = std::mem::take(&mut self.part);
                let line = match String::from_utf8(line) {
                    Ok(line) if line.len() > MOST_LINE => Err(format!("it has more than {MOST_LINE} bytes")),
                    Ok(line) => Ok(line),
                    Err(_) => Err("it is not UTF-8".into()),
                };
                lines.push((self.lines, line));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A file that is deleted at the end, and its follower.
    struct Followed(PathBuf, Follow);

    impl Followed {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ccstream-{}-{name}.control", std::process::id()));
            fs::write(&path, text).unwrap();
            let follow = Follow::new(&path).unwrap();
            Self(path, follow)
        }

        fn append(&mut self, text: &[u8]) -> Vec<Line> {
            fs::OpenOptions::new().append(true).create(true).open(&self.0).unwrap().write_all(text).unwrap();
            self.1.looked = None;
            self.1.look()
        }
    }

    impl Drop for Followed {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn line(number: u64, text: &str) -> Line {
        (number, Ok(text.into()))
    }

    #[test]
    fn only_whole_lines_that_are_appended_are_read() {
        let mut file = Followed::new("appended", "rate 1\nrate 2\n");
        assert_eq!(file.append(b""), []);
        assert_eq!(file.append(b"rate 3\nra"), [line(3, "rate 3")]);
        assert_eq!(file.append(b"te 4"), []);
        assert_eq!(file.append(b"\n\nrate 5\r\n"), [line(4, "rate 4"), line(5, ""), line(6, "rate 5\r")]);
        assert_eq!(file.1.look(), [], "a second has not passed");
    }

    #[test]
    fn a_file_that_is_made_later_or_made_shorter_is_read_from_its_beginning() {
        let mut file = Followed::new("shorter", "rate 1\nrate 2\n");
        fs::remove_file(&file.0).unwrap();
        assert_eq!(file.append(b"rate 3\n"), [line(1, "rate 3")]);
        let missing = Follow::new(&file.0.with_extension("missing")).unwrap();
        assert_eq!((missing.at, missing.lines), (0, 0));
        let why = Follow::new(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(why.starts_with("control: ") && why.ends_with("is not a file; name a text file"), "{why}");
    }

    #[test]
    fn lines_are_bounded_and_what_is_no_text_is_named() {
        let mut file = Followed::new("bounded", &"x\n".repeat(100_000));
        let long = ["x".repeat(200_000).as_bytes(), b"\nrate 1\n\xff\n"].concat();
        let mut lines = file.append(&long);
        while file.1.at < 400_000 {
            assert!(file.1.part.len() <= MOST_LINE + 1);
            lines.extend(file.append(b""));
        }
        assert_eq!(lines[0], (100_001, Err("it has more than 1000 bytes".into())));
        assert_eq!(lines[1..], [line(100_002, "rate 1"), (100_003, Err("it is not UTF-8".into()))]);
    }
}
