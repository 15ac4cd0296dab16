//! Measures the steps of processing a message that need no service. Run with
//! `cargo bench --manifest-path benches/Cargo.toml`.

#![allow(missing_docs, reason = "criterion's macro defines a public function")]

use std::hint::black_box;

use ccstream_core::codec::{Encoder, decode};
use ccstream_core::event::Micros;
use ccstream_core::generate::{Generator, Message, Pace, World};
use ccstream_core::validate::validate;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The number of messages. They are all different, so that the processor cannot predict every branch.
const MESSAGES: usize = 1000;

fn generator(pace: Pace, cards: u32) -> Generator {
    let world = World { seed: 7, start: Some(Micros(1_795_342_530_000_000)), pace, cards: Some(cards), ..World::default() };
    Generator::new(&world).expect("a world with cards")
}

fn parts(criterion: &mut Criterion) {
    let (mut source, mut message) = (generator(Pace::Max, 5_000), Message::default());
    let payloads: Vec<Vec<u8>> = (0..MESSAGES)
        .map(|_| {
            source.next_message(&mut message);
            message.record.payload.clone()
        })
        .collect();
    let texts: Vec<&str> = payloads.iter().filter_map(|payload| std::str::from_utf8(payload).ok()).collect();
    let mut group = criterion.benchmark_group("message");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    group.bench_function("decode", |bench| {
        bench.iter(|| texts.iter().filter(|text| decode(black_box(text)).is_ok()).count());
    });
    group.bench_function("validate", |bench| {
        bench.iter(|| payloads.iter().filter(|payload| validate(Some(black_box(payload))).is_ok()).count());
    });
    for (name, pace, cards) in [
        ("generate, flat out", Pace::Max, 5_000),
        ("generate, 50,000 cards", Pace::PerSecond(1.2), 50_000),
        ("generate, 1,000,000 cards", Pace::PerSecond(24.0), 1_000_000),
    ] {
        let mut source = generator(pace, cards);
        group.bench_function(name, |bench| {
            bench.iter(|| (0..MESSAGES).for_each(|_| source.next_message(black_box(&mut message))));
        });
    }
    let (mut source, encoder) = (generator(Pace::Max, 5_000), Encoder::new());
    group.bench_function("encode a transaction", |bench| {
        let mut payload = Vec::new();
        let transaction = source.next_transaction();
        bench.iter(|| {
            payload.clear();
            (0..MESSAGES).for_each(|_| encoder.encode(black_box(&transaction), &mut payload));
            payload.len()
        });
    });
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
