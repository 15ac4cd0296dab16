//! Measures the steps of processing a message that need no service. Run with
//! `cargo bench --manifest-path benches/Cargo.toml`.

#![allow(missing_docs, reason = "criterion's macro defines a public function")]

use std::hint::black_box;

use ccstream_core::codec::{Encoder, decode};
use ccstream_core::event::Micros;
use ccstream_core::generate::{Clock, Generator, Pace};
use ccstream_core::validate::validate;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The number of messages. They are all different, so that the processor cannot predict every branch.
const MESSAGES: usize = 1000;

fn generator() -> Generator {
    Generator::new(7, Clock::From(Micros(1_795_342_530_000_000)), Pace::Max)
}

fn parts(criterion: &mut Criterion) {
    let (mut generator, encoder) = (generator(), Encoder::new());
    let payloads: Vec<Vec<u8>> = (0..MESSAGES)
        .map(|_| {
            let mut payload = Vec::new();
            encoder.encode(&generator.next_transaction(), &mut payload);
            payload
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
    group.bench_function("generate", |bench| {
        bench.iter(|| (0..MESSAGES).map(|_| generator.next_transaction().value.0).sum::<i64>());
    });
    group.bench_function("generate and encode", |bench| {
        let mut payload = Vec::new();
        bench.iter(|| {
            payload.clear();
            (0..MESSAGES).for_each(|_| encoder.encode(&generator.next_transaction(), &mut payload));
            payload.len()
        });
    });
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
