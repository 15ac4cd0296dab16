//! Properties of every message in every world.

use std::collections::HashSet;

use super::*;
use crate::codec::Encoder;
use crate::fields::Place;
use crate::validate::validate;

const START: Micros = Micros(1_795_342_530_000_000);

fn world(seed: u64, pace: Pace) -> World {
    World { seed, start: Some(START), pace, ..World::default() }
}

fn messages(world: &World, count: usize) -> Vec<Message> {
    let mut generator = Generator::new(world).unwrap();
    let message = |_| {
        let mut message = Message::default();
        generator.next_message(&mut message);
        message
    };
    (0..count).map(message).collect()
}

#[test]
fn the_same_world_gives_the_same_bytes() {
    for pace in [Pace::Human, Pace::PerSecond(50.0), Pace::Max] {
        let one = messages(&world(7, pace), 5_000);
        assert_eq!(one, messages(&world(7, pace), 5_000), "{pace:?}");
        assert_eq!(one[0].due, START, "{pace:?}");
    }
    let one = messages(&world(7, Pace::Max), 10);
    assert_ne!(one, messages(&world(8, Pace::Max), 10));
    assert_ne!(one, messages(&World { start: Some(Micros(START.0 + 1)), ..world(7, Pace::Max) }, 10));
    assert_ne!(one, messages(&World { cards: Some(4_999), ..world(7, Pace::Max) }, 10));
}

#[test]
fn messages_are_what_the_encoder_writes_and_validation_reads() {
    for pace in [Pace::PerSecond(200.0), Pace::Max] {
        let (mut written, mut made) =
            (Generator::new(&world(1, pace)).unwrap(), Generator::new(&world(1, pace)).unwrap());
        let (encoder, mut message, mut expected) = (Encoder::new(), Message::default(), Vec::new());
        for _ in 0..50_000 {
            written.next_message(&mut message);
            let transaction = made.next_transaction();
            expected.clear();
            encoder.encode(&transaction, &mut expected);
            expected.pop();
            let (json, blanks) = message.record.payload.split_at(expected.len());
            assert_eq!(json, expected, "{}", String::from_utf8_lossy(&message.record.payload));
            assert!(blanks.strip_suffix(b"}").is_some_and(|blanks| blanks.iter().all(|&byte| byte == b' ')));
            assert_eq!(message.record.key.as_deref(), transaction.text(Place::CARD_TOKEN).map(str::as_bytes));
            let read = validate(Some(&message.record.payload)).unwrap_or_else(|rejection| panic!("{rejection:?}"));
            assert_eq!(read, transaction);
        }
    }
}

#[test]
fn ids_are_unique_and_in_the_order_of_time() {
    let mut generator = Generator::new(&world(3, Pace::Max)).unwrap();
    let ids: Vec<String> = (0..20_000).map(|_| generator.next_transaction().order_id.into_owned()).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

#[test]
fn paces_are_as_they_say() {
    let due = |pace| messages(&world(1, pace), 20_000).into_iter().map(|message| message.due.0).collect::<Vec<_>>();
    let human = due(Pace::Human);
    assert!(human.windows(2).all(|two| (500_000..=2_000_000).contains(&(two[1] - two[0]))));
    assert!(due(Pace::Max).windows(2).all(|two| two[1] - two[0] == 1_000));
    let paced = due(Pace::PerSecond(40.0));
    assert!(paced.is_sorted());
    let rate = 20_000.0 / ((paced[19_999] - paced[0]) as f64 / 1e6);
    let mut generator = Generator::new(&world(1, Pace::PerSecond(40.0))).unwrap();
    let planned = generator.expected_in_hour(START) / 3_600.0;
    assert!((rate / planned - 1.0).abs() < 0.08, "{rate} of {planned}");
}

#[test]
fn events_of_now_are_of_now() {
    let mut generator = Generator::new(&World { pace: Pace::Max, ..World::default() }).unwrap();
    let (before, mut message) = (now(), Message::default());
    for _ in 0..100 {
        generator.next_message(&mut message);
        assert!((before..=now()).contains(&message.due.0));
    }
}

#[test]
fn late_messages_beyond_the_most_are_early_and_hold_nothing_up() {
    let incidents = ["slow_processor@1m+1h:Alderbank", "duplicates@1m+1h"].map(|text| text.parse().unwrap()).to_vec();
    let world = World { incidents, ..world(1, Pace::PerSecond(50.0)) };
    for (most, is_early) in [(held::MOST, false), (100, true)] {
        let mut generator = Generator { holding: Holding::new(most), ..Generator::new(&world).unwrap() };
        let mut message = Message::default();
        for _ in 0..50_000 {
            generator.next_message(&mut message);
            assert!(message.due.0 <= generator.time && generator.holding.len() <= most + 1);
        }
        let Early { labels, follow_ups, messages } = generator.early();
        assert_eq!((labels, follow_ups, messages > 0), (0, 0, is_early), "{messages}");
    }
}

#[test]
fn a_world_needs_cards() {
    assert!(
        Generator::new(&World { cards: Some(0), ..World::default() }).unwrap_err().to_string().starts_with("cards: ")
    );
    assert_eq!(world(1, Pace::PerSecond(1.0)).cards(), 43_200);
    assert_eq!(world(1, Pace::PerSecond(1_000.0)).payments_a_day(), Some(86.4));
    assert_eq!(world(1, Pace::Max).payments_a_day(), None);
    for cards in [1, 2, 3, 17] {
        assert_eq!(messages(&World { cards: Some(cards), ..world(1, Pace::PerSecond(5.0)) }, 500).len(), 500);
    }
}
