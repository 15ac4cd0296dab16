//! Tests of valid and invalid messages, of limits, and of the hash.

use super::*;

const FULL: &str = r#"{"kind": "incident", "transaction_id": "0199f0c2-6d5e-7c3a-9d55-0a4b6c1d2e3f",
    "scenario": "issuer_out", "campaign": -7, "timestamp": "1970-01-01T00:00:01.000002Z",
    "until": "1970-01-01T01:00:00+01:00", "subject": "Café \"Zoë\"", "detail": "91", "later": [1, {"kind": 2}]}"#;

fn read(text: &str) -> Result<Truth, String> {
    Truth::read(Some(text.as_bytes()))
}

/// Reads a message with the required fields and more.
fn with(more: &str) -> Result<Truth, String> {
    read(&format!(r#"{{"kind":"fraud","timestamp":"2026-01-01T00:00:00Z"{more}}}"#))
}

#[test]
fn every_field_is_read() {
    let text = |text: &str| Some(text.to_owned());
    let expected = Truth {
        kind: "incident",
        transaction_id: text("0199f0c2-6d5e-7c3a-9d55-0a4b6c1d2e3f"),
        scenario: text("issuer_out"),
        campaign: Some(-7),
        timestamp: Micros(1_000_002),
        until: Some(Micros(0)),
        subject: text("Café \"Zoë\""),
        detail: text("91"),
    };
    assert_eq!(read(FULL), Ok(expected));
    let least = with("").unwrap();
    assert_eq!((least.kind, least.campaign, &least.subject, least.until), ("fraud", None, &None, None));
    let nulls = r#","transaction_id":null,"scenario":null,"campaign":null,"until":null,"subject":null,"detail":null"#;
    assert_eq!(with(nulls), Ok(least));
    for kind in KINDS {
        assert_eq!(read(&format!(r#"{{"kind":"{kind}","timestamp":"2026-01-01"}}"#)).unwrap().kind, kind);
    }
}

#[test]
fn an_invalid_message_gives_the_reason() {
    for (text, part) in [
        ("", "no bytes"),
        ("[]", "not '{'"),
        ("{", "EOF while parsing"),
        (r#"{"kind":"fraud"}"#, "missing field `timestamp`"),
        (r#"{"timestamp":"2026-01-01"}"#, "missing field `kind`"),
        (r#"{"kind":"theft","timestamp":"2026-01-01"}"#, r#"kind "theft" is none of fraud, twin"#),
        (r#"{"kind":"fraud","kind":"fraud","timestamp":"2026-01-01"}"#, "duplicate field `kind`"),
        (r#"{"kind":"fraud","timestamp":"soon"}"#, r#"timestamp "soon" is not a time in the format"#),
        (r#"{"kind":"fraud","timestamp":1}"#, "expected a string"),
        (r#"{"kind":"fraud","timestamp":"2026-01-01"} x"#, "trailing characters"),
    ] {
        let reason = read(text).unwrap_err();
        assert!(reason.contains(part), "{text}: {reason}");
    }
    for (more, part) in [
        (r#","until":"2100-01-01""#, "until \"2100-01-01\" is not in the years 1970"),
        (r#","campaign":1.5"#, "floating point"),
        (r#","campaign":"1""#, "expected i64"),
        (r#","transaction_id":"""#, "transaction_id is empty"),
        (r#","subject":"a\u0000b""#, "subject has a NUL"),
        (r#","detail":"paid by 4111 1111 1111 1111""#, "detail has a card number"),
    ] {
        let reason = with(more).unwrap_err();
        assert!(reason.contains(part), "{more}: {reason}");
    }
    assert_eq!(Truth::read(None).unwrap_err(), "the payload is null");
    assert!(Truth::read(Some(b"{\"\xff\"}")).unwrap_err().contains("not UTF-8"));
}

#[test]
fn only_an_id_may_look_like_a_card_number() {
    // The id of the purchase that a refund or a retry belongs to has these digits by chance.
    let of = |kind: &str, scenario: &str| {
        let rest = r#""timestamp":"2026-01-01","subject":"4111-1111-1111-1111""#;
        read(&format!(r#"{{"kind":"{kind}","scenario":"{scenario}",{rest}}}"#))
    };
    for kind in KINDS {
        assert_eq!(of(kind, "S1").is_ok(), ["refund", "retry"].contains(&kind), "{kind}");
        assert!(of(kind, "S7").is_ok(), "{kind}");
    }
    assert_eq!(of("incident", "").unwrap_err(), "subject has a card number");
}

#[test]
fn texts_and_messages_have_limits_in_characters() {
    for (name, limit) in [("transaction_id", 50), ("scenario", 50), ("subject", 200), ("detail", 4000)] {
        let of = |chars| with(&format!(r#","{name}":"{}""#, "é".repeat(chars)));
        assert!(of(limit).is_ok(), "{name}");
        assert!(of(limit + 1).unwrap_err().contains(&format!("{name} has {} characters", limit + 1)), "{name}");
    }
    let padded = |bytes: usize| {
        let start = r#"{"kind":"fraud","timestamp":"2026-01-01","x":""#;
        read(&format!("{start}{}\"}}", "x".repeat(bytes - start.len() - 2)))
    };
    assert!(padded(MAX_BYTES).is_ok());
    assert!(padded(MAX_BYTES + 1).unwrap_err().contains("it has 65537 bytes"));
}

#[test]
fn a_reason_is_short_and_has_no_card_number() {
    // The limit falls within the card number, so a number that was cut before masking would remain.
    let long = format!(r#"{{"kind":"{}4111111111111111","timestamp":"2026-01-01"}}"#, "x".repeat(185));
    let reason = read(&long).unwrap_err();
    assert!(reason.chars().count() == MAX_REASON_CHARS + 3 && !reason.contains("4111"), "{reason}");
    assert!(!read("{\"kind\":\"a\\nb\",\"timestamp\":\"\"}").unwrap_err().contains('\n'));
}

#[test]
fn the_digest_is_of_the_content() {
    let one = read(FULL).unwrap();
    let again = read(&FULL.replace(": ", ":").replace("1970-01-01T01:00:00+01:00", "1970-01-01T00:00:00Z")).unwrap();
    assert_eq!(one.digest(), again.digest());
    let mut others = vec![one.digest()];
    let changes: [fn(&mut Truth); 9] = [
        |truth| truth.kind = "world",
        |truth| truth.transaction_id = None,
        |truth| truth.scenario = Some(String::new()),
        |truth| truth.scenario = None,
        |truth| truth.campaign = Some(0),
        |truth| truth.campaign = None,
        |truth| truth.timestamp = Micros(1_000_003),
        |truth| truth.until = None,
        // The letters are the same, but in other fields.
        |truth| (truth.subject, truth.detail) = (Some("Café \"Zoë\"9".into()), Some("1".into())),
    ];
    for change in changes {
        let mut truth = one.clone();
        change(&mut truth);
        others.push(truth.digest());
    }
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), 10);
}
