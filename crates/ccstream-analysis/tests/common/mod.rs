//! Makes a small stream of events and labels for the tests, the same in each run.

#![allow(dead_code, reason = "each test uses a part")]

use ccstream_analysis::event::terminal_key;
use ccstream_analysis::{Carried, Event, Label, Scored, State};
use ccstream_core::event::{Cents, Micros};

pub(crate) const DAY: i64 = 86_400_000_000;
pub(crate) const BEGIN: i64 = 1_795_305_600_000_000;

const CARDS: [&str; 12] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11"];
const MERCHANTS: [&str; 5] = ["Alder Books", "Birch Foods", "Cedar Fuel", "Driftwood Market", "Elm Shoes"];
const MODES: [&str; 6] = ["chip", "contactless", "ecommerce", "swipe", "manual", "recurring"];
const PLACES: [(&str, f64, f64); 4] =
    [("DE", 52.5, 13.4), ("US", 40.7, -74.0), ("FR", 48.9, 2.35), ("NZ", -36.8, 174.8)];

/// Makes numbers that look random.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn is_one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Returns events in the order of time, with bursts and gaps. Nearly all have a card and a merchant.
pub(crate) fn events(count: usize, seed: u64) -> Vec<Event<'static>> {
    let mut random = Random(seed);
    let mut time = BEGIN;
    let event = |_| {
        time += if random.is_one_in(3) { random.below(600_000_000) } else { random.below(12 * 3_600_000_000) } as i64;
        let places = if random.is_one_in(5) { &PLACES[..] } else { &PLACES[..1] };
        let (country, latitude, longitude) = random.pick(places);
        let cents = match random.below(12) {
            0 => random.below(90) + 1,
            1 => 20_000 + random.below(60_000),
            2 => 0,
            _ => 1_000 + random.below(8_000),
        } as i64;
        let has = |one_in: u64, random: &mut Random| !random.is_one_in(one_in);
        Event {
            time: Micros(time),
            amount: Cents(if random.is_one_in(15) { -cents } else { cents }),
            currency: has(50, &mut random).then(|| random.pick(&["EUR", "EUR", "EUR", "USD"])),
            card: has(40, &mut random).then(|| random.pick(&CARDS)),
            merchant: has(40, &mut random).then(|| random.pick(&MERCHANTS)),
            terminal: has(4, &mut random).then_some("T1"),
            country: has(20, &mut random).then_some(country),
            entry_mode: has(20, &mut random).then(|| random.pick(&MODES)),
            is_declined: random.is_one_in(12),
            place: has(10, &mut random).then_some((latitude, longitude)),
        }
    };
    (0..count).map(event).collect()
}

/// A label of the event with this index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) labelled_at: i64,
    pub(crate) event: usize,
}

/// Returns labels in the order of their times: of runs of events at one merchant, and of single ones.
pub(crate) fn labels(events: &[Event<'_>], seed: u64) -> Vec<Due> {
    let mut random = Random(seed);
    let mut due: Vec<Due> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let days = (event.time.0 - BEGIN) / DAY;
        let is_in_run = event.merchant == Some(MERCHANTS[(days / 20 % 5) as usize]) && days % 20 < 9;
        if is_in_run && !random.is_one_in(4) || random.is_one_in(60) {
            let delay = DAY * 5 + random.below(10 * DAY as u64) as i64;
            due.push(Due { labelled_at: event.time.0 + delay, event: index });
        }
    }
    due.sort_by_key(|due| (due.labelled_at, due.event));
    due
}

/// What was folded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Folded {
    Event(usize, Carried),
    Label(usize),
}

pub(crate) fn label(event: &Event<'_>, carried: Carried) -> Label {
    let Event { time, merchant, terminal, .. } = *event;
    Label { event_time: time, terminal: terminal_key(merchant, terminal), ratio: carried.ratio, fraud: true }
}

/// Folds events and labels in the order of time, and calls `after` with the state, what was folded, and what an event
/// gave.
pub(crate) fn fold(
    state: &mut State,
    events: &[Event<'_>],
    labels: &[Due],
    mut after: impl FnMut(&mut State, Folded, Option<&Scored>),
) {
    let (mut due, mut carried) = (labels.iter().peekable(), Vec::new());
    for (index, event) in events.iter().enumerate() {
        while let Some(next) = due.next_if(|next| next.labelled_at <= event.time.0) {
            state.apply_label(&label(&events[next.event], carried[next.event]));
            after(state, Folded::Label(next.event), None);
        }
        let scored = state.score_input(event);
        carried.push(scored.carried);
        after(state, Folded::Event(index, scored.carried), Some(&scored));
    }
}

/// Returns the bits of all features.
pub(crate) fn bits(scored: &Scored) -> Vec<u32> {
    scored.features.0.iter().map(|value| value.to_bits()).collect()
}
