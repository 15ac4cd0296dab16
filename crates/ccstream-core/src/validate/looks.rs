//! Recognizes common mistakes in messages that are not events, and says how the sender can fix each.

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// The first bytes of other formats, and the hint for each.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "it looks like gzip: send it uncompressed, and let the producer compress it by `compression.type`"),
    (
        b"\x28\xb5\x2f\xfd",
        "it looks like zstd: send it uncompressed, and let the producer compress it by `compression.type`",
    ),
    (b"\xff\xfe", "it looks like UTF-16: send UTF-8"),
    (b"\xfe\xff", "it looks like UTF-16: send UTF-8"),
    (b"\0{", "it looks like UTF-16: send UTF-8"),
    (b"Obj\x01", "it looks like an Avro file: send each record as a JSON object"),
    (b"PAR1", "it looks like a Parquet file: send each row as a JSON object"),
    (b"[", "it is an array: send each of its objects as a message"),
    (b"<", "it looks like XML: send a JSON object"),
    (b"'", "it looks like a Python string: send the result of json.dumps(object)"),
];

/// The length of the header that the serializers of schema registries write: a zero, and the id of the schema in 4
/// bytes.
const REGISTRY_HEAD: usize = 5;

/// Returns a hint on bytes that do not begin like a JSON object.
pub(super) fn bytes(bytes: &[u8]) -> Option<String> {
    if let Some((_, what)) = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some((*what).to_owned());
    }
    if let Some(&[0, a, b, c, d]) = bytes.get(..REGISTRY_HEAD) {
        let number = u32::from_be_bytes([a, b, c, d]);
        let format = if bytes.get(REGISTRY_HEAD) == Some(&b'{') { "JSON Schema" } else { "Avro or Protobuf" };
        return Some(format!(
            "it looks like {format} with the header of a schema registry (schema {number}): send plain JSON, as \
             Kafka's JsonConverter or StringSerializer does"
        ));
    }
    let inner: String = serde_json::from_slice(bytes).ok()?;
    inner.trim_start().starts_with('{').then(|| {
        "it is a string with JSON in it, as if encoded twice: send the object itself, or use the StringSerializer"
            .to_owned()
    })
}

/// Returns a hint on an object without a required field.
pub(super) fn envelope(text: &str) -> Option<&'static str> {
    let mut keys = Keys::default();
    serde_json::Deserializer::from_str(text).deserialize_map(&mut keys).ok()?;
    let Keys { schema, payload, before, after, op, specversion, data } = keys;
    if schema && payload {
        return Some(
            "it looks like the envelope of Kafka Connect, with the event in \"payload\": set \
             value.converter.schemas.enable=false, and unwrap a change event with ExtractNewRecordState",
        );
    }
    if op && (before || after) {
        return Some("it looks like a change event of Debezium: unwrap it with ExtractNewRecordState");
    }
    if specversion {
        return Some(if data {
            "it looks like a CloudEvent with the event in \"data\": use the binary content mode, or send \"data\" alone"
        } else {
            "it looks like a CloudEvent without \"data\""
        });
    }
    if payload || data {
        return Some("the event may be within \"payload\" or \"data\": send only that");
    }
    None
}

/// Notes which of the keys of known envelopes an object has.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one key")]
struct Keys {
    schema: bool,
    payload: bool,
    before: bool,
    after: bool,
    op: bool,
    specversion: bool,
    data: bool,
}

impl<'de> Visitor<'de> for &mut Keys {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match &*key {
                "schema" => self.schema = true,
                "payload" => self.payload = true,
                "before" => self.before = true,
                "after" => self.after = true,
                "op" => self.op = true,
                "specversion" => self.specversion = true,
                "data" => self.data = true,
                _ => {}
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Words of other languages that are not valid JSON, and the hint for each.
const WORDS: &[(&str, &str)] = &[
    ("-Infinity", "-Infinity is not a JSON number: send null, or omit the field"),
    ("Infinity", "Infinity is not a JSON number: send null, or omit the field"),
    ("NaN", "NaN is not a JSON number: send null, or omit the field"),
    ("undefined", "undefined is not valid JSON: send null, or omit the field"),
    ("None", "None is Python, not JSON: send the result of json.dumps(object)"),
    ("True", "True is Python, not JSON: send the result of json.dumps(object)"),
    ("False", "False is Python, not JSON: send the result of json.dumps(object)"),
    ("'", "JSON has double quotes, not single ones: send the result of json.dumps(object)"),
];

/// Returns a hint on what is written at a JSON error; `serde_json` reports its line and column.
pub(super) fn slip(text: &str, line: usize, column: usize) -> Option<&'static str> {
    if text.as_bytes().get(1) == Some(&0) {
        return Some("it looks like UTF-16: send UTF-8");
    }
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let at = (start + column.saturating_sub(1)).min(text.len());
    // The parser may report a position some letters after the beginning of the word.
    WORDS.iter().find_map(|(word, what)| {
        let earliest = at.saturating_sub(word.len());
        let is_at = |from: usize| {
            let before = from.checked_sub(1).map(|before| text.as_bytes()[before]);
            before != Some(b'"') && text.as_bytes()[from..].starts_with(word.as_bytes())
        };
        (earliest..=at).any(is_at).then_some(*what)
    })
}
