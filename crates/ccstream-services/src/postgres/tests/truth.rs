//! Tests of the tables of truth: they exist only if requested, and each message is written once even if a session
//! fails.

use super::*;
use crate::operate::doctor::{Check, doctor};
use crate::postgres::reconnecting::Reopened;
use crate::postgres::truth::{Skipped, TruthBatch, TruthStore, Written};

const COUNT: &str = "SELECT count(*) FROM truth";

impl Sandbox {
    /// Creates the tables and opens a session of the run with this number.
    fn truth_store(&self, writer: i64) -> TruthStore {
        let tables = Tables::default().with_truth();
        let mut store = self.runtime.block_on(Store::connect(&self.config(), &tables, &Blame::default())).unwrap();
        self.runtime.block_on(store.ensure_schema()).unwrap();
        self.runtime.block_on(TruthStore::open(&self.config(), writer)).unwrap()
    }

    /// Returns the doctor's check of this name.
    fn check(&self, name: &str) -> Check {
        let kafka =
            ccstream_core::settings::KafkaConfig { bootstrap_servers: "127.0.0.1:1".into(), ..Default::default() };
        let checks = doctor(&kafka, &self.url, &Tables::default(), (None, None)).unwrap();
        checks.into_iter().find(|check| check.name == name).unwrap()
    }

    fn next_offset(&self, store: &mut TruthStore, topic_id: &str) -> i64 {
        let origin = Origin { cluster_id: None, topic_id: Some(topic_id.into()) };
        self.runtime.block_on(store.start(&[0], &origin, false)).unwrap().offsets[&0]
    }

    fn write_truth(&self, store: &mut TruthStore, batch: &mut TruthBatch) -> Written {
        self.runtime.block_on(store.write(batch)).unwrap()
    }

    fn skipped_by(&self, store: &mut TruthStore, batch: &mut TruthBatch) -> Vec<(i64, String)> {
        let Written::Committed(outcome) = self.write_truth(store, batch) else { panic!("the batch is not committed") };
        outcome.skipped.into_iter().map(|Skipped { offset, why, .. }| (offset, why)).collect()
    }
}

/// Returns messages of partition 0 from an offset on, one for each subject. An empty subject gives an invalid message.
fn messages(from: i64, subjects: &[&str]) -> TruthBatch {
    let (mut batch, mut next) = (TruthBatch::default(), from);
    for subject in subjects {
        let payload = format!(
            r#"{{"kind":"fraud","transaction_id":"t-{subject}","scenario":"S1","campaign":7,
                "timestamp":"2026-01-02T03:04:05.123456Z","until":"2099-12-31T23:59:59.999999Z","subject":"{subject}"}}"#
        );
        let payload = if subject.is_empty() { "{}" } else { &payload };
        batch.push((0, next), &mut next, Some(payload.as_bytes()));
    }
    batch
}

fn counters_of(sandbox: &Sandbox) -> Vec<i64> {
    let count = |column: &str| sandbox.number(&format!("SELECT sum({column})::bigint FROM truth_offsets"));
    ["next_offset", "stored", "duplicate", "skipped", "missing"].map(count).to_vec()
}

#[test]
fn the_tables_exist_only_if_requested_and_the_reader_may_read_them() {
    let Some(sandbox) = Sandbox::new() else { return };
    sandbox.ready();
    let found = "SELECT count(*) FROM pg_class WHERE relname LIKE 'truth%' AND relkind = 'r'
                 AND relnamespace = current_schema()::regnamespace";
    assert_eq!(sandbox.number(found), 0);
    sandbox.truth_store(1);
    assert_eq!(sandbox.number(found), 2);
    let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'truth'::regclass AND attnum > 0";
    let commented = format!("{columns} AND col_description(attrelid, attnum) IS NOT NULL");
    assert_eq!((sandbox.number(columns), sandbox.number(&commented)), (11, 8));
    for (role, privilege, count) in [("ccstream_reader", "SELECT", 2), ("ccstream_reader", "INSERT", 0)] {
        let sql = format!(
            "SELECT count(*) FROM unnest(ARRAY['truth', 'truth_offsets']) t
                           WHERE has_table_privilege('{role}', t, '{privilege}')"
        );
        assert_eq!(sandbox.number(&sql), count, "{role} {privilege}");
    }
    let grants = Tables::default().with_truth().grants("me", "mine");
    assert!(grants.contains(&"GRANT SELECT, INSERT ON truth TO me;".to_owned()), "{grants:?}");
    sandbox.verify();
}

#[test]
fn what_was_sent_is_stored_as_it_was_sent() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.truth_store(1);
    assert_eq!(sandbox.next_offset(&mut store, "a"), 0);
    sandbox.write_truth(&mut store, &mut messages(0, &["Zoë"]));
    let found = format!(
        "{COUNT} WHERE (kind, transaction_id, scenario, campaign, subject, kafka_partition, kafka_offset)
                    = ('fraud', 't-Zoë', 'S1', 7, 'Zoë', 0, 0) AND detail IS NULL
             AND timestamp = '2026-01-02 03:04:05.123456' AND until = '2099-12-31 23:59:59.999999'"
    );
    assert_eq!(sandbox.number(&found), 1);
    // Nothing in it counts as events.
    sandbox.verify();
    assert_eq!(sandbox.number("SELECT count(*) FROM kafka_offsets"), 0);
}

#[test]
fn content_is_stored_once_and_each_message_counted() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.truth_store(1);
    sandbox.next_offset(&mut store, "a");
    sandbox.write_truth(&mut store, &mut messages(0, &["a", "b", "a", ""]));
    sandbox.write_truth(&mut store, &mut messages(4, &["b", "c"]));
    assert_eq!((sandbox.number(COUNT), counters_of(&sandbox)), (3, vec![6, 3, 2, 1, 0]));
    // A topic that was created again is read from its beginning, and no row is stored twice.
    assert_eq!(sandbox.next_offset(&mut store, "a"), 6);
    assert_eq!(sandbox.next_offset(&mut store, "b"), 0);
    sandbox.write_truth(&mut store, &mut messages(0, &["a", "d"]));
    assert_eq!((sandbox.number(COUNT), counters_of(&sandbox)), (4, vec![2, 4, 3, 1, 0]));
}

#[test]
fn rows_that_postgres_refuses_are_skipped_alone() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.truth_store(1);
    sandbox.next_offset(&mut store, "a");
    sandbox.execute(
        "ALTER TABLE truth ADD CONSTRAINT only_good CHECK (subject NOT LIKE 'bad%');
         CREATE FUNCTION no_worse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF new.subject = 'worse' THEN RETURN NULL; END IF; RETURN new; END $$;
         CREATE TRIGGER no_worse BEFORE INSERT ON truth FOR EACH ROW EXECUTE FUNCTION no_worse()",
    );
    let names: Vec<String> = (0..1000).map(|at| format!("x{at}")).collect();
    let mut subjects: Vec<&str> = names.iter().map(String::as_str).collect();
    (subjects[7], subjects[500], subjects[501], subjects[999]) = ("bad", "", "worse", "bad2");
    let skipped = sandbox.skipped_by(&mut store, &mut messages(0, &subjects));
    let offsets: Vec<i64> = skipped.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [7, 500, 501, 999]);
    for ((_, why), part) in skipped.iter().zip(["only_good", "missing field", "a trigger or rule", "only_good"]) {
        assert!(why.contains(part), "{why}");
    }
    assert_eq!((sandbox.number(COUNT), counters_of(&sandbox)), (996, vec![1000, 996, 0, 4, 0]));
}

#[test]
fn a_commit_whose_answer_was_lost_is_reported_once_and_not_done_again() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.truth_store(1);
    sandbox.next_offset(&mut store, "a");
    let mut batch = messages(0, &["a", "", "b"]);
    let first = sandbox.write_truth(&mut store, &mut batch);
    // Another session of the same run retries, as after a lost answer.
    let mut again = sandbox.truth_store(1);
    assert_eq!(sandbox.write_truth(&mut again, &mut batch), first);
    assert_eq!((sandbox.number(COUNT), counters_of(&sandbox)), (2, vec![3, 2, 0, 1, 0]));
    // Another run that tries to write the same batch finds that it was written.
    let mut other = sandbox.truth_store(2);
    let mut same = messages(0, &["a", "", "b"]);
    assert_eq!(sandbox.write_truth(&mut other, &mut same), Written::Moved);
    assert_eq!(counters_of(&sandbox), [3, 2, 0, 1, 0]);
    // A transaction that fails writes nothing.
    let mut next = messages(3, &["c", ""]);
    sandbox.execute("ALTER TABLE truth RENAME COLUMN detail TO details");
    assert!(sandbox.runtime.block_on(again.write(&mut next)).is_err());
    assert_eq!(counters_of(&sandbox), [3, 2, 0, 1, 0]);
    sandbox.execute("ALTER TABLE truth RENAME COLUMN details TO detail");
    let mut store = sandbox.truth_store(1);
    assert!(matches!(sandbox.write_truth(&mut store, &mut next), Written::Committed(_)));
    assert_eq!(counters_of(&sandbox), [5, 3, 0, 2, 0]);
}

#[test]
fn a_new_table_is_filled_from_the_beginning() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.truth_store(1);
    sandbox.next_offset(&mut store, "a");
    sandbox.write_truth(&mut store, &mut messages(0, &["a", "b"]));
    sandbox.execute("DROP TABLE truth");
    let mut store = sandbox.truth_store(1);
    assert_eq!(sandbox.next_offset(&mut store, "a"), 0);
    sandbox.write_truth(&mut store, &mut messages(0, &["a", "b"]));
    assert_eq!((sandbox.number(COUNT), counters_of(&sandbox)), (2, vec![2, 2, 0, 0, 0]));
}

#[test]
fn the_doctor_checks_the_tables_that_exist() {
    let Some(sandbox) = Sandbox::new() else { return };
    sandbox.ready();
    let tables = sandbox.check("tables");
    assert!(tables.ok && !tables.found.contains("truth"), "{tables:?}");
    sandbox.truth_store(1);
    let tables = sandbox.check("tables");
    assert!(tables.ok && tables.found.ends_with("truth_offsets and truth exist"), "{tables:?}");
    sandbox.execute("REVOKE INSERT ON truth FROM CURRENT_USER");
    let privileges = sandbox.check("privileges");
    assert!(!privileges.ok && privileges.found.ends_with("lacks INSERT on truth"), "{privileges:?}");
    sandbox.execute("ALTER TABLE truth RENAME COLUMN kind TO sort");
    let tables = sandbox.check("tables");
    assert!(!tables.ok && tables.found.contains("the table truth lacks its column kind"), "{tables:?}");
    sandbox.execute("DROP TABLE truth");
    let tables = sandbox.check("tables");
    assert_eq!((tables.ok, tables.found.as_str()), (true, "the consumer will create truth"));
}
