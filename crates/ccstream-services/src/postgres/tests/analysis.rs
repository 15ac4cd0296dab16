//! Tests of the tables of the analysis.

use super::*;
use crate::postgres::analysis::{AnalysisStore, Lease, Snapshot};
use crate::postgres::reconnecting::Reopened;

impl Sandbox {
    /// Creates the tables and opens a session of the run with this number.
    pub(super) fn analysis(&self, writer: i64) -> AnalysisStore {
        self.runtime.block_on(async {
            let mut store = AnalysisStore::open(&self.url, writer).await.unwrap();
            store.prepare(&self.url).await.unwrap();
            store
        })
    }

    pub(super) fn claim(&self, store: &mut AnalysisStore) -> Option<Lease> {
        self.runtime.block_on(store.claim((5, 6))).unwrap()
    }
}

#[test]
fn a_lease_is_kept_while_its_session_is_there() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut one, mut other) = (sandbox.analysis(1), sandbox.analysis(2));
    let lease = sandbox.claim(&mut one).unwrap();
    assert_eq!(sandbox.claim(&mut other), None);
    // To another role, the start of the session is not visible.
    sandbox.execute("UPDATE analysis SET owner_start = NULL");
    assert_eq!(sandbox.claim(&mut other), None);
    sandbox.execute("UPDATE analysis SET renewed_at = now() - interval '1 minute'");
    assert!(sandbox.claim(&mut other).is_some());
    assert!(!sandbox.runtime.block_on(one.renew(lease.epoch)).unwrap());
    drop(other);
    let is_there = "SELECT count(*) FROM pg_stat_activity, analysis WHERE pid = owner_pid";
    while sandbox.number(is_there) > 0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(sandbox.claim(&mut one).is_some());
}

#[test]
fn a_part_of_the_state_is_never_replaced_by_an_older_one() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.analysis(1);
    sandbox.claim(&mut store).unwrap();
    sandbox.execute("UPDATE analysis SET seq = 9");
    let mut write = |writer, seq, text: &str| {
        let snapshot = Snapshot { seq, changed: vec![(3, text.into())], unchanged: Vec::new() };
        sandbox.runtime.block_on(store.write_state(writer, &snapshot)).unwrap();
        let found = sandbox.runtime.block_on(store.state()).unwrap();
        found.into_iter().map(|part| (part.part, part.seq, String::from_utf8(part.data).unwrap())).collect::<Vec<_>>()
    };
    let of = |seq, text: &str| vec![(3, seq, text.to_owned())];
    // A batch up to 10 is not committed, and another run does not have the lease.
    assert_eq!(write(1, 10, "too early"), []);
    assert_eq!(write(2, 8, "another's"), []);
    assert_eq!(write(1, 5, "first"), of(5, "first"));
    assert_eq!(write(1, 4, "older"), of(5, "first"));
    assert_eq!(write(1, 7, "newer"), of(7, "newer"));
    let mut note = |writer, seq| {
        let snapshot = Snapshot { seq, changed: Vec::new(), unchanged: vec![3] };
        sandbox.runtime.block_on(store.write_state(writer, &snapshot)).unwrap();
        sandbox.number("SELECT seq FROM analysis_state")
    };
    assert_eq!([note(1, 6), note(2, 8), note(1, 10), note(1, 9)], [7, 7, 7, 9]);
}

#[test]
fn labels_that_are_not_due_are_read_in_parts() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.analysis(1);
    sandbox.execute(
        "INSERT INTO labels (transaction_id, source, labelled_at, fraud, seq, kafka_partition, kafka_offset)
         SELECT id, '', timestamp '1970-01-01' + at * interval '1 microsecond', true, seq, 0, 0
         FROM (VALUES ('a', 1, NULL), ('b', 2, NULL), ('c', 2, NULL), ('d', 3, NULL), ('e', 1, 7)) AS l (id, at, seq)",
    );
    let mut read = |after: Option<i64>| {
        let found = sandbox.runtime.block_on(store.waiting_labels(after.map(Micros), 2)).unwrap();
        let mut ids: Vec<String> = found.labels.into_iter().map(|(label, _)| label.transaction_id).collect();
        ids.sort();
        (ids.concat(), found.until.map(|until| until.0))
    };
    // All labels of the last time are read, so that none of them is left out between two parts.
    assert_eq!(read(None), ("abc".into(), Some(2)));
    assert_eq!(read(Some(2)), ("d".into(), None));
    assert_eq!(read(Some(1)), ("bc".into(), Some(2)));
}

#[test]
fn a_label_does_not_correct_one_that_is_too_old_to_count() {
    let Some(sandbox) = Sandbox::new() else { return };
    let mut store = sandbox.analysis(1);
    sandbox.execute(
        "INSERT INTO scores (seq, order_id, event_time, score, tested, terminal, kafka_partition, kafka_offset)
         VALUES (1, 'a', '2026-01-01', 0, 0, 5, 0, 0);
         INSERT INTO labels (transaction_id, source, labelled_at, fraud, seq, terminal, kafka_partition, kafka_offset)
         VALUES ('a', '', '2026-01-02', true, 2, 5, 0, 0), ('a', '', '2026-02-02', false, 3, 5, 0, 1),
                ('a', '', '2026-06-02', true, 4, 5, 0, 2)",
    );
    let labels = sandbox.runtime.block_on(store.past_labels(1, 4)).unwrap();
    let corrected: Vec<bool> = labels.iter().map(|label| label.corrects.is_some()).collect();
    // While it runs, the analyzer finds no label that the last one corrects.
    assert_eq!(corrected, [false, true, false]);
    let places: Vec<i64> =
        sandbox.runtime.block_on(store.past_labels(1, 3)).unwrap().iter().map(|label| label.seq).collect();
    assert_eq!(places, [2, 3]);
}

#[test]
fn an_analyzer_needs_no_right_to_change_the_consumers_tables() {
    let grants = Tables::default().with_analysis().grants("me", "mine");
    for expected in [
        "GRANT SELECT ON orders TO me;",
        "GRANT SELECT ON kafka_offsets TO me;",
        "GRANT SELECT, INSERT ON scores TO me;",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON analysis_state TO me;",
    ] {
        assert!(grants.contains(&expected.to_owned()), "{expected} is not in {grants:?}");
    }
    assert!(!grants.iter().any(|grant| grant.contains("TEMPORARY") || grant.contains("truth")), "{grants:?}");
}
