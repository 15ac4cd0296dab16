//! Tests that length, fields, ids and microseconds do not tell one kind of payment from another.

use super::*;
use crate::generate::message::Message;
use crate::generate::payment::Kind;

#[test]
fn every_payload_has_the_same_length_and_fields() {
    let keys = |payload: &[u8]| {
        let text = std::str::from_utf8(payload).unwrap().trim_matches(['{', '}']).to_owned();
        text.split(",\"").map(|field| field.split(':').next().unwrap().trim_matches('"').to_owned()).collect::<Vec<_>>()
    };
    let mut message = Message::default();
    generator(1, 1.0, 5_000).next_message(&mut message);
    let (length, expected) = (message.record.payload.len(), keys(&message.record.payload));
    assert_eq!(expected.len(), crate::fields::COUNT);
    for seed in 1..4 {
        let mut generator = generator(seed, 1.0, 5_000);
        for _ in 0..20_000 {
            generator.next_message(&mut message);
            assert_eq!(message.record.payload.len(), length);
            assert_eq!(keys(&message.record.payload), expected);
            assert_eq!(message.record.key.as_ref().map(Vec::len), Some(20));
        }
    }
    println!("{length} bytes");
}

/// Counts payments by a number from 0 to 15, and returns the greatest deviation from equal counts, in standard
/// deviations.
fn deviation(of: &[&Seen], number: impl Fn(&Seen) -> usize) -> f64 {
    let mut counts = [0.0; 16];
    for one in of {
        counts[number(one)] += 1.0;
    }
    let expected = of.len() as f64 / 16.0;
    counts.iter().map(|count| ((count - expected) / expected.sqrt()).abs()).fold(0.0, f64::max)
}

#[test]
fn ids_and_microseconds_are_alike_for_all_kinds() {
    let mut generator = generator(11, 0.2, 8_000);
    let seen = stream(&mut generator, 1_000_000);
    let is_of = |kind: usize, one: &Seen| match one.payment.kind {
        Kind::Purchase => kind == 0,
        Kind::Subscription => kind == 1,
        Kind::Retry(_) => kind == 2,
        Kind::Refund(_) | Kind::Credit => kind == 3,
    };
    for kind in 0..4 {
        let all: Vec<&Seen> = seen.iter().filter(|one| is_of(kind, one)).collect();
        assert!(all.len() > 5_000);
        // By chance, the greatest of 16 deviations exceeds 4.5 in one of 10,000 cases.
        let micros = deviation(&all, |one| (one.time % 1_000 * 16 / 1_000) as usize);
        assert!(micros < 4.5, "kind {kind}: microseconds {micros}");
        for byte in 9..16 {
            for shift in [0, 4] {
                let bits = deviation(&all, |one| usize::from(one.id[byte] >> shift & 15));
                assert!(bits < 5.0, "kind {kind}: byte {byte} {bits}");
            }
        }
    }
}
