//! Turns each row of a CSV file into an event. Invalid rows are sent too: the consumer rejects them and stores them as
//! dead letters, with the reason. A file with a card number in a field that would be sent is refused as a whole.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::card_number;
use crate::codec::WIRE_ORDER;
use crate::error::{Error, Result};
use crate::fields::{COUNT, FIELDS, Field, Place, place_of_key};
use crate::json::push_text;
use crate::record::Record;
use crate::rejection::Rejection;
use crate::sql_type::SqlType;
use crate::tokens::{TokenConfig, Tokens};
use crate::units::Micros;
use crate::validate::{parse_moment, validate};

/// Configures how the rows of a file become events.
#[derive(Debug, Clone, Default)]
pub struct ReplayConfig {
    /// The path of the file, plain or gzipped.
    pub path: PathBuf,
    /// Pairs of a field and the column that fills it. A column that has the name of a field fills that field by
    /// default.
    pub map: Vec<(String, String)>,
    /// Pairs of a field and the value that it gets if the file has none.
    pub set: Vec<(String, String)>,
    /// The fields whose values are replaced by tokens, and the key for that; None to send all values as they are.
    pub tokens: Option<TokenConfig>,
}

/// Describes where the value of a field comes from.
#[derive(Debug, Clone, Default)]
struct FieldSource {
    /// The index of the column in the row.
    column: Option<usize>,
    /// The value if there is no such column or its cell is empty.
    fallback: Option<String>,
    /// Whether a token is sent instead of the value.
    is_tokenized: bool,
}

type CsvReader = csv::Reader<Box<dyn Read + Send>>;

/// Reads a file and returns one event for each row, in the order of the file.
pub struct Replay {
    path: String,
    reader: CsvReader,
    record: ByteRecord,
    sources: Vec<FieldSource>,
    tokens: Option<Tokens>,
    /// The prefix of generated ids: the hash of the file.
    id_prefix: String,
    row: u64,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("path", &self.path).field("row", &self.row).finish_non_exhaustive()
    }
}

impl Replay {
    /// Opens the file, and reads all of it to compute its hash and to search for card numbers. Fails if the configuration
    /// or the header is invalid (see [`Replay::check`]), a value to be sent contains a card number, or the file has rows
    /// but none is valid.
    ///
    /// A row without an id gets one that consists of the hash of the file's unpacked text and the number of the row. So
    /// if a file is replayed again, all of its events are duplicates, but identical rows within a file are not.
    pub fn open(config: &ReplayConfig) -> Result<Self> {
        let path = config.path.display().to_string();
        let id_prefix = hash(&config.path).map_err(|error| file_error(&path, &error))?;
        let begin = || Self::begin(config, id_prefix.clone());
        let mut whole = begin()?;
        let (mut has_valid, mut first) = (false, None);
        while whole.read_row()? {
            whole.check_row()?;
            if !has_valid {
                match validate(Some(&whole.event().payload)) {
                    Ok(_) => has_valid = true,
                    Err(rejection) => first = first.or(Some(rejection)),
                }
            }
        }
        match first {
            Some(Rejection { reason, detail }) if !has_valid => Err(Error::File {
                path,
                reason: format!(
                    "none of its {} rows is a valid transaction, so nothing was sent; row 1 is {reason}: {detail}",
                    whole.row
                ),
            }),
            _ => begin(),
        }
    }

    /// Checks the configuration and the header of the file. Fails if the file or the token key cannot be read, a field or
    /// column does not exist, or no column fills a required field.
    pub fn check(config: &ReplayConfig) -> Result<()> {
        Self::begin(config, String::new()).map(drop)
    }

    fn begin(config: &ReplayConfig, id_prefix: String) -> Result<Self> {
        let path = config.path.display().to_string();
        let input = open_text(&config.path).map_err(|error| file_error(&path, &error))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let header = reader.headers().map_err(|error| file_error(&path, &error))?.clone();
        let columns: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        let sources = field_sources(config, &columns)?;
        let tokens = config.tokens.as_ref().map(Tokens::new).transpose()?;
        Ok(Self { path, reader, record: ByteRecord::new(), sources, tokens, id_prefix, row: 0 })
    }

    /// Reads the next row; returns whether there is one. Fails if the text is not CSV.
    fn read_row(&mut self) -> Result<bool> {
        let more = self.reader.read_byte_record(&mut self.record).map_err(|error| Error::File {
            path: self.path.clone(),
            reason: format!("row {}: {error}", self.row + 1),
        })?;
        self.row += u64::from(more);
        Ok(more)
    }

    /// Fails if a value to be sent contains a card number. Ids are exempt, because an id may look like a card number.
    fn check_row(&self) -> Result<()> {
        for &place in WIRE_ORDER.iter().filter(|&&place| place != Place::ORDER_ID) {
            if !self.sources[place.index()].is_tokenized && self.value(place).is_some_and(card_number::is_in) {
                let key = place.field().key;
                let reason = format!(
                    "row {}: the value for {key:?} contains a card number, which must not be sent; name the field in \
                     `tokenize` to send a token instead",
                    self.row
                );
                return Err(Error::File { path: self.path.clone(), reason });
            }
        }
        Ok(())
    }

    /// Returns the event of the next row; None at the end of the file.
    pub fn next_event(&mut self) -> Result<Option<Record>> {
        if !self.read_row()? {
            return Ok(None);
        }
        // `open` has checked the rows, but the file may have changed since.
        self.check_row()?;
        Ok(Some(self.event()))
    }

    /// Returns the time of the current row's event; None if it is invalid.
    pub fn time(&self) -> Option<Micros> {
        let text = std::str::from_utf8(self.value(Place::TIMESTAMP)?).ok()?;
        parse_moment(text).ok()
    }

    /// Returns the event of the current row.
    fn event(&self) -> Record {
        let mut event = Record::default();
        event.payload.push(b'{');
        for &place in WIRE_ORDER.iter() {
            let field = place.field();
            let generated;
            let value = match (self.value(place), &self.tokens) {
                (Some(value), Some(tokens)) if self.sources[place.index()].is_tokenized => {
                    generated = tokens.of(value);
                    generated.as_bytes()
                }
                (Some(value), _) => value,
                (None, _) if place == Place::ORDER_ID => {
                    generated = format!("{}-{:09}", self.id_prefix, self.row);
                    generated.as_bytes()
                }
                (None, _) => continue,
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
        event
    }

    fn value(&self, place: Place) -> Option<&[u8]> {
        let source = &self.sources[place.index()];
        let cell = source.column.and_then(|column| self.record.get(column)).filter(|cell| !cell.is_empty());
        cell.or(source.fallback.as_deref().map(str::as_bytes))
    }
}

pub(crate) fn file_error(path: &str, error: &dyn fmt::Display) -> Error {
    Error::File { path: path.to_owned(), reason: error.to_string() }
}

/// Opens the file's text. It is unpacked if it begins like gzip, whatever the file's name.
pub(crate) fn open_text(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut start = [0u8; 2];
    let is_gzip = File::open(path)?.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
    let file = BufReader::with_capacity(1 << 16, File::open(path)?);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Returns the first 64 bits of the SHA-256 of the file's text, in hexadecimal.
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
            ..FieldSource::default()
        })
        .collect();
    let mut mapped = [false; COUNT];
    for (name, from) in &config.map {
        let at = place("map", name)?;
        if std::mem::replace(&mut mapped[at], true) {
            return Err(Error::config("map", format!("{:?} is mapped twice", FIELDS[at].key)));
        }
        sources[at].column = Some(column(from).ok_or_else(|| {
            let reason = format!("the file has no column {from:?}; it has {}", columns.join(", "));
            Error::config("map", reason)
        })?);
    }
    for (name, value) in &config.set {
        sources[place("set", name)?].fallback = Some(value.clone());
    }
    for name in config.tokens.iter().flat_map(|tokens| &tokens.fields) {
        let at = place("tokenize", name)?;
        if !matches!(FIELDS[at].sql_type, SqlType::Text(_)) {
            return Err(Error::config("tokenize", format!("{name:?} is not a text field, so it cannot hold a token")));
        }
        sources[at].is_tokenized = true;
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

/// Appends a cell as the JSON type of its field, or as a string if that is impossible. If the consumer cannot read the
/// string either, it rejects the event and says what is wrong.
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

/// Appends bytes that are not UTF-8 unchanged. The consumer rejects the message and stores it as a dead letter.
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
    use crate::event::Cents;
    use crate::rejection::Reason;

    const TEXT: &str = "when,who,amount,note\n2014-03-06,Shop \"A\",12.5,x\n2014-03-06,,-3,\n,Shop,abc,\n";

    fn replay(name: &str, bytes: &[u8], map: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Vec<Record>> {
        replay_with(name, bytes, map, set, None)
    }

    fn replay_with(
        name: &str,
        bytes: &[u8],
        map: &[(&str, &str)],
        set: &[(&str, &str)],
        tokens: Option<TokenConfig>,
    ) -> Result<Vec<Record>> {
        let path = std::env::temp_dir().join(format!("ccstream-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        let opened = Replay::open(&ReplayConfig { path: path.clone(), map: own(map), set: own(set), tokens });
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
    fn every_row_becomes_an_event() {
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
    fn ids_depend_on_the_text_and_not_on_its_compression() {
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
    fn keys_numbers_and_invalid_cells() {
        let text =
            b"timestamp,amount,card_token,risk_flag,merchant\n2014-03-06,1.5 ,tok,True,a\xffb\n1394064000,2,,,\n";
        let event = replay("cells.csv", text, &[], &[]).unwrap().remove(0);
        assert_eq!(event.key.as_deref(), Some(b"tok".as_slice()));
        let shown = String::from_utf8_lossy(&event.payload).into_owned();
        assert!(shown.contains(r#""amount":"1.5 ""#) && shown.contains(r#""risk_flag":true"#), "{shown}");
        assert_eq!(validate(Some(&event.payload)).unwrap_err().reason, Reason::InvalidUtf8);
    }

    const CARDS: &str = "timestamp,amount,cc_num,merchant\n2014-03-06,1,tok,Shop\n2014-03-06,1,4111 1111 1111 1111,Shop\n\
                         2014-03-06,1,4111111111111111,Shop\n2014-03-06,1,630423337322,Shop\n";

    #[test]
    fn a_card_number_is_not_sent() {
        let error = replay("refused.csv", CARDS.as_bytes(), &[("card_token", "cc_num")], &[]).unwrap_err().to_string();
        assert!(error.contains("row 2: ") && error.contains("card_token") && error.contains("tokenize"), "{error}");
        assert!(!error.contains("1111"), "{error}");
        let error = replay("set.csv", CARDS.as_bytes(), &[], &[("card_token", "378282246310005")]).unwrap_err();
        assert!(error.to_string().contains("row 1: "), "{error}");
        // Columns that are not sent are not checked, and an id may look like a card number.
        assert_eq!(replay("unused.csv", CARDS.as_bytes(), &[], &[]).unwrap().len(), 4);
        let ids = "timestamp,amount,transaction_id\n2014-03-06,1,4111111111111111\n";
        assert_eq!(replay("ids-only.csv", ids.as_bytes(), &[], &[]).unwrap().len(), 1);
    }

    #[test]
    fn a_token_replaces_a_card_number() {
        let key = std::env::temp_dir().join(format!("ccstream-{}-key", std::process::id()));
        crate::private_file::write_for_test(&key, b"sixteen bytes and more\n", 0o600);
        let tokens = |fields: &[&str]| {
            Some(TokenConfig { fields: fields.iter().map(|&name| name.to_owned()).collect(), key_file: key.clone() })
        };
        let map = [("card_token", "cc_num")];
        let events = replay_with("tokens.csv", CARDS.as_bytes(), &map, &[], tokens(&["card_token"])).unwrap();
        let keys: Vec<_> = events.iter().map(|event| event.key.clone().unwrap()).collect();
        assert_eq!(keys[1], keys[2], "separators do not matter");
        assert!(keys[0] != keys[1] && keys[1] != keys[3]);
        for (event, key) in events.iter().zip(&keys) {
            let transaction = validate(Some(&event.payload)).unwrap();
            assert_eq!(transaction.text(Place::CARD_TOKEN).map(str::as_bytes), Some(key.as_slice()));
            assert!(!String::from_utf8_lossy(&event.payload).contains("1111"));
        }
        let error = replay_with("amount.csv", CARDS.as_bytes(), &map, &[], tokens(&["amount"])).unwrap_err();
        assert!(error.to_string().starts_with("tokenize: "), "{error}");
        std::fs::remove_file(key).unwrap();
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_a_name() {
        let events = replay("bom.csv", b"\xef\xbb\xbfamount,timestamp\n1,2014-03-06\n", &[], &[]).unwrap();
        assert!(validate(Some(&events[0].payload)).is_ok());
    }

    #[test]
    fn errors_name_what_does_not_exist() {
        for (map, set, part) in [
            (vec![("timestamp", "date")], vec![], "no column \"date\"; it has when, who, amount, note"),
            (vec![("when", "when")], vec![], "\"when\" is not a field"),
            (vec![], vec![("fraud", "1")], "\"fraud\" is not a field"),
            (
                vec![("amount", "amount"), ("value", "note"), ("timestamp", "when")],
                vec![],
                "\"amount\" is mapped twice",
            ),
            (vec![("timestamp", "who")], vec![], "3 rows"),
            (vec![], vec![], "no column fills \"timestamp\""),
        ] {
            let error = replay("errors.csv", TEXT.as_bytes(), &map, &set).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let missing = Replay::open(&ReplayConfig { path: "/nonexistent.csv".into(), ..Default::default() });
        assert!(missing.unwrap_err().to_string().starts_with("/nonexistent.csv: "));
    }
}
