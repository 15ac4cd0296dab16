//! Tests of rows that PostgreSQL refuses: only those rows become dead letters, with PostgreSQL's reason.

use super::*;
use ccstream_core::fields::Place;

/// Returns events whose ids count up from `first`. Those at the places in `bad` have the category "bad".
fn rows(count: usize, bad: &[usize], first: usize) -> Vec<Event<'static>> {
    (0..count)
        .map(|number| {
            let id: &'static str = Box::leak(format!("id-{:05}", first + number).into_boxed_str());
            let category = if bad.contains(&number) { "bad" } else { "good" };
            event(id).with(Place::CATEGORY, category).with(Place::MERCHANT, format!("shop {number}"))
        })
        .collect()
}

/// Changes `orders`, writes batches of 50 rows with these bad ones, and returns the dead letters' places and details.
fn kept_of(change: &str, bad: &[usize]) -> Option<Vec<(i64, String)>> {
    let sandbox = Sandbox::new()?;
    let (mut store, positions) = sandbox.ready();
    // Some rows already exist, so that the batches take both routes into the table.
    let positions = sandbox.write(&mut store, &mut batch_at(&positions, rows(10, &[], 0)));
    sandbox.execute(change);
    store.caution = insert::Caution::default();
    // In the second batch, the first five rows already exist. Those of them that are bad now were good before.
    for (first, there) in [(100, 0), (5, 5)] {
        let at = sandbox.take_over(&mut store, &Origin::default()).positions;
        let after = sandbox.write(&mut store, &mut batch_at(&at, rows(50, bad, first)));
        let grown = after[&0].counters - at[&0].counters;
        let rejected = bad.iter().filter(|number| **number >= there).count() as i64;
        assert_eq!((grown.duplicate, grown.rejected), (there as i64, rejected), "{change}");
    }
    // The check of the table's shape would refuse a column that is too narrow, so it gets its width back.
    sandbox.execute("ALTER TABLE orders ALTER COLUMN category TYPE VARCHAR(50)");
    sandbox.verify();
    assert_eq!(positions[&0].counters, counters(10, 10, 0, 0));
    let client = sandbox.client();
    let query = "SELECT kafka_offset - 10, detail FROM rejected_events
                 WHERE reason = 'refused_by_postgres' AND message_key = 'key' AND payload LIKE '{\"order_id\":\"id-001%'
                 ORDER BY 1";
    let kept = sandbox.runtime.block_on(client.query(query, &[])).unwrap();
    Some(kept.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Tries several causes, each with a part of the expected detail. The first and the last row are among the bad ones.
#[test]
fn only_the_refused_rows_are_rejected() {
    for (change, part) in [
        ("ALTER TABLE orders ADD CONSTRAINT only_good CHECK (category <> 'bad')", "only_good"),
        (
            "CREATE FUNCTION bad_is_null() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF new.category = 'bad' THEN new.category := NULL; END IF; RETURN new; END $$;
             CREATE TRIGGER bad_is_null BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION bad_is_null();
             ALTER TABLE orders ALTER COLUMN category SET NOT NULL",
            "23502",
        ),
        (
            "CREATE TABLE categories (category TEXT PRIMARY KEY); INSERT INTO categories VALUES ('good');
             ALTER TABLE orders ADD FOREIGN KEY (category) REFERENCES categories",
            "is not present in table \"categories\"",
        ),
        (
            "CREATE TABLE categories (category TEXT PRIMARY KEY); INSERT INTO categories VALUES ('good');
             ALTER TABLE orders ADD FOREIGN KEY (category) REFERENCES categories DEFERRABLE INITIALLY DEFERRED",
            "23503",
        ),
        (
            "CREATE FUNCTION no_bad() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF new.category = 'bad' THEN RETURN NULL; END IF; RETURN new; END $$;
             CREATE TRIGGER no_bad BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION no_bad()",
            "left the row out",
        ),
        (
            "CREATE FUNCTION no_bad() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF new.category = 'bad' THEN
                     RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END IF; RETURN new; END $$;
             CREATE TRIGGER no_bad BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION no_bad()",
            "not this one",
        ),
    ] {
        let Some(kept) = kept_of(change, &[0, 1, 30, 49]) else { return };
        let places: Vec<i64> = kept.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [0, 1, 30, 49], "{change}");
        assert!(kept.iter().all(|(_, detail)| detail.contains(part)), "{change}: {kept:?}");
    }
}

#[test]
fn a_narrower_column_refuses_only_what_is_too_long() {
    let Some(kept) = kept_of("ALTER TABLE orders ALTER COLUMN category TYPE VARCHAR(4)", &[]) else { return };
    assert!(kept.is_empty(), "{kept:?}");
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    sandbox.execute("ALTER TABLE orders ALTER COLUMN category TYPE VARCHAR(3)");
    let good: Vec<usize> = (1..50).collect();
    let positions = sandbox.write(&mut store, &mut batch_at(&positions, rows(50, &good, 0)));
    assert_eq!(positions[&0].counters, counters(50, 49, 0, 1));
    assert_eq!(sandbox.number("SELECT count(*) FROM rejected_events WHERE detail LIKE '%22001%'"), 1);
    sandbox.execute("ALTER TABLE orders ALTER COLUMN category TYPE VARCHAR(50)");
    sandbox.verify();
}

#[test]
fn a_second_unique_index_refuses_a_row_and_the_primary_key_makes_a_duplicate() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let positions = sandbox.write(&mut store, &mut batch_at(&positions, rows(3, &[], 0)));
    sandbox.execute("CREATE UNIQUE INDEX one_merchant ON orders (merchant)");
    // The merchants of shops 0 to 2 already exist. The ids are new in the first round, and duplicates in the second.
    for (first, duplicate, rejected) in [(10, 0, 3), (0, 3, 0)] {
        store.caution = insert::Caution::default();
        let at = sandbox.take_over(&mut store, &Origin::default()).positions;
        let after = sandbox.write(&mut store, &mut batch_at(&at, rows(3, &[], first)));
        let grown = after[&0].counters - at[&0].counters;
        assert_eq!((grown.duplicate, grown.rejected), (duplicate, rejected));
    }
    assert_eq!(positions[&0].counters, counters(3, 3, 0, 0));
    assert_eq!(sandbox.number("SELECT count(*) FROM rejected_events WHERE detail LIKE '%one_merchant%'"), 3);
    sandbox.verify();
}

#[test]
fn with_many_refusals_good_rows_are_stored_and_bad_ones_are_dead_letters() {
    // A constraint, a too narrow column and a trigger that leaves rows out each make parts of the batch fail.
    for (change, part) in [
        ("ALTER TABLE orders ADD CONSTRAINT only_good CHECK (category <> 'bad')", "only_good"),
        (
            "ALTER TABLE orders ADD COLUMN note VARCHAR(3) GENERATED ALWAYS AS (CASE category WHEN 'bad' THEN 'long' END) STORED",
            "22001",
        ),
        (
            "CREATE FUNCTION no_bad() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF new.category = 'bad' THEN RETURN NULL; END IF; RETURN new; END $$;
             CREATE TRIGGER no_bad BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION no_bad()",
            "left the row out",
        ),
    ] {
        let Some(sandbox) = Sandbox::new() else { return };
        let (mut store, positions) = sandbox.ready();
        // Some of the first ids already exist, so that there are duplicates among the refused rows.
        let positions = sandbox.write(&mut store, &mut batch_at(&positions, rows(10, &[], 0)));
        sandbox.execute(change);
        let bad: Vec<usize> = (0..1_000).filter(|number| number % 2 == 1).collect();
        let after = sandbox.write(&mut store, &mut batch_at(&positions, rows(1_000, &bad, 0)));
        let grown = after[&0].counters - positions[&0].counters;
        assert_eq!((grown.stored, grown.duplicate, grown.rejected), (495, 10, 495), "{change}");
        assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE category = 'bad'"), 0);
        let kept = "SELECT count(DISTINCT kafka_offset) FROM rejected_events WHERE reason = 'refused_by_postgres' AND detail LIKE ";
        assert_eq!(sandbox.number(&format!("{kept} '%{part}%'")), 495, "{change}");
        sandbox.verify();
    }
}

#[test]
fn the_table_is_at_fault_after_three_batches_that_are_refused_entirely() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, mut positions) = sandbox.ready();
    sandbox.execute("ALTER TABLE orders ADD CONSTRAINT only_good CHECK (category <> 'bad')");
    let all: Vec<usize> = (0..100).collect();
    for first in [0, 100] {
        positions = sandbox.write(&mut store, &mut batch_at(&positions, rows(100, &all, first)));
    }
    assert_eq!(positions[&0].counters, counters(200, 0, 0, 200));
    let error = sandbox.try_write(&mut store, &mut batch_at(&positions, rows(100, &all, 200))).unwrap_err();
    assert_eq!(error.exit_code(), 5);
    let text = error.chain();
    assert!(text.contains("23514") && text.contains("only_good"), "{text}");
    assert_eq!(sandbox.number("SELECT sum(consumed)::bigint FROM kafka_offsets"), 200);
    sandbox.verify();
}

#[test]
fn a_trigger_that_leaves_all_rows_out_is_the_tables_fault() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    sandbox.execute(
        "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER leave_out BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION leave_out()",
    );
    let positions = sandbox.write(&mut store, &mut batch_at(&positions, rows(100, &[], 0)));
    let positions = sandbox.write(&mut store, &mut batch_at(&positions, rows(100, &[], 100)));
    let error = sandbox.try_write(&mut store, &mut batch_at(&positions, rows(100, &[], 200))).unwrap_err();
    assert!(error.exit_code() == 5 && error.chain().contains("left the row out"), "{error}");
}

#[test]
fn an_error_that_blames_no_row_stops_the_batch() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    sandbox.execute(
        "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'out of order'; END $$;
         CREATE TRIGGER fails BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION fails()",
    );
    let error = sandbox.try_write(&mut store, &mut batch_at(&positions, rows(2, &[], 0))).unwrap_err();
    assert!(!error.is_retriable() && error.exit_code() == 4, "{error}");
    assert!(error.chain().contains("P0001"), "{}", error.chain());
    assert_eq!(sandbox.number("SELECT sum(consumed)::bigint FROM kafka_offsets"), 0);
}

#[test]
fn a_later_message_of_a_refused_rows_id_is_tried_in_its_place() {
    let Some(sandbox) = Sandbox::new() else { return };
    for (change, bad) in [
        ("ALTER TABLE orders ADD CONSTRAINT only_good CHECK (category <> 'bad')", "bad"),
        (
            "CREATE FUNCTION no_ugly() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF new.category = 'ugly' THEN RETURN NULL; END IF; RETURN new; END $$;
             CREATE TRIGGER no_ugly BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION no_ugly()",
            "ugly",
        ),
    ] {
        let (mut store, positions) = sandbox.ready();
        sandbox.execute(change);
        let mut before = positions;
        let one = |category: &'static str| {
            let mut event = event(if bad == "bad" { "x" } else { "y" });
            event = event.with(Place::CATEGORY, category);
            event
        };
        // Alone, the rows are tried one by one. After 40 other refused rows, they are tried in parts.
        for others in [0, 40_usize] {
            sandbox.execute("DELETE FROM orders; DELETE FROM kpi_minute");
            // The id's first two messages are refused, the third is stored, the fourth and fifth are its duplicates.
            let others =
                rows(others, &(0..others).collect::<Vec<_>>(), 0).into_iter().map(|row| row.with(Place::CATEGORY, bad));
            let count = others.len() as i64;
            let batch = others.chain([bad, bad, "good", "good", bad].map(one));
            let after = sandbox.write(&mut store, &mut batch_at(&before, batch));
            let grown = after[&0].counters - before[&0].counters;
            assert_eq!((grown.stored, grown.duplicate, grown.rejected), (1, 2, 2 + count), "{bad}, {count} others");
            assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE category = 'good'"), 1);
            before = after;
        }
    }
}
