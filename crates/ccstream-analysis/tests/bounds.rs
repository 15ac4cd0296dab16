//! Tests what has no usual value: missing fields, wrong clocks, floods, evictions, and labels of any kind.

#![allow(clippy::float_cmp, reason = "counts are exact")]

mod common;

use ccstream_analysis::{Carried, Counts, Effect, Event, Feature, Label, Scored, Settings, State, key, version};
use ccstream_core::event::{Cents, Micros};
use common::{BEGIN, DAY, bits, label};

const HOUR: i64 = DAY / 24;

fn event(time: i64) -> Event<'static> {
    Event {
        time: Micros(time),
        amount: Cents(1_000),
        currency: Some("EUR"),
        card: Some("c1"),
        merchant: Some("m1"),
        ..Event::default()
    }
}

fn state() -> State {
    State::new(&Settings::default())
}

fn get(scored: &Scored, feature: Feature) -> f32 {
    scored.features.get(feature)
}

#[test]
fn a_million_transactions_in_an_hour_are_one_card() {
    let mut state = state();
    for number in 0..1_000_000 {
        state.score_input(&event(BEGIN + number * HOUR / 1_000_000));
    }
    let scored = state.score_input(&event(BEGIN + HOUR));
    assert_eq!(get(&scored, Feature::CardHour), 10.0);
    assert_eq!(get(&scored, Feature::CardAmounts), 200.0);
    assert!((get(&scored, Feature::CardRatio) - 1.0).abs() < 1e-6);
    assert_eq!(state.counts(), Counts { cards: 1, merchants: 1, terminals: 1, ..Counts::default() });
    let later = state.score_input(&event(BEGIN + 20 * DAY));
    assert_eq!(get(&later, Feature::TerminalKnown), f32::from(u16::MAX));
}

#[test]
fn a_clock_that_is_a_year_ahead_spoils_nothing_for_good() {
    let mut state = state();
    for day in 0..20 {
        state.score_input(&event(BEGIN + day * DAY));
    }
    state.score_input(&event(BEGIN + 385 * DAY));
    let first = state.score_input(&event(BEGIN + 20 * DAY));
    assert_eq!(get(&first, Feature::CardSinceLast), 0.0);
    assert_eq!(get(&first, Feature::CardDay), 0.0);
    assert_eq!(get(&first, Feature::CardAmounts), 21.0);
    let second = state.score_input(&event(BEGIN + 21 * DAY));
    assert_eq!(get(&second, Feature::CardSinceLast), 1.0);
    // The terminal's days were forgotten, and are counted again.
    let later = state.score_input(&event(BEGIN + 40 * DAY));
    assert_eq!(get(&later, Feature::TerminalKnown), 2.0);
}

#[test]
fn a_late_event_is_seen_from_its_own_day() {
    let mut state = state();
    for day in 0..20 {
        state.score_input(&event(BEGIN + day * DAY + HOUR));
    }
    let late = state.score_input(&event(BEGIN + 15 * DAY + 2 * HOUR));
    assert_eq!(get(&late, Feature::TerminalKnown), 9.0);
    assert_eq!(get(&late, Feature::TerminalKnownSince), 7.0 + 2.0 / 24.0);
    let next = state.score_input(&event(BEGIN + 30 * DAY));
    assert_eq!(get(&next, Feature::TerminalKnown), 21.0);
}

#[test]
fn any_time_and_amount_give_finite_features_or_none() {
    let extremes = [i64::MIN, -1, 0, 1, 1_000, BEGIN, BEGIN + DAY, i64::MAX];
    let mut state = state();
    for _ in 0..3 {
        for time in extremes {
            for amount in extremes {
                let place = Some((f64::from(amount as f32), f64::NAN));
                let one = Event { amount: Cents(amount), place, entry_mode: Some("chip"), ..event(time) };
                let scored = state.score_input(&one);
                assert!(scored.features.0.iter().all(|value| !value.is_infinite()), "{one:?}: {scored:?}");
                assert!((0.0..1.0).contains(&scored.verdict.probability));
                state.apply_label(&label(&one, scored.carried));
            }
        }
    }
}

#[test]
fn many_amounts_of_zero_have_finite_ratios() {
    let mut state = state();
    state.score_input(&event(BEGIN));
    for second in 0..300_000 {
        state.score_input(&Event { amount: Cents(0), ..event(BEGIN + second * 1_000_000) });
    }
    let ratio =
        get(&state.score_input(&Event { amount: Cents(i64::MAX), ..event(BEGIN + 4 * DAY) }), Feature::CardRatio);
    assert!(ratio > 1e15 && ratio.is_finite(), "{ratio}");
}

#[test]
fn without_a_card_or_a_merchant_their_features_are_missing() {
    let mut state = state();
    state.score_input(&event(BEGIN));
    let no_card = state.score_input(&Event { card: None, ..event(BEGIN + HOUR) });
    assert!(no_card.carried.ratio.is_nan());
    assert!(get(&no_card, Feature::CardRatio).is_nan() && get(&no_card, Feature::CardDay).is_nan());
    assert_eq!(get(&no_card, Feature::MerchantRatio), 0.0);
    let no_merchant = state.score_input(&Event { merchant: None, ..event(BEGIN + HOUR) });
    assert!(get(&no_merchant, Feature::MerchantTiny).is_nan() && get(&no_merchant, Feature::TerminalKnown).is_nan());
    assert_eq!(get(&no_merchant, Feature::CardRatio), 1.0);
    let nothing = state.score_input(&Event { card: None, merchant: None, ..event(BEGIN + HOUR) });
    assert!(nothing.verdict.probability < 1e-3);
    assert_eq!(state.counts(), Counts { cards: 1, merchants: 1, terminals: 1, ..Counts::default() });
}

#[test]
fn amounts_of_different_currencies_are_not_compared() {
    let mut state = state();
    state.score_input(&event(BEGIN));
    let yen = Event { amount: Cents(150_000), currency: Some("JPY"), ..event(BEGIN + HOUR) };
    assert_eq!(get(&state.score_input(&yen), Feature::CardRatio), 1.0);
    assert_eq!(state.counts().cards, 2);
}

/// Returns a state with events on these days at one hour after midnight, all of which are known frauds.
fn frauds_on(days: &[i64]) -> State {
    let mut state = state();
    for day in days {
        let one = event(BEGIN + day * DAY + HOUR);
        let carried = state.score_input(&one).carried;
        state.apply_label(&label(&one, Carried { ratio: 1.0, ..carried }));
    }
    state
}

#[test]
fn a_run_ends_after_35_days_without_a_known_fraud() {
    for (days, frauds, age) in [([0, 35], 2.0, 55.0), ([0, 36], 1.0, 19.0)] {
        let scored = frauds_on(&days).score_input(&event(BEGIN + 55 * DAY));
        let found = [Feature::RunFrauds, Feature::RunAge, Feature::RunSince].map(|feature| get(&scored, feature));
        assert_eq!(found, [frauds, age, (55 - days[1]) as f32]);
    }
}

#[test]
fn a_run_ends_after_two_days_with_known_genuine_transactions() {
    for (genuine, frauds) in [(vec![3, 3], 2.0), (vec![3, 5], 1.0)] {
        let mut state = frauds_on(&[0]);
        for day in genuine {
            state.score_input(&event(BEGIN + day * DAY + HOUR));
        }
        let one = event(BEGIN + 8 * DAY + HOUR);
        let carried = state.score_input(&one).carried;
        state.apply_label(&label(&one, carried));
        let scored = state.score_input(&event(BEGIN + 20 * DAY));
        assert_eq!(get(&scored, Feature::RunFrauds), frauds);
    }
}

#[test]
fn transactions_of_thirty_days_and_a_part_are_known() {
    let mut state = state();
    for day in 0..50 {
        state.score_input(&event(BEGIN + day * DAY + HOUR));
    }
    // The last transaction that is known was 7 days and an hour ago, or is just not known.
    for (hour, known) in [(2, 31.0), (0, 30.0)] {
        let scored = state.score_input(&event(BEGIN + 50 * DAY + hour * HOUR));
        assert_eq!(get(&scored, Feature::TerminalKnown), known);
    }
}

#[test]
fn a_label_says_what_it_did() {
    let mut state = state();
    let usual = state.score_input(&event(BEGIN)).carried;
    let mut apply = |one: Event<'_>, ratio: f32, fraud: bool| {
        state.apply_label(&Label { fraud, ..label(&one, Carried { ratio, ..usual }) })
    };
    assert_eq!(apply(event(BEGIN), 1.0, true), Effect::Terminal);
    assert_eq!(apply(event(BEGIN), f32::NAN, true), Effect::Terminal);
    assert_eq!(apply(event(BEGIN), 5.0, true), Effect::Card);
    assert_eq!(apply(event(BEGIN), 1.0, false), Effect::Genuine);
    assert_eq!(apply(event(BEGIN - 70 * DAY), 1.0, true), Effect::TooOld);
    assert_eq!(apply(Event { merchant: Some("m2"), ..event(BEGIN) }, 1.0, true), Effect::Unknown);
    assert_eq!(apply(Event { merchant: None, ..event(BEGIN) }, 1.0, true), Effect::Unknown);
    assert_eq!(state.seq(), 8);
}

#[test]
fn a_correction_leaves_what_the_other_labels_say() {
    let (mut corrected, mut expected) = (state(), state());
    let mut carried = None;
    for day in 0..10 {
        carried = Some(corrected.score_input(&event(BEGIN + day * DAY)).carried);
        expected.score_input(&event(BEGIN + day * DAY));
    }
    let label = |day: i64, fraud| carried.map(|carried| Label { fraud, ..label(&event(BEGIN + day * DAY), carried) });
    let (Some(wrong), Some(right), Some(genuine)) = (label(3, true), label(5, true), label(3, false)) else {
        panic!("ten days have events")
    };
    corrected.apply_label(&wrong);
    corrected.apply_label(&right);
    assert_eq!(corrected.apply_correction(&genuine, [right, genuine]), Effect::Genuine);
    expected.apply_label(&right);
    for day in 12..40 {
        let (found, wanted) =
            (corrected.score_input(&event(BEGIN + day * DAY)), expected.score_input(&event(BEGIN + day * DAY)));
        assert_eq!(bits(&found), bits(&wanted));
    }
    let run = corrected.score_input(&event(BEGIN + 40 * DAY));
    assert_eq!(get(&run, Feature::RunFrauds), 1.0);
}

#[test]
fn the_least_recently_used_card_is_evicted() {
    let mut state = State::new(&Settings { cards: 1_000, ..Settings::default() });
    let names: Vec<String> = (0..30_000).map(|number| format!("card {number}")).collect();
    let mut is_known = |name: &str| {
        let scored = state.score_input(&Event { card: Some(name), ..event(BEGIN) });
        get(&scored, Feature::CardAmounts) > 0.0
    };
    for name in &names {
        assert!(!is_known(name));
        is_known("used always");
    }
    assert!(is_known("used always"));
    assert!(names[29_900..].iter().all(|name| is_known(name)));
    assert!(!names[..1_000].iter().any(|name| is_known(name)));
    let counts = state.counts();
    assert!(counts.cards < 12_000 && counts.evicted_cards as usize + counts.cards == 31_001, "{counts:?}");
}

#[test]
fn as_many_cards_as_the_bound_are_kept() {
    let mut state = State::new(&Settings { cards: 50_000, merchants: 5_000, ..Settings::default() });
    for number in 0..50_000 {
        let (card, merchant) = (format!("card {number}"), format!("merchant {}", number % 5_000));
        state.score_input(&Event { card: Some(&card), merchant: Some(&merchant), ..event(BEGIN) });
    }
    assert_eq!(state.counts(), Counts { cards: 50_000, merchants: 5_000, terminals: 5_000, ..Counts::default() });
}

#[test]
fn the_same_stream_gives_the_same_bits_everywhere() {
    let events = common::events(2_000, 42);
    let mut state = state();
    let mut hash = 0;
    common::fold(&mut state, &events, &common::labels(&events, 42), |_, _, scored| {
        for bits in scored.map(bits).unwrap_or_default() {
            hash = key::pair(hash, u64::from(bits));
        }
    });
    // If the features change, models and snapshots are invalid. A change of a definition changes the version; a change of
    // the code alone must raise `REVISION` in features.rs. Then both values below are replaced.
    assert_eq!((version(), hash), ("95dad28969738589", 0x9c2e_c3b4_2c41_8188), "{hash:#x}");
}
