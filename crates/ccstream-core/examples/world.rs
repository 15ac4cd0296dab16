//! Prints the transactions of a simulated world as CSV, each with the truth about it, until a number of days has passed:
//! `cargo run --release -p ccstream-core --example world -- SEED DAYS RATE CARDS FRAUD`.

use std::io::{BufWriter, Write};

use ccstream_core::event::Micros;
use ccstream_core::generate::{Generator, Message, Pace, Topic, World};
use serde_json::Value;

/// The fields of a transaction.
const FIELDS: [&str; 13] = [
    "transaction_id",
    "card_token",
    "merchant",
    "terminal_id",
    "category",
    "location",
    "latitude",
    "longitude",
    "amount",
    "currency",
    "entry_mode",
    "response_code",
    "issuer",
];
/// The fields of a truth.
const TRUTH: [&str; 4] = ["kind", "scenario", "campaign", "subject"];
/// 2026-11-02, a Monday.
const START: i64 = 20_759 * 86_400_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<f64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [seed, days, rate, cards, fraud] = arguments[..] else { return Err("SEED DAYS RATE CARDS FRAUD".into()) };
    let world = World {
        seed: seed as u64,
        start: Some(Micros(START)),
        pace: Pace::PerSecond(rate),
        cards: Some(cards as u32),
        fraud,
        ..World::default()
    };
    let (mut generator, mut message) = (Generator::new(&world)?, Message::default());
    let mut out = BufWriter::new(std::io::stdout().lock());
    write!(out, "micros,{},", FIELDS.join(","))?;
    let end = START + (days * 86_400e6) as i64;
    // A truth about a transaction follows it at once.
    let mut rest = TRUTH.join(",");
    loop {
        generator.next_message(&mut message);
        let is_truth = message.topic == Topic::Truth;
        if message.topic == Topic::Labels {
            continue;
        }
        let read: Value = serde_json::from_slice(&message.record.payload)?;
        let fields = |names: &[&str]| {
            let text = |name: &&str| match &read[*name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            names.iter().map(text).collect::<Vec<_>>().join(",")
        };
        if is_truth {
            rest = fields(&TRUTH);
            continue;
        }
        writeln!(out, "{rest}")?;
        if message.due.0 >= end {
            return Ok(());
        }
        rest = ",,,".into();
        write!(out, "{},{},", message.due.0, fields(&FIELDS))?;
    }
}
