//! Tests of the fence, which decides whether a consumer may write a batch.

use std::time::Instant;

use super::*;

#[test]
fn the_previous_owner_of_a_partition_is_refused() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut before, old) = sandbox.ready();
    let (mut after, new) = sandbox.ready();
    assert_eq!(new[&0].epoch, old[&0].epoch + 1);
    let refused = sandbox.try_write(&mut before, &mut batch_of(&old, &["zombie"])).unwrap();
    assert!(matches!(refused, Outcome::Refused(Refusal::TakenOver { partition: 0 })), "{refused:?}");
    sandbox.write(&mut after, &mut batch_of(&new, &["a"]));
    assert_eq!(sandbox.number("SELECT count(*) FROM orders WHERE order_id = 'zombie'"), 0);
}

#[test]
fn a_batch_whose_commit_was_not_answered_is_found_committed() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let mut batch = batch_of(&positions, &["a", "b"]);
    let once = sandbox.write(&mut store, &mut batch);
    assert_eq!(sandbox.write(&mut store, &mut batch), once);
    assert_eq!(once[&0].counters, counters(2, 2, 0, 0));
    sandbox.verify();
}

#[test]
fn a_batch_that_does_not_begin_at_the_next_offset_is_refused() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    sandbox.write(&mut store, &mut batch_of(&positions, &["a", "b", "c"]));
    sandbox.execute("UPDATE kafka_offsets SET next_offset = 1");
    for ids in [&["d", "e"][..], &["d"]] {
        let at = Positions::from([(0, Position { next_offset: 3, ..positions[&0] })]);
        let refused = sandbox.try_write(&mut store, &mut batch_of(&at, ids)).unwrap();
        assert!(matches!(refused, Outcome::Refused(Refusal::Moved { partition: 0 })), "{refused:?}");
    }
    assert_eq!(sandbox.number("SELECT count(*) FROM orders"), 3);
}

fn origin(cluster: Option<&str>, topic: Option<&str>) -> Origin {
    Origin { cluster_id: cluster.map(Into::into), topic_id: topic.map(Into::into) }
}

#[test]
fn another_cluster_or_topic_is_read_from_its_beginning() {
    let (one, two) = (Some("one"), Some("two"));
    for (before, now, expected) in [
        (origin(one, one), origin(one, one), None),
        (origin(one, one), origin(two, one), Some(Restart::Cluster)),
        (origin(one, one), origin(one, two), Some(Restart::Topic)),
        (origin(one, one), origin(two, two), Some(Restart::Cluster)),
        // An unknown id is not a change.
        (origin(None, None), origin(one, one), None),
        (origin(one, one), origin(None, None), None),
        (origin(one, None), origin(one, two), None),
    ] {
        let Some(sandbox) = Sandbox::new() else { return };
        let (mut store, _) = sandbox.ready();
        let positions = sandbox.take_over(&mut store, &before).positions;
        sandbox.write(&mut store, &mut batch_of(&positions, &["a"]));
        let taken = sandbox.take_over(&mut store, &now);
        let restarted: Vec<_> = expected.into_iter().map(|restart| (0, restart)).collect();
        assert_eq!(taken.restarted, restarted, "{before:?} {now:?}");
        assert_eq!(taken.positions[&0].next_offset, i64::from(expected.is_none()));
        let positions = sandbox.write(&mut store, &mut batch_of(&taken.positions, &["a", "b"]));
        assert_eq!((positions[&0].counters.stored, positions[&0].counters.duplicate), (2, 1));
        // A known id is kept while the present one is unknown.
        let last = sandbox.take_over(&mut store, &origin(None, None));
        assert!(last.restarted.is_empty());
        sandbox.verify();
    }
}

#[test]
fn a_log_that_was_cut_is_read_from_its_beginning() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    sandbox.write(&mut store, &mut batch_of(&positions, &["a"]));
    let again = sandbox.runtime.block_on(store.take_over(&[0], &Origin::default(), true, &|| true)).unwrap().unwrap();
    assert_eq!((again.positions[&0].next_offset, again.restarted), (0, vec![(0, Restart::Shorter)]));
}

#[test]
fn a_gap_is_counted_as_missing_and_not_as_consumed() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let mut batch = batch_of(&positions, &["a"]);
    let mut cursor = Cursor { epoch: positions[&0].epoch, next: 1 };
    batch.skip(0, &mut cursor, 5);
    batch.push((0, 8), &mut cursor, None, None, Ok(event("b")));
    let positions = sandbox.write(&mut store, &mut batch);
    assert_eq!(positions[&0].next_offset, 9);
    assert_eq!(positions[&0].counters, Counters { missing: 4, ..counters(2, 2, 0, 0) });
    sandbox.verify();
}

/// Opens a session that locks the offset rows and then does nothing.
fn hold(sandbox: &Sandbox, mark: Option<i64>) -> Client {
    let client = sandbox.client();
    sandbox.runtime.block_on(async {
        if let Some(mark) = mark {
            blockers::mark(&client, mark).await.unwrap();
        }
        client.batch_execute("BEGIN; SELECT FROM kafka_offsets FOR NO KEY UPDATE").await.unwrap();
    });
    client
}

#[test]
fn only_a_consumer_that_holds_the_lock_is_ended() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, _) = sandbox.ready();
    for mark in [Some(blockers::MARK), Some(blockers::HELPER), None] {
        let holder = hold(&sandbox, mark);
        let began = Instant::now();
        let taken = sandbox.runtime.block_on(store.take_over(&[0], &Origin::default(), false, &|| true));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        if mark.is_some() {
            assert_eq!(taken.unwrap().unwrap().ended.len(), 1);
            assert!(sandbox.runtime.block_on(holder.simple_query("SELECT")).is_err());
        } else {
            assert_eq!(taken.unwrap_err().sql_state().unwrap().code(), "55P03");
            sandbox.runtime.block_on(holder.batch_execute("COMMIT")).unwrap();
        }
    }
}

#[test]
fn our_own_former_session_is_ended_but_not_the_new_owners() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let former = hold(&sandbox, Some(blockers::MARK));
    sandbox.write(&mut store, &mut batch_of(&positions, &["a"]));
    assert!(sandbox.runtime.block_on(former.simple_query("SELECT")).is_err());
    // Another consumer now owns the partition and has locked it. A consumer that resumes late must not end its session.
    let (_after, _) = sandbox.ready();
    let owner = hold(&sandbox, Some(blockers::MARK));
    let late = Positions::from([(0, Position { next_offset: 1, ..positions[&0] })]);
    let error = sandbox.try_write(&mut store, &mut batch_of(&late, &["b"])).unwrap_err();
    assert_eq!(error.sql_state().unwrap().code(), "55P03");
    sandbox.runtime.block_on(owner.batch_execute("COMMIT")).unwrap();
    let refused = sandbox.try_write(&mut store, &mut batch_of(&late, &["b"])).unwrap();
    assert!(matches!(refused, Outcome::Refused(Refusal::TakenOver { partition: 0 })), "{refused:?}");
}

#[test]
fn a_take_over_that_is_no_longer_wanted_ends_nobody_and_changes_nothing() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, positions) = sandbox.ready();
    let owner = hold(&sandbox, Some(blockers::MARK));
    let late = sandbox.runtime.block_on(store.take_over(&[0], &Origin::default(), false, &|| false));
    assert_eq!(late.unwrap_err().sql_state().unwrap().code(), "55P03");
    sandbox.runtime.block_on(owner.batch_execute("COMMIT")).unwrap();
    let late = sandbox.runtime.block_on(store.take_over(&[0], &Origin::default(), false, &|| false));
    assert!(late.unwrap().is_none());
    assert_eq!(sandbox.number("SELECT epoch FROM kafka_offsets"), positions[&0].epoch);
}

#[test]
fn owners_that_end_without_releasing_are_counted_at_their_offset() {
    let Some(sandbox) = Sandbox::new() else { return };
    let (mut store, _) = sandbox.ready();
    let mut deaths = Vec::new();
    for step in ["killed", "killed", "released", "killed", "progress", "killed", "alive"] {
        let taken = sandbox.take_over(&mut store, &Origin::default());
        deaths.push(taken.deaths.get(&0).map_or(0, |(deaths, _)| *deaths));
        let positions = taken.positions;
        match step {
            "released" => {
                let owned = positions.iter().map(|(partition, position)| (*partition, position.epoch)).collect();
                sandbox.runtime.block_on(store.release(&owned)).unwrap();
            }
            "progress" => drop(sandbox.write(&mut store, &mut batch_of(&positions, &["a"]))),
            _ => {}
        }
        if step == "alive" {
            let other = sandbox.take_over(&mut sandbox.store(), &Origin::default());
            assert_eq!(other.deaths[&0], (2, 1), "its owner has a session");
            continue;
        }
        let pid = store.backend;
        drop(store);
        let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        while sandbox.number(&gone) > 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        store = sandbox.store();
    }
    assert_eq!(deaths, [0, 1, 2, 0, 1, 1, 2]);
}
