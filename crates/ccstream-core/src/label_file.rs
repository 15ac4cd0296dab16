//! Turns each row of a CSV file into a label. A file with an invalid row is refused as a whole: the analyzer would only
//! count the message as rejected, and scores would be computed without the label.

use std::fmt;
use std::io::Read;
use std::path::Path;

use csv::ByteRecord;

use crate::error::{Error, Result};
use crate::json::push_text;
use crate::label::Label;
use crate::record::Record;
use crate::replay::{file_error, open_text};
use crate::truth::refused;
use crate::units::Micros;

/// The source of a label if the file names none.
const SOURCE: &str = "replay";
/// The columns that a file must have, in the order of [`LabelFile::columns`].
const REQUIRED: [&str; 3] = ["transaction_id", "labelled_at", "fraud"];

/// Reads a file and returns one label for each row, in the order of the file.
pub struct LabelFile {
    path: String,
    reader: csv::Reader<Box<dyn Read + Send>>,
    record: ByteRecord,
    /// The indices of the required columns.
    columns: [usize; REQUIRED.len()],
    /// The index of the column `source`.
    source: Option<usize>,
    /// The number of the current row, from 1.
    row: u64,
    /// The number of all rows.
    rows: u64,
}

impl fmt::Debug for LabelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelFile").field("path", &self.path).field("row", &self.row).finish_non_exhaustive()
    }
}

impl LabelFile {
    /// Opens the file, plain or gzipped, and reads all of it to check every row. Fails if a column is missing or a row is
    /// not a valid label. With `in_order`, it also fails if a label is dated before the label of the row above.
    pub fn open(path: &Path, in_order: bool) -> Result<Self> {
        let mut whole = Self::begin(path)?;
        let mut latest = Micros(i64::MIN);
        while let Some((labelled_at, _)) = whole.next_label()? {
            if in_order && labelled_at < latest {
                return Err(
                    whole.wrong("its labelled_at is before that of the row above; sort the rows by labelled_at")
                );
            }
            latest = labelled_at;
        }
        Ok(Self { rows: whole.row, ..Self::begin(path)? })
    }

    /// Checks the header of the file. Fails if the file cannot be read, or a column is missing.
    pub fn check(path: &Path) -> Result<()> {
        Self::begin(path).map(drop)
    }

    fn begin(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let input = open_text(path).map_err(|error| file_error(&name, &error))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let header = reader.headers().map_err(|error| file_error(&name, &error))?;
        let names: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        let column = |name: &str| names.iter().position(|column| *column == name);
        let mut columns = [0; REQUIRED.len()];
        for (at, name) in columns.iter_mut().zip(REQUIRED) {
            *at = column(name).ok_or_else(|| {
                let reason = format!("{} has no column {name:?}; it has {}", path.display(), names.join(", "));
                Error::config("labels", reason)
            })?;
        }
        let source = column("source");
        Ok(Self { path: name, columns, source, reader, record: ByteRecord::new(), row: 0, rows: 0 })
    }

    /// Returns the number of labels in the file.
    pub fn count(&self) -> u64 {
        self.rows
    }

    /// Returns when the label of the next row became known, and its message; None at the end of the file.
    pub fn next_label(&mut self) -> Result<Option<(Micros, Record)>> {
        let more = self.reader.read_byte_record(&mut self.record);
        self.row += 1;
        if !more.map_err(|error| self.wrong(&error.to_string()))? {
            self.row -= 1;
            return Ok(None);
        }
        let record = self.message().map_err(|why| self.wrong(&refused(&why)))?;
        // The analyzer reads the message by the same function.
        let label = Label::read(Some(&record.payload)).map_err(|why| self.wrong(&why))?;
        Ok(Some((label.labelled_at, record)))
    }

    /// Returns the message of the current row, which may be invalid.
    fn message(&self) -> Result<Record, String> {
        let cell = |at: usize, name: &str| {
            let text = std::str::from_utf8(self.record.get(at).unwrap_or_default());
            text.map_err(|_| format!("{name} is not UTF-8"))
        };
        let [id, labelled_at, fraud] = self.columns;
        let (id, labelled_at) = (cell(id, "transaction_id")?, cell(labelled_at, "labelled_at")?);
        let is_fraud: &[u8] = match cell(fraud, "fraud")? {
            "1" | "true" | "True" | "TRUE" => b"true",
            "0" | "false" | "False" | "FALSE" => b"false",
            other => return Err(format!("fraud {other:?} is not 1, 0, true or false")),
        };
        let source = self.source.map_or(Ok(""), |at| cell(at, "source"))?;
        let mut payload = Vec::with_capacity(160);
        payload.extend_from_slice(b"{\"transaction_id\":");
        push_text(id, &mut payload);
        payload.extend_from_slice(b",\"fraud\":");
        payload.extend_from_slice(is_fraud);
        payload.extend_from_slice(b",\"labelled_at\":");
        push_text(labelled_at, &mut payload);
        payload.extend_from_slice(b",\"source\":");
        push_text(if source.is_empty() { SOURCE } else { source }, &mut payload);
        payload.push(b'}');
        Ok(Record { key: Some(id.as_bytes().to_vec()), payload, ..Record::default() })
    }

    fn wrong(&self, why: &str) -> Error {
        Error::File { path: self.path.clone(), reason: format!("row {}: {why}", self.row) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const HEADER: &str = "transaction_id,transaction_time,labelled_at,fraud,source\n";

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ccstream-{}-{name}.labels.csv", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn read(name: &str, bytes: &[u8], in_order: bool) -> Result<Vec<(Micros, String)>> {
        let path = file(name, bytes);
        let opened = LabelFile::open(&path, in_order);
        std::fs::remove_file(path).unwrap();
        let mut file = opened?;
        let mut labels = Vec::new();
        while let Some((labelled_at, record)) = file.next_label()? {
            labels.push((labelled_at, String::from_utf8(record.payload).unwrap()));
        }
        assert_eq!(file.count(), labels.len() as u64);
        Ok(labels)
    }

    #[test]
    fn each_row_becomes_the_message_that_the_analyzer_reads() {
        let rows = "a,x,1970-01-01T00:00:02Z,1,\n\"b \"\"2\"\"\",x,1970-01-01T00:00:01Z,False,claim\n\
                    c,,1970-01-01T00:00:03Z,0\n";
        let text = format!("\u{feff}{HEADER}{rows}");
        let mut gzipped = GzEncoder::new(Vec::new(), Compression::fast());
        gzipped.write_all(text.as_bytes()).unwrap();
        for bytes in [text.as_bytes(), &gzipped.finish().unwrap()] {
            let read = read("rows", bytes, false).unwrap();
            assert_eq!(read.iter().map(|(at, _)| at.0).collect::<Vec<_>>(), [2_000_000, 1_000_000, 3_000_000]);
            let [first, second, third] = &read[..] else { panic!("{read:?}") };
            let expected =
                r#"{"transaction_id":"a","fraud":true,"labelled_at":"1970-01-01T00:00:02Z","source":"replay"}"#;
            assert_eq!(first.1, expected);
            let label = Label::read(Some(second.1.as_bytes())).unwrap();
            assert_eq!((label.transaction_id.as_str(), label.source.as_str()), ("b \"2\"", "claim"));
            assert!(!label.is_fraud);
            assert!(third.1.ends_with(r#""source":"replay"}"#), "{}", third.1);
        }
        assert_eq!(read("none", HEADER.as_bytes(), true), Ok(Vec::new()));
    }

    #[test]
    fn an_invalid_row_refuses_the_file_and_is_named() {
        let good = "a,x,2026-01-02,1,\n";
        for (row, why) in [
            ("b,x,2026-01-02,perhaps,\n", "row 2: fraud \"perhaps\" is not 1, 0, true or false"),
            ("b,x,soon,1,\n", "row 2: labelled_at \"soon\""),
            (",x,2026-01-02,1,\n", "row 2: transaction_id is empty"),
            ("b,x\n", "row 2: fraud \"\" is not"),
            ("b,x,2026-01-02,1,4111 1111 1111 1111\n", "row 2: source has a card number"),
            ("b,x,2026-01-02,4111111111111111,\n", "row 2: fraud"),
        ] {
            let why_not = read("invalid", format!("{HEADER}{good}{row}").as_bytes(), false).unwrap_err().to_string();
            assert!(why_not.contains(&format!(".labels.csv: {why}")), "{why_not}");
            assert!(!why_not.contains("4111"), "{why_not}");
        }
        let mut bytes = format!("{HEADER}{good}").into_bytes();
        bytes.extend_from_slice(b"\xff,x,2026-01-02,1,\n");
        assert!(read("utf", &bytes, false).unwrap_err().to_string().ends_with("row 2: transaction_id is not UTF-8"));
        let why = read("column", b"transaction_id,fraud\na,1\n", false).unwrap_err().to_string();
        assert!(why.starts_with("labels: ") && why.ends_with("\"labelled_at\"; it has transaction_id, fraud"), "{why}");
        assert!(LabelFile::check(Path::new("no-such-file.csv")).unwrap_err().to_string().starts_with("no-such-file"));
    }

    #[test]
    fn labels_in_order_must_be_sorted_by_time() {
        let rows = format!("{HEADER}a,x,2026-01-02,1,\nb,x,2026-01-02,1,\nc,x,2026-01-01T23:59:59Z,1,\n");
        assert_eq!(read("order", rows.as_bytes(), false).unwrap().len(), 3);
        let why = read("order", rows.as_bytes(), true).unwrap_err().to_string();
        assert!(why.contains("row 3: ") && why.ends_with("sort the rows by labelled_at"), "{why}");
    }
}
