use super::*;
use crate::fields::Place;

fn reason(payload: &str) -> Reason {
    validate(Some(payload.as_bytes())).expect_err(payload).reason
}

/// Returns a valid message with one field added or replaced.
fn with(field: &str) -> String {
    let key = field.split(':').next().unwrap();
    let base = [r#""transaction_id":"a1""#, r#""amount":1.5"#, r#""timestamp":"2026-11-22T10:15:30Z""#];
    let kept: Vec<&str> = base.into_iter().filter(|part| !part.starts_with(key)).chain([field]).collect();
    format!("{{{}}}", kept.join(","))
}

#[test]
fn every_reason() {
    use Reason as R;
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let long_id = format!(r#""transaction_id":"{}""#, "x".repeat(60));
    let padded_id = format!(r#""transaction_id":"{:60}""#, "x");
    for (payload, expected) in [
        (String::new(), R::Empty),
        ("[]".into(), R::NotAnObject),
        (" \n".into(), R::Empty),
        ("\u{a0}{}".into(), R::NotAnObject),
        (deep, R::TooDeep),
        (r#"{"transaction_id":"a"#.into(), R::InvalidJson),
        (r#"{"transaction_id":"a"} x"#.into(), R::InvalidJson),
        (with(r#""x":01"#), R::InvalidJson),
        (with(r#""x":NaN"#), R::InvalidJson),
        (with(r#""merchant":"\ud800""#), R::InvalidJson),
        (with(r#""merchant":"a","merchant":"a""#), R::RepeatedKey),
        (with(r#""order_id":"b""#), R::ConflictingNames),
        (with(r#""value":1.6"#), R::ConflictingNames),
        ("{}".into(), R::MissingField),
        (with(r#""transaction_id":null"#), R::MissingField),
        (with(r#""transaction_id":7.5"#), R::WrongType),
        (with(r#""mcc":1e3"#), R::WrongType),
        (with(r#""merchant":7"#), R::WrongType),
        (with(r#""merchant":[]"#), R::WrongType),
        (with(r#""amount":true"#), R::WrongType),
        (with(r#""risk_flag":"yes""#), R::WrongType),
        (with(r#""risk_flag":2"#), R::WrongType),
        (with(r#""latitude":true"#), R::WrongType),
        (with(r#""latitude":"NaN""#), R::InvalidCoordinate),
        (with(r#""latitude":"+4.""#), R::InvalidCoordinate),
        (with(r#""card_token":4111111111111111"#), R::CardNumber),
        (with(r#""transaction_id":"""#), R::EmptyText),
        (with(r#""currency":"""#), R::EmptyText),
        (with(&long_id), R::TextTooLong),
        (with(&padded_id), R::TextTooLong),
        (with(r#""currency":"EURO""#), R::TextTooLong),
        (with(r#""merchant":"a\u0000b""#), R::NulCharacter),
        (with(r#""amount":"abc""#), R::InvalidAmount),
        (with(r#""amount":"NaN""#), R::InvalidAmount),
        (with(r#""amount":1e400"#), R::InvalidAmount),
        (with(r#""amount":100000000.00"#), R::InvalidAmount),
        (with(r#""amount":12.345"#), R::InvalidAmount),
        (with(r#""amount":1e-3"#), R::InvalidAmount),
        (with(r#""discount":0.125"#), R::InvalidDiscount),
        (with(r#""discount":1.01"#), R::InvalidDiscount),
        (with(r#""discount":-0.01"#), R::InvalidDiscount),
        (with(r#""timestamp":17638065300"#), R::InvalidTimestamp),
        (with(r#""timestamp":"20261122""#), R::InvalidTimestamp),
        (with(r#""timestamp":-1"#), R::InvalidTimestamp),
        (with(r#""timestamp":1e400"#), R::InvalidTimestamp),
        (with(r#""timestamp":"10000-01-01T00:00:00Z""#), R::InvalidTimestamp),
        (with(r#""timestamp":"2100-01-01T00:00:00Z""#), R::InvalidTimestamp),
        (with(r#""timestamp":"1969-12-31T23:59:59Z""#), R::InvalidTimestamp),
        (with(r#""timestamp":"2026-02-30T00:00:00Z""#), R::InvalidTimestamp),
        (with(r#""timestamp":"yesterday""#), R::InvalidTimestamp),
        (with(r#""timestamp":"2026-11-22T10:15:30[America/New_York]""#), R::InvalidTimestamp),
        (with(r#""latitude":91"#), R::InvalidCoordinate),
        (with(r#""longitude":-1e999"#), R::InvalidCoordinate),
        (with(r#""merchant":"pan 4111 1111 1111 1111""#), R::CardNumber),
    ] {
        assert_eq!(reason(&payload), expected, "{payload}");
    }
    assert_eq!(validate(None).unwrap_err().reason, R::Tombstone);
    assert_eq!(validate(Some(&vec![b' '; MAX_PAYLOAD_BYTES + 1])).unwrap_err().reason, R::TooLarge);
    assert_eq!(validate(Some(b"{\"x\":\"\xff\"}")).unwrap_err().reason, R::InvalidUtf8);
}

#[test]
fn every_reason_has_a_different_name() {
    let mut words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Reason::ALL.len());
}

#[test]
fn amounts_are_read_by_value() {
    for (text, cents) in [("12.450", 1245), ("1e2", 10_000), ("-3.10", -310), ("\"7.25\"", 725), ("0", 0)] {
        let payload = with(&format!("\"amount\":{text}"));
        assert_eq!(validate(Some(payload.as_bytes())).unwrap().value, Cents(cents), "{text}");
    }
}

#[test]
fn timestamps() {
    for (text, micros) in [
        (r#""2026-11-22T10:15:30.123456Z""#, 1_795_342_530_123_456),
        (r#""2026-11-22T12:15:30.123456+02:00""#, 1_795_342_530_123_456),
        (r#""2026-11-22 10:15:30.123456""#, 1_795_342_530_123_456),
        (r#""2026-11-22T10:15:30.123456+00:00""#, 1_795_342_530_123_456),
        (r#""2026-11-22T10:15:30.123456999Z""#, 1_795_342_530_123_456),
        ("1795342530123", 1_795_342_530_123_000),
        ("1795342530123.456", 1_795_342_530_123_456),
        ("1795342530", 1_795_342_530_000_000),
        (r#""1795342530123456789""#, 1_795_342_530_123_456),
        (r#""1970-01-01T00:00:00Z""#, 0),
        (r#""2026-11-22""#, 1_795_305_600_000_000),
    ] {
        let payload = with(&format!("\"timestamp\":{text}"));
        assert_eq!(validate(Some(payload.as_bytes())).unwrap().timestamp, Micros(micros), "{text}");
    }
}

#[test]
fn both_names_with_equal_values() {
    let payload = with(r#""order_id":"a1","value":"1.50","city":"Bonn","location":"Bonn""#);
    let transaction = validate(Some(payload.as_bytes())).unwrap();
    assert_eq!((&*transaction.order_id, transaction.value), ("a1", Cents(150)));
    assert_eq!(transaction.text(Place::CITY), Some("Bonn"));
}

#[test]
fn a_null_counts_as_absent_under_either_name() {
    for (fields, city) in [
        (r#""order_id":null,"city":null,"location":"Bonn""#, "Bonn"),
        (r#""order_id":null,"city":"Bonn","location":null"#, "Bonn"),
    ] {
        let payload = with(fields);
        let transaction = validate(Some(payload.as_bytes())).unwrap();
        assert_eq!((&*transaction.order_id, transaction.text(Place::CITY)), ("a1", Some(city)));
    }
}

#[test]
fn unknown_fields_are_ignored_and_nulls_are_absent() {
    let payload = with(r#""fraud":{"a":[1,"4111111111111111"]},"merchant":null,"risk_flag":1"#);
    let transaction = validate(Some(payload.as_bytes())).unwrap();
    assert_eq!((transaction.text(Place::MERCHANT), transaction.flag(Place::RISK_FLAG)), (None, Some(true)));
}

#[test]
fn details_are_masked_and_short() {
    let payload = with(r#""amount":"4111111111111111""#);
    let detail = validate(Some(payload.as_bytes())).unwrap_err().detail;
    assert!(detail.contains("************1111"), "{detail}");
    let payload = with(&format!("\"amount\":\"{}4111111111111111\"", "x".repeat(25)));
    let detail = validate(Some(payload.as_bytes())).unwrap_err().detail;
    assert!(!detail.contains("4111"), "{detail}");
    let payload = with(&format!("\"amount\":\"{}\"", "9".repeat(500)));
    assert!(validate(Some(payload.as_bytes())).unwrap_err().detail.len() < 100);
}

#[test]
fn brackets_in_a_text_do_not_count_as_nesting() {
    let payload = with(&format!("\"merchant\":\"{}\"", "[".repeat(100)));
    assert!(validate(Some(payload.as_bytes())).is_ok());
}

proptest::proptest! {
    /// No byte string makes the checks panic.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = validate(Some(&bytes));
    }

    /// No random combination of brackets, quotes and keys makes the checks panic.
    #[test]
    fn any_jsonish(text in r#"\{("(order_id|value|timestamp|city|x)":("[a\\u0"]{0,3}"|[-0-9.eE]{0,6}|[\[\]{}]{0,3}|null|true),?){0,6}\}?"#) {
        let _ = validate(Some(text.as_bytes()));
    }
}

#[test]
fn a_score_is_a_number_from_0_to_1() {
    let field = Field { sql_type: SqlType::Score, ..*Place::LATITUDE.field() };
    for (raw, expected) in [("0", 0.0), ("1.0", 1.0), ("0.125", 0.125)] {
        assert_eq!(read_field(&field, raw, true), Ok(Some(Datum::Real(expected))), "{raw}");
    }
    for raw in ["-0.1", "1.5", "1e400"] {
        assert_eq!(read_field(&field, raw, true).unwrap_err().reason, Reason::InvalidScore, "{raw}");
    }
    assert_eq!(read_field(&field, "\"0.5\"", true), Ok(Some(Datum::Real(0.5))));
    assert_eq!(read_field(&field, "true", true).unwrap_err().reason, Reason::WrongType);
    assert_eq!(read_field(&field, "null", true), Ok(None));
}

#[test]
fn ids_may_be_whole_numbers_and_numbers_may_be_texts() {
    let payload = with(
        r#""transaction_id":1001,"mcc":5411,"card_last4":4242,"latitude":"41.88","longitude":"-8.763e1","order_id":"1001","risk_flag":"1""#,
    );
    let transaction = validate(Some(payload.as_bytes())).unwrap();
    assert_eq!(&*transaction.order_id, "1001");
    assert_eq!((transaction.text(Place::MCC), transaction.text(Place::CARD_LAST4)), (Some("5411"), Some("4242")));
    for (raw, degrees) in [(r#""41.88""#, 41.88), (r#""-8.763e1""#, -87.63)] {
        assert_eq!(read_field(Place::LATITUDE.field(), raw, true), Ok(Some(Datum::Real(degrees))));
    }
    assert_eq!(transaction.flag(Place::RISK_FLAG), Some(true));
}

#[test]
fn white_space_and_a_byte_order_mark_may_come_first() {
    for start in [" ", "\n", "\r\n\t ", "\u{feff}", "\u{feff} "] {
        let payload = format!("{start}{}", with(r#""mcc":"5411""#));
        assert!(validate(Some(payload.as_bytes())).is_ok(), "{start:?}");
    }
}

#[test]
fn a_detail_has_a_hint_on_the_mistake() {
    let event = with(r#""mcc":"5411""#);
    let registry = |inner: &[u8]| [&[0, 0, 0, 0, 42], inner].concat();
    let utf16: Vec<u8> = event.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (payload, reason, part) in [
        (serde_json::to_vec(&event).unwrap(), Reason::NotAnObject, "encoded twice"),
        (format!("[{event}]").into_bytes(), Reason::NotAnObject, "an array"),
        (registry(b"\x08ab12"), Reason::NotAnObject, "schema 42"),
        (registry(b"\x08\xff"), Reason::InvalidUtf8, "schema registry"),
        (registry(event.as_bytes()), Reason::NotAnObject, "JSON Schema"),
        (b"\x1f\x8b\x08\xff".to_vec(), Reason::InvalidUtf8, "gzip"),
        (utf16, Reason::InvalidJson, "UTF-16"),
        (b"<event/>".to_vec(), Reason::NotAnObject, "XML"),
        (format!(r#"{{"schema":{{}},"payload":{event}}}"#).into_bytes(), Reason::MissingField, "Kafka Connect"),
        (format!(r#"{{"before":null,"after":{event},"op":"c"}}"#).into_bytes(), Reason::MissingField, "Debezium"),
        (format!(r#"{{"specversion":"1.0","data":{event}}}"#).into_bytes(), Reason::MissingField, "CloudEvent"),
        (format!(r#"{{"data":{event}}}"#).into_bytes(), Reason::MissingField, "may be within"),
        (with(r#""V3":NaN"#).into_bytes(), Reason::InvalidJson, "; NaN is"),
        (with(r#""V3":-Infinity"#).into_bytes(), Reason::InvalidJson, "; -Infinity is"),
        (with("\"V3\":\n\n  None").into_bytes(), Reason::InvalidJson, "Python"),
        (b"{'order_id': 1}".to_vec(), Reason::InvalidJson, "double quotes"),
        (b"{}".to_vec(), Reason::MissingField, "is absent or null"),
    ] {
        let rejection = validate(Some(&payload)).unwrap_err();
        assert_eq!(rejection.reason, reason, "{}", rejection.detail);
        assert!(rejection.detail.contains(part), "{}", rejection.detail);
    }
}

#[test]
fn the_message_of_the_docs_is_valid() {
    let docs = include_str!("../../../../docs/data.md");
    let (_, rest) = docs.split_once("```json\n").unwrap();
    let (message, _) = rest.split_once("```").unwrap();
    let event = validate(Some(message.trim_end().as_bytes())).unwrap();
    assert_eq!((event.value, event.text(Place::CITY)), (Cents(1245), Some("Chicago")));
}
