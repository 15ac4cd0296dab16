//! The rows of a CSV file as events, every one of them: a row that is not valid is sent as it is,
//! for the consumer to reject, keep and explain.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::codec::WIRE_ORDER;
use crate::error::{Error, Result};
use crate::fields::{FIELDS, Field, Place, place_of_key};
use crate::json::push_text;
use crate::record::Record;
use crate::sql_type::SqlType;

/// How a file's rows become events.
#[derive(Debug, Clone, Default)]
pub struct ReplayConfig {
    /// The file.
    pub path: PathBuf,
    /// Pairs of a field and the column that fills it. A column with a field's own name needs none.
    pub map: Vec<(String, String)>,
    /// Pairs of a field and its value where the file has none.
    pub set: Vec<(String, String)>,
}

/// Where a field of each row's event comes from.
#[derive(Debug, Clone, Default)]
struct FieldSource {
    /// The column's place in the row.
    column: Option<usize>,
    /// The value where there is no such column or it is empty.
    fallback: Option<String>,
}

type CsvReader = csv::Reader<Box<dyn Read + Send>>;

/// A file being replayed: one event a row, in its order.
pub struct Replay {
    path: String,
    reader: CsvReader,
    record: ByteRecord,
    sources: Vec<FieldSource>,
    /// The start of every id made here: the file's hash.
    id_prefix: String,
    row: u64,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("path", &self.path).field("row", &self.row).finish_non_exhaustive()
    }
}

impl Replay {
    /// Opens the file and reads its header. Errors name the field or column that does not exist.
    ///
    /// An id is made of the file's hash (of its text, unpacked) and the row's number where the file
    /// has none: the same file replayed again is all duplicates, identical rows in it are not.
    pub fn open(config: &ReplayConfig) -> Result<Self> {
        let path = config.path.display().to_string();
        let id_prefix = hash(&config.path).map_err(|error| file_error(&path, &error))?;
        let (reader, sources) = Self::read_header(config)?;
        Ok(Self { path, reader, record: ByteRecord::new(), sources, id_prefix, row: 0 })
    }

    /// Errors: the file cannot be read, or its columns do not fill the fields. Only its header is read.
    pub fn check(config: &ReplayConfig) -> Result<()> {
        Self::read_header(config).map(drop)
    }

    fn read_header(config: &ReplayConfig) -> Result<(CsvReader, Vec<FieldSource>)> {
        let path = config.path.display().to_string();
        let input = open_text(&config.path).map_err(|error| file_error(&path, &error))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let header = reader.headers().map_err(|error| file_error(&path, &error))?.clone();
        let columns: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        let sources = field_sources(config, &columns)?;
        Ok((reader, sources))
    }

    /// The next row's event; None at the end of the file.
    pub fn next_event(&mut self) -> Result<Option<Record>> {
        let more = self.reader.read_byte_record(&mut self.record).map_err(|error| Error::File {
            path: self.path.clone(),
            reason: format!("row {}: {error}", self.row + 1),
        })?;
        if !more {
            return Ok(None);
        }
        self.row += 1;
        let mut event = Record::default();
        event.payload.push(b'{');
        for &place in WIRE_ORDER.iter() {
            let field = place.field();
            let made_id;
            let value = match self.value(place) {
                Some(value) => value,
                None if place == Place::ORDER_ID => {
                    made_id = format!("{}-{:09}", self.id_prefix, self.row);
                    made_id.as_bytes()
                }
                None => continue,
            };
            if place == Place::CARD_TOKEN {
                event.key = Some(value.to_vec());
            }
            if event.payload.len() > 1 {
                event.payload.push(b',');
            }
            push_text(field.key, &mut event.payload);
            event.payload.push(b':');
            push_cell(field, value, &mut event.payload);
        }
        event.payload.push(b'}');
        Ok(Some(event))
    }

    fn value(&self, place: Place) -> Option<&[u8]> {
        let source = &self.sources[place.index()];
        let cell = source.column.and_then(|column| self.record.get(column)).filter(|cell| !cell.is_empty());
        cell.or(source.fallback.as_deref().map(str::as_bytes))
    }
}

fn file_error(path: &str, error: &dyn fmt::Display) -> Error {
    Error::File { path: path.to_owned(), reason: error.to_string() }
}

/// The file's text: unpacked if it begins as gzip does, whatever its name.
fn open_text(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut start = [0u8; 2];
    let is_gzip = File::open(path)?.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
    let file = BufReader::with_capacity(1 << 16, File::open(path)?);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// The first 64 bits of the text's SHA-256, in hexadecimal.
fn hash(path: &Path) -> io::Result<String> {
    let mut text = open_text(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        match text.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let digest = hasher.finalize();
    Ok(format!("{:016x}", u64::from_be_bytes(std::array::from_fn(|at| digest[at]))))
}

fn field_sources(config: &ReplayConfig, columns: &[&str]) -> Result<Vec<FieldSource>> {
    let column = |name: &str| columns.iter().position(|column| *column == name);
    let mut sources: Vec<FieldSource> = FIELDS
        .iter()
        .map(|field| FieldSource {
            column: column(field.key).or_else(|| field.other_key.and_then(column)),
            fallback: None,
        })
        .collect();
    for (name, from) in &config.map {
        let at = place("map", name)?;
        sources[at].column = Some(column(from).ok_or_else(|| {
            let reason = format!("the file has no column {from:?}; it has {}", columns.join(", "));
            Error::config("map", reason)
        })?);
    }
    for (name, value) in &config.set {
        sources[place("set", name)?].fallback = Some(value.clone());
    }
    for (source, field) in sources.iter().zip(FIELDS) {
        let filled = source.column.is_some() || source.fallback.is_some();
        if field.required && !matches!(field.sql_type, SqlType::Id(_)) && !filled {
            let reason = format!(
                "no column fills {:?}; name one in `map`, as {}=COLUMN (the file has {})",
                field.key,
                field.key,
                columns.join(", ")
            );
            return Err(Error::config("map", reason));
        }
    }
    Ok(sources)
}

fn place(setting: &'static str, name: &str) -> Result<usize> {
    place_of_key(name).map(|(place, _)| place.index()).ok_or_else(|| {
        let known: Vec<&str> = FIELDS.iter().map(|field| field.key).collect();
        Error::config(setting, format!("{name:?} is not a field; the fields are {}", known.join(", ")))
    })
}

/// Appends a cell as its field's JSON type where it can be, else as a text: the consumer says what is wrong.
fn push_cell(field: &Field, cell: &[u8], out: &mut Vec<u8>) {
    let Ok(text) = std::str::from_utf8(cell) else {
        push_bytes(cell, out);
        return;
    };
    let is_plain = match field.sql_type {
        SqlType::Cents | SqlType::Share | SqlType::Degrees(_) | SqlType::Score => serde_json::from_str::<
            &serde_json::value::RawValue,
        >(text)
        .is_ok_and(|raw| raw.get() == text && text.starts_with(|first: char| first == '-' || first.is_ascii_digit())),
        SqlType::Flag => matches!(text, "true" | "false" | "0" | "1"),
        _ => false,
    };
    if is_plain {
        out.extend_from_slice(cell);
    } else if field.sql_type == SqlType::Flag && matches!(text, "True" | "TRUE" | "False" | "FALSE") {
        out.extend_from_slice(text.to_ascii_lowercase().as_bytes());
    } else {
        push_text(text, out);
    }
}

/// Bytes that are no UTF-8, as they are: the consumer rejects the message and keeps them.
fn push_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::event::{Cents, Micros};
    use crate::rejection::Reason;
    use crate::validate::validate;

    const TEXT: &str = "when,who,amount,note\n2014-03-06,Shop \"A\",12.5,x\n2014-03-06,,-3,\n,Shop,abc,\n";

    fn replay(name: &str, bytes: &[u8], map: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Vec<Record>> {
        let path = std::env::temp_dir().join(format!("ccstream-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        let opened = Replay::open(&ReplayConfig { path: path.clone(), map: own(map), set: own(set) });
        let mut events = Vec::new();
        let result = opened.and_then(|mut replay| {
            while let Some(event) = replay.next_event()? {
                events.push(event);
            }
            Ok(events)
        });
        std::fs::remove_file(path).unwrap();
        result
    }

    #[test]
    fn every_row_is_an_event() {
        let map = [("timestamp", "when"), ("merchant", "who")];
        let events =
            replay("rows.csv", TEXT.as_bytes(), &map, &[("merchant", "unknown"), ("currency", "GBP")]).unwrap();
        assert_eq!(events.len(), 3);
        let first = validate(Some(&events[0].payload)).unwrap();
        assert_eq!((first.value, first.timestamp), (Cents(1250), Micros(1_394_064_000_000_000)));
        assert_eq!(first.text(Place::MERCHANT), Some("Shop \"A\""));
        let second = validate(Some(&events[1].payload)).unwrap();
        assert_eq!((second.value, second.text(Place::MERCHANT)), (Cents(-300), Some("unknown")));
        assert_ne!(first.order_id, second.order_id);
        assert_eq!(validate(Some(&events[2].payload)).unwrap_err().reason, Reason::MissingField);
    }

    #[test]
    fn ids_come_from_the_text_and_not_from_its_packing() {
        let map = [("timestamp", "when")];
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(TEXT.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let plain = replay("ids.csv", TEXT.as_bytes(), &map, &[]).unwrap();
        assert_eq!(replay("ids.csv.gz", &packed, &map, &[]).unwrap(), plain);
        let other = replay("other.csv", TEXT.replace("12.5", "12.6").as_bytes(), &map, &[]).unwrap();
        assert_ne!(other[1].payload, plain[1].payload);
    }

    #[test]
    fn keys_numbers_and_bad_cells() {
        let text = b"timestamp,amount,card_token,risk_flag,merchant\n2014-03-06,1.5 ,tok,True,a\xffb\n".to_vec();
        let event = replay("cells.csv", &text, &[], &[]).unwrap().remove(0);
        assert_eq!(event.key.as_deref(), Some(b"tok".as_slice()));
        let shown = String::from_utf8_lossy(&event.payload).into_owned();
        assert!(shown.contains(r#""amount":"1.5 ""#) && shown.contains(r#""risk_flag":true"#), "{shown}");
        assert_eq!(validate(Some(&event.payload)).unwrap_err().reason, Reason::InvalidUtf8);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_name() {
        let events = replay("bom.csv", b"\xef\xbb\xbfamount,timestamp\n1,2014-03-06\n", &[], &[]).unwrap();
        assert!(validate(Some(&events[0].payload)).is_ok());
    }

    #[test]
    fn what_does_not_exist_is_named() {
        for (map, set, part) in [
            (vec![("timestamp", "date")], vec![], "no column \"date\"; it has when, who, amount, note"),
            (vec![("when", "when")], vec![], "\"when\" is not a field"),
            (vec![], vec![("fraud", "1")], "\"fraud\" is not a field"),
            (vec![], vec![], "no column fills \"timestamp\""),
        ] {
            let error = replay("errors.csv", TEXT.as_bytes(), &map, &set).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let missing = Replay::open(&ReplayConfig { path: "/nonexistent.csv".into(), ..Default::default() });
        assert!(missing.unwrap_err().to_string().starts_with("/nonexistent.csv: "));
    }
}
