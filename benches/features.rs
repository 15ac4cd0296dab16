//! Measures the features of a transaction: the state is read and changed, and the rules give a score. Run with
//! `cargo bench --manifest-path benches/Cargo.toml --bench features`.

#![allow(missing_docs, reason = "criterion's macro defines a public function")]

use std::hint::black_box;

use ccstream_analysis::event::terminal_key;
use ccstream_analysis::{Event, Label, Settings, State};
use ccstream_core::event::{Cents, Micros};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const EVENTS: usize = 100_000;

/// Returns numbers that look random, the same in each run.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

struct Names {
    cards: Vec<String>,
    merchants: Vec<String>,
}

impl Names {
    fn new(cards: usize, merchants: usize) -> Self {
        let named = |prefix: &str, count| (0..count).map(|number| format!("{prefix}-{number:08}")).collect();
        Self { cards: named("tok_card", cards), merchants: named("Merchant of the town", merchants) }
    }

    /// Returns the microseconds between events of two payments a card and day.
    fn gap(&self) -> i64 {
        43_200_000_000 / self.cards.len() as i64
    }

    fn events(&self, from: usize, seed: &mut u64) -> Vec<Event<'_>> {
        let modes = ["chip", "contactless", "ecommerce", "swipe"];
        let gap = self.gap();
        let event = |number: usize| Event {
            time: Micros(1_795_342_530_000_000 + (from + number) as i64 * gap),
            amount: Cents(200 + (random(seed) % 20_000) as i64),
            currency: Some("EUR"),
            card: Some(&self.cards[random(seed) as usize % self.cards.len()]),
            merchant: Some(&self.merchants[random(seed) as usize % self.merchants.len()]),
            terminal: Some("T0000001"),
            country: Some("DE"),
            entry_mode: Some(modes[random(seed) as usize % modes.len()]),
            is_declined: random(seed).is_multiple_of(25),
            place: Some(((random(seed) % 90) as f64 * 0.1 + 45.0, (random(seed) % 90) as f64 * 0.1)),
        };
        (0..EVENTS).map(event).collect()
    }
}

fn features(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("features");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.sample_size(20);
    for (name, cards, merchants) in
        [("5,000 cards", 5_000, 1_000), ("50,000 cards", 50_000, 10_000), ("1,000,000 cards", 1_000_000, 100_000)]
    {
        let names = Names::new(cards, merchants);
        let (mut state, mut seed, mut folded) = (State::new(&Settings::default()), 7, 0);
        // Every card has a past before anything is measured, and one merchant in fifty has known frauds.
        for _ in 0..(3 * cards).div_ceil(EVENTS) {
            for event in names.events(folded, &mut seed) {
                let scored = state.score_input(&event);
                if random(&mut seed).is_multiple_of(500) {
                    let (ratio, fraud) = (scored.carried.ratio, true);
                    let Event { merchant, terminal, time, .. } = event;
                    state.apply_label(&Label {
                        event_time: time,
                        terminal: terminal_key(merchant, terminal),
                        ratio,
                        fraud,
                    });
                }
            }
            folded += EVENTS;
        }
        let events = names.events(folded, &mut seed);
        let (mut later, length) = (0, EVENTS as i64 * names.gap());
        group.bench_function(name, |bench| {
            bench.iter(|| {
                later += length;
                let events = events.iter().map(|event| Event { time: Micros(event.time.0 + later), ..*event });
                events.map(|event| state.score_input(black_box(&event)).verdict.probability).sum::<f64>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, features);
criterion_main!(benches);
