//! Tests of dead letters, their counts, and upgrades of the tables of earlier versions.

use super::*;
use ccstream_core::kept::MAX_KEPT_BYTES;
use ccstream_core::rejection::{Reason, Rejection};

fn push_bad(batch: &mut Batch, positions: &Positions, payloads: &[&[u8]]) {
    let mut cursor = Cursor { epoch: positions[&0].epoch, next: positions[&0].next_offset };
    for payload in payloads {
        let bad = Err(Rejection::new(Reason::InvalidJson, "bad"));
        batch.push((0, cursor.next), &mut cursor, Some(b"key"), Some(payload), bad);
    }
}

#[test]
fn the_head_of_a_large_payload_is_stored_with_length_and_hash() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let large = [&vec![b'x'; MAX_KEPT_BYTES - 5][..], b" 4111111111111111 and more"].concat();
    let mut batch = Batch::default();
    push_bad(&mut batch, &positions, &[b"small", &large]);
    sandbox.write(&mut store, &mut batch);
    let masked = ccstream_core::card_number::mask(&large).into_owned();
    let (url, all) = (sandbox.url.clone(), crate::operate::rejections::Selection::default());
    let kept = sandbox.runtime.block_on(crate::operate::rejections::select(&url, &all)).unwrap();
    let [second, first] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(
        (first.payload.as_deref(), first.payload_bytes, first.partial),
        (Some(b"small".as_slice()), Some(5), false)
    );
    assert_eq!(second.payload.as_deref(), Some(&masked[..MAX_KEPT_BYTES]));
    assert_eq!((second.payload_bytes, second.partial, second.masked), (Some(large.len() as i64), true, true));
    let check =
        "SELECT count(*) FROM rejected_events WHERE payload_sha256 = sha256(payload) AND key_sha256 = sha256('key')";
    assert_eq!(sandbox.number(check), 1, "the hash of the payload that is stored whole");
    let check = "SELECT count(*) FROM rejected_events WHERE payload_sha256 = sha256($1)";
    let of_all = sandbox.runtime.block_on(sandbox.client().query_one(check, &[&masked])).unwrap();
    assert_eq!(of_all.get::<_, i64>(0), 1, "the hash of the masked bytes");
    // The dashboard selects only the first bytes of what is stored.
    let few = crate::operate::rejections::Selection { max_bytes: Some(3), ..all };
    let shown = sandbox.runtime.block_on(crate::operate::rejections::select(&url, &few)).unwrap();
    assert_eq!((shown[1].payload.as_deref(), shown[1].payload_bytes), (Some(b"sma".as_slice()), Some(5)));
    sandbox.verify();
}

#[test]
fn counts_by_reason_grow_with_each_batch_and_equal_a_recount() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, mut positions) = sandbox.ready();
    for _ in 0..2 {
        let mut batch = Batch::default();
        push_bad(&mut batch, &positions, &[b"one", b"4111111111111111", &vec![b'x'; MAX_KEPT_BYTES + 1]]);
        positions = sandbox.write(&mut store, &mut batch);
    }
    let counts = sandbox.runtime.block_on(crate::operate::rejections::count(&sandbox.url)).unwrap();
    let [one] = &counts[..] else { panic!("{counts:?}") };
    assert_eq!((one.reason.as_str(), one.count, one.masked, one.partial), ("invalid_json", 6, 2, 2));
    sandbox.verify();
    sandbox.execute("UPDATE rejected_counts SET count = count + 1");
    let problems = crate::operate::verify::verify(&sandbox.url, &Tables::default(), false).unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains("invalid_json"), "{problems:?}");
}

#[test]
fn tables_of_an_earlier_version_are_upgraded() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let mut batch = Batch::default();
    push_bad(&mut batch, &positions, &[b"one", b"two"]);
    let eur = [("a", "eur"), ("b", "EUR"), ("c", "??")];
    let events = eur.map(|(id, currency)| event(id).with(ccstream_core::fields::Place::CURRENCY, currency));
    let positions = sandbox.write(&mut store, &mut batch);
    sandbox.write(&mut store, &mut batch_at(&positions, events));
    // This is the state in which an earlier version left the tables.
    sandbox.execute(
        "DROP TABLE rejected_counts;
         ALTER TABLE rejected_events DROP COLUMN key_bytes, DROP COLUMN key_sha256, DROP COLUMN payload_bytes,
             DROP COLUMN payload_sha256, DROP COLUMN partial;
         ALTER TABLE kpi_minute DROP CONSTRAINT kpi_minute_currency;
         DELETE FROM kpi_minute;
         INSERT INTO kpi_minute SELECT date_trunc('minute', timestamp), currency, '', 0, 1, value, value, value FROM orders",
    );
    sandbox.runtime.block_on(store.ensure_schema()).unwrap();
    sandbox.verify();
    assert_eq!(sandbox.number("SELECT count(*) FROM kpi_minute"), 2);
    assert_eq!(sandbox.number("SELECT count FROM kpi_minute WHERE currency = 'EUR'"), 2);
    assert_eq!(sandbox.number("SELECT count FROM rejected_counts"), 2);
    assert_eq!(sandbox.runtime.block_on(store.ensure_schema()).unwrap(), SchemaChange::default());
}
