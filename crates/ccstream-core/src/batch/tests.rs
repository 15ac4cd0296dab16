//! Tests batches that are filled by hand.

use super::*;
use crate::rejection::Reason;
use crate::validate::validate;

fn transaction(id: &str, cents: i64) -> Transaction<'_> {
    Transaction::new(id, Micros(61_000_000), Cents(cents)).with(Place::CURRENCY, "EUR")
}

fn head(kept: Option<&Kept>) -> Option<&[u8]> {
    kept.map(|kept| kept.head.as_slice())
}

fn at(next: i64) -> Cursor {
    Cursor { epoch: 1, next }
}

fn batch(rows: &[(&'static str, i32, i64)]) -> Batch {
    let mut batch = Batch::default();
    for (id, partition, offset) in rows {
        batch.push(
            (*partition, *offset),
            &mut at(*offset),
            Some(b"key"),
            Some(b"{}"),
            Ok(transaction(id, offset * 100)),
        );
    }
    batch.seal();
    batch
}

fn places(batch: &Batch) -> Vec<(i32, i64)> {
    batch.to_store().iter().map(|index| &batch.rows[*index as usize]).map(|row| (row.partition, row.offset)).collect()
}

#[test]
fn rows_are_sorted_and_the_first_of_equal_ids_is_stored() {
    let mut batch = batch(&[("b", 1, 7), ("a", 1, 8), ("b", 0, 9), ("b", 0, 10), ("é", 0, 11), ("z", 0, 12)]);
    assert_eq!(places(&batch), [(1, 8), (0, 9), (0, 12), (0, 11)]);
    let advances = batch.advances();
    assert_eq!((advances[&0].duplicate, advances[&1].duplicate), (1, 1));
    assert_eq!((advances[&0].from, advances[&0].to), (9, 13));
    assert_eq!(batch.messages(), 6);
    assert_eq!(batch.to_store().iter().map(|index| batch.id(*index)).collect::<Vec<_>>(), ["a", "b", "z", "é"]);
    // A duplicate is stored if the row before it is refused.
    batch.refuse(1, Rejection::new(Reason::RefusedByPostgres, "why"));
    assert_eq!(batch.take_repeat(1), Some(2));
    batch.refuse(2, Rejection::new(Reason::RefusedByPostgres, "why"));
    assert_eq!((batch.take_repeat(2), batch.take_repeat(3)), (Some(3), None));
    let advances = batch.advances();
    assert_eq!((advances[&0].duplicate, advances[&0].rejected, advances[&1].duplicate), (0, 2, 0));
}

#[test]
fn a_message_added_after_sealing_is_sorted_too() {
    let mut batch = batch(&[("b", 0, 1), ("c", 0, 2)]);
    batch.push((0, 3), &mut at(3), None, Some(b"{}"), Ok(transaction("a", 1)));
    batch.push((0, 4), &mut at(4), None, Some(b"{}"), Ok(transaction("b", 1)));
    batch.seal();
    batch.seal();
    assert_eq!(places(&batch), [(0, 3), (0, 1), (0, 2)]);
    assert_eq!(batch.advances()[&0].duplicate, 1);
}

#[test]
fn stored_rows_are_those_that_were_inserted() {
    let mut batch = batch(&[("a", 0, 1), ("b", 0, 2), ("c", 0, 3)]);
    batch.mark_duplicate(1);
    assert_eq!(batch.advances()[&0].duplicate, 1);
    let stored: Vec<_> = batch.stored().map(|row| (row.id(), row.partition(), row.offset(), row.value())).collect();
    assert_eq!(stored, [(b"a".as_slice(), 0, 1, Cents(100)), (b"c", 0, 3, Cents(300))]);
    for row in batch.stored() {
        assert_eq!((row.timestamp().minute(), batch.label_text(row.label())), (1, ("EUR", "")));
    }
}

#[test]
fn a_refused_row_becomes_a_dead_letter() {
    let mut batch = batch(&[("a", 0, 1), ("b", 0, 2)]);
    batch.push((0, 3), &mut at(3), None, Some(b"[]"), validate(Some(b"[]")));
    batch.seal();
    batch.refuse(1, Rejection::new(Reason::RefusedByPostgres, "why"));
    let kept: Vec<_> =
        batch.kept().map(|kept| (kept.offset, head(kept.key.as_ref()), head(kept.payload.as_ref()))).collect();
    assert_eq!(kept, [(3, None, Some(b"[]".as_slice())), (2, Some(b"key".as_slice()), Some(b"{}"))]);
    let advance = batch.advances()[&0];
    assert_eq!((advance.consumed, advance.duplicate, advance.rejected), (3, 0, 2));
    assert_eq!(batch.stored().count(), 1);
    // Another attempt starts from the original rows.
    batch.begin_writing();
    assert_eq!((batch.kept().count(), batch.advances()[&0].rejected), (1, 1));
}

#[test]
fn skipped_offsets_are_missing_but_undelivered_ones_are_not() {
    let mut batch = Batch::default();
    let mut cursor = at(5);
    batch.skip(0, &mut cursor, 9);
    assert!(!batch.is_empty() && batch.messages() == 0);
    batch.push((0, 12), &mut cursor, None, None, Ok(transaction("a", 1)));
    let advance = batch.advances()[&0];
    assert_eq!((advance.from, advance.to, advance.missing, advance.consumed), (5, 13, 4, 1));
    assert_eq!(cursor.next, 13);
    batch.skip(1, &mut at(0), 6);
    assert_eq!((batch.advances()[&1].from, batch.advances()[&1].to, batch.advances()[&1].missing), (0, 6, 0));
}

#[test]
fn dead_letters_are_masked() {
    let payload = br#"{"merchant":"4111111111111111"}"#;
    let mut batch = Batch::default();
    batch.push((0, 5), &mut at(5), Some(b"key"), Some(payload), validate(Some(payload)));
    batch.push((0, 9), &mut at(6), None, None, validate(None));
    let [first, second] = &batch.rejected[..] else { panic!("two messages") };
    assert_eq!(head(first.payload.as_ref()), Some(br#"{"merchant":"************1111"}"#.as_slice()));
    assert!(first.is_masked() && !second.is_masked());
    assert_eq!((second.rejection.reason, &second.payload), (Reason::Tombstone, &None));
    let advance = batch.advances()[&0];
    assert_eq!((advance.from, advance.to, advance.consumed, advance.rejected), (5, 10, 2, 2));
}

#[test]
fn a_cleared_batch_is_empty() {
    let mut batch = batch(&[("a", 0, 1)]);
    batch.push((0, 2), &mut at(2), None, Some(b""), validate(Some(b"")));
    batch.clear();
    assert!(batch.is_empty() && batch.bytes() == 0 && batch.to_store().is_empty() && batch.kept().count() == 0);
}
