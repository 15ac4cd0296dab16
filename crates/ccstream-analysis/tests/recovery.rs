//! Tests that a state that is restored from snapshots equals one that was never stopped, and that hostile bytes are
//! refused.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use std::collections::BTreeMap;

use ccstream_analysis::event::Seen;
use ccstream_analysis::{BucketId, Carried, Event, Settings, Snapshot, SnapshotError, State, snapshot};
use common::{Folded, Random, bits, events, fold, label, labels};

/// Holds the buckets as a database would: their bytes, and as of which event or label they are true.
#[derive(Default)]
struct Stored(BTreeMap<BucketId, (u64, Vec<u8>)>);

impl Stored {
    fn store(&mut self, snapshot: Snapshot) {
        for id in &snapshot.unchanged {
            self.0.get_mut(id).unwrap().0 = snapshot.seq;
        }
        for (id, bytes) in snapshot.written {
            self.0.insert(id, (snapshot.seq, bytes));
        }
    }

    fn load(&self, settings: &Settings) -> State {
        let mut state = State::new(settings);
        for (id, (seq, bytes)) in &self.0 {
            state.load(*id, *seq, bytes).unwrap();
        }
        state
    }
}

fn text(state: &State) -> String {
    let mut text = String::new();
    state.dump(&mut text).unwrap();
    text
}

/// Folds what was folded after the oldest bucket again.
fn refold(state: &mut State, log: &[(u64, Folded)], events: &[Event<'_>]) {
    let after = state.resumes_after();
    let mut carried = BTreeMap::new();
    for (seq, folded) in log {
        match *folded {
            Folded::Event(index, one) => {
                carried.insert(index, one);
                if *seq > after {
                    state.refold(*seq, &Seen::from(&events[index]), one);
                }
            }
            Folded::Label(index) if *seq > after => state.reapply_label(*seq, &label(&events[index], carried[&index])),
            Folded::Label(_) => {}
        }
    }
}

/// Stops after `stop` events, restores, and checks the state and all later features.
fn check(settings: &Settings, stop: usize, most: usize, seed: u64) {
    let events = events(900, seed);
    let due = labels(&events, seed);
    let (mut database, mut log, mut later, mut at_stop) = (Stored::default(), Vec::new(), Vec::new(), String::new());
    let (mut random, mut is_stopped) = (Random(seed), false);
    let mut whole = State::new(settings);
    fold(&mut whole, &events, &due, |state, folded, scored| {
        if let (true, Some(scored)) = (is_stopped, scored) {
            later.push(bits(scored));
        }
        log.push((state.seq(), folded));
        if !is_stopped && random.below(20) == 0 {
            database.store(state.snapshot(most));
        }
        if let Folded::Event(index, _) = folded
            && index + 1 == stop
        {
            is_stopped = true;
            at_stop = text(state);
        }
    });
    let until =
        log.iter().position(|(_, folded)| matches!(folded, Folded::Event(index, _) if index + 1 == stop)).unwrap();
    let mut state = database.load(settings);
    refold(&mut state, &log[..=until], &events);
    assert_eq!(text(&state), at_stop);
    let mut carried: BTreeMap<usize, _> = BTreeMap::new();
    let mut found = Vec::new();
    for (_, folded) in &log[..=until] {
        if let Folded::Event(index, one) = folded {
            carried.insert(*index, *one);
        }
    }
    for (seq, folded) in &log[until + 1..] {
        match *folded {
            Folded::Event(index, _) => {
                let scored = state.score_input(&events[index]);
                assert_eq!(scored.seq, *seq);
                carried.insert(index, scored.carried);
                found.push(bits(&scored));
            }
            Folded::Label(index) => {
                state.apply_label(&label(&events[index], carried[&index]));
            }
        }
    }
    assert!(found == later, "the features after a restart at event {stop} differ");
    assert_eq!(text(&state), text(&whole));
}

#[test]
fn a_restored_state_equals_one_that_was_never_stopped() {
    for (stop, most) in [(1, 100), (250, 100_000), (600, 1_000), (899, usize::MAX)] {
        check(&Settings::default(), stop, most, stop as u64);
    }
}

#[test]
fn a_restored_state_evicts_what_would_have_been_evicted() {
    let settings = Settings { cards: 1, merchants: 1, ..Settings::default() };
    let mut state = State::new(&settings);
    let names: Vec<String> = (0..20_000).map(|number| format!("card {number}")).collect();
    let events: Vec<Event<'_>> = events(20_000, 5);
    let events = events.iter().zip(&names).map(|(event, name)| Event { card: Some(name), ..*event });
    let events: Vec<Event<'_>> = events.collect();
    let (mut database, mut log) = (Stored::default(), Vec::new());
    for (index, event) in events.iter().enumerate() {
        // Every third event uses a card that was used 3,000 events before, so that the last use differs from the first.
        let earlier = index.checked_sub(3_000).filter(|_| index % 3 == 0);
        let again = earlier.map_or(*event, |earlier| Event { card: events[earlier].card, ..*event });
        let (seq, carried) = fold_one(&mut state, &again);
        log.push((seq, again, carried));
        match index {
            18_000 => database.store(state.snapshot(usize::MAX)),
            19_000 => database.store(state.snapshot(100_000)),
            _ => {}
        }
    }
    assert!(state.counts().evicted_cards > 5_000, "{:?}", state.counts());
    let mut restored = database.load(&settings);
    assert_eq!(restored.resumes_after(), 18_001);
    for (seq, event, carried) in &log[18_001..] {
        restored.refold(*seq, &Seen::from(event), *carried);
    }
    assert_eq!(text(&restored), text(&state));
}

fn fold_one(state: &mut State, event: &Event<'_>) -> (u64, Carried) {
    let scored = state.score_input(event);
    (scored.seq, scored.carried)
}

#[test]
fn a_snapshot_has_what_was_not_written() {
    let mut state = State::new(&Settings::default());
    fold(&mut state, &events(100, 1), &[], |_, _, _| {});
    assert_eq!(state.snapshot(usize::MAX).written.len(), BucketId::all().count());
    assert!(state.snapshot(usize::MAX).written.is_empty());
}

#[test]
fn a_snapshot_keeps_its_size_and_reaches_every_bucket() {
    let mut state = State::new(&Settings::default());
    fold(&mut state, &events(500, 1), &[], |_, _, _| {});
    let mut rounds = 0;
    loop {
        let snapshot = state.snapshot(2_000);
        if snapshot.written.is_empty() {
            break;
        }
        let sizes: Vec<usize> = snapshot.written.iter().map(|(_, bytes)| bytes.len()).collect();
        assert!(sizes.iter().sum::<usize>() <= 2_000 + sizes.iter().max().unwrap(), "{sizes:?}");
        rounds += 1;
    }
    assert!(rounds > 10, "{rounds}");
}

#[test]
fn a_bucket_is_written_once_in_a_number_of_events() {
    let mut state = State::new(&Settings::default());
    let event = Event { card: Some("c1"), merchant: Some("m1"), ..Event::default() };
    let mut written = |most| {
        state.score_input(&event);
        state.snapshot_of_old(most, 10).written.len()
    };
    assert_eq!(written(usize::MAX), BucketId::all().count());
    let sizes: Vec<usize> = (0..30).map(|_| written(usize::MAX)).collect();
    // The buckets of the card, the merchant and the merchant's terminals, at the tenth event after they were written.
    assert_eq!(sizes, [[0; 9].as_slice(), &[3], &[0; 9], &[3], &[0; 9], &[3]].concat());
}

#[test]
fn the_bucket_whose_stored_bytes_are_oldest_is_written_first() {
    let mut state = State::new(&Settings::default());
    let event = |card| Event { card: Some(card), merchant: Some("m1"), ..Event::default() };
    state.score_input(&event("c1"));
    state.snapshot(usize::MAX);
    let mut next = |card| {
        state.score_input(&event(card));
        state.snapshot(1).written.first().map(|(id, _)| id.kind)
    };
    assert_eq!(next("c1"), Some(snapshot::Kind::Cards));
    // What is stored of the second card's bucket was still true after the first one's event. The merchant's was not.
    assert_eq!(next("c2"), Some(snapshot::Kind::Merchants));
}

#[test]
fn hostile_bytes_are_an_error_or_a_state_that_works() {
    let mut state = State::new(&Settings::default());
    let events = events(300, 3);
    fold(&mut state, &events, &labels(&events, 3), |_, _, _| {});
    let mut written = state.snapshot(usize::MAX).written;
    written.retain(|(_, bytes)| bytes.len() > 50);
    let mut random = Random(11);
    let mut refused = 0;
    for round in 0..600 {
        let (id, bytes) = &written[random.below(written.len() as u64) as usize];
        let mut bytes = bytes.clone();
        match round % 3 {
            0 => bytes.truncate(random.below(bytes.len() as u64) as usize),
            1 => bytes.push(random.below(256) as u8),
            _ => {
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len() as u64) as usize;
                    bytes[at] = random.below(256) as u8;
                }
            }
        }
        let mut hostile = State::new(&Settings::default());
        refused += usize::from(hostile.load(*id, 1, &bytes).is_err());
        fold(&mut hostile, &events[..40], &labels(&events[..40], 3), |_, _, scored| {
            assert!(scored.is_none_or(|scored| scored.verdict.probability < 1.0));
        });
        // What was read can be written and read again.
        for (id, bytes) in hostile.snapshot(usize::MAX).written {
            State::new(&Settings::default()).load(id, 1, &bytes).unwrap();
        }
    }
    assert!(refused > 400, "{refused}");
}

#[test]
fn a_snapshot_of_something_else_is_named() {
    let mut state = State::new(&Settings::default());
    let (id, bytes) = state.snapshot(1).written.swap_remove(0);
    let other = BucketId { number: id.number + 1, ..id };
    let terminals = BucketId { kind: snapshot::Kind::Terminals, ..id };
    let mut old = bytes.clone();
    old[4] ^= 1;
    assert_eq!(state.load(id, 1, b"gzip"), Err(SnapshotError::Magic));
    assert_eq!(state.load(other, 1, &bytes), Err(SnapshotError::Bucket));
    assert_eq!(state.load(terminals, 1, &bytes), Err(SnapshotError::Bucket));
    assert!(matches!(state.load(id, 1, &old), Err(SnapshotError::Version(_))));
    assert_eq!(state.load(BucketId { number: 5_000, ..id }, 1, &bytes), Err(SnapshotError::Bucket));
    assert_eq!(state.load(id, 1, &bytes[..bytes.len() - 1]), Err(SnapshotError::Short));
    assert_eq!(state.load(id, 1, &[&bytes[..], b"x"].concat()), Err(SnapshotError::Long));
    assert_eq!(state.load(id, 1, &bytes), Ok(()));
}
