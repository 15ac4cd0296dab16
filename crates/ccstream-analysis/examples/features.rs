//! Prints the features of transactions, folded with their labels in the order of time: `features EVENTS LABELS OUT
//! [MATURITY_DAYS]`.
//!
//! EVENTS is a CSV file in the order of time, as `ccstream produce --replay` reads it, with the columns `transaction_id`,
//! `timestamp`, `card_token`, `merchant`, `amount`, `currency`; others are optional. LABELS has `transaction_id`,
//! `labelled_at` and `fraud`. A label is applied before the first event at or after its time. OUT gets one row of
//! features a transaction, as raw 32-bit floats with the lowest byte first. The names of the columns are printed.

use std::collections::{HashMap, HashSet};
use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::time::Instant;

use ccstream_analysis::event::terminal_key;
use ccstream_analysis::features::DEFINITIONS;
use ccstream_analysis::{Event, Label, Settings, State, version};
use ccstream_core::event::{Cents, Micros};
use ccstream_core::validate::parse_moment;

/// Holds a row of a CSV file by the names of its columns.
struct Row {
    columns: Vec<Option<usize>>,
    record: csv::StringRecord,
}

impl Row {
    fn get(&self, column: usize) -> Option<&str> {
        self.record.get(self.columns[column]?).filter(|text| !text.is_empty())
    }
}

/// Reads a CSV file. Each row has the columns of `names`, by their indices.
fn rows(path: &str, names: &[&str]) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_path(path)?;
    let header = reader.headers()?.clone();
    let columns: Vec<_> = names.iter().map(|name| header.iter().position(|one| one == *name)).collect();
    let row = |record: csv::Result<csv::StringRecord>| Ok(Row { columns: columns.clone(), record: record? });
    reader.records().map(row).collect()
}

/// Holds a label until it is due.
struct Waiting<'a> {
    labelled_at: Micros,
    id: &'a str,
    fraud: bool,
}

const EVENTS: [&str; 12] = [
    "transaction_id",
    "timestamp",
    "amount",
    "currency",
    "card_token",
    "merchant",
    "terminal_id",
    "country",
    "entry_mode",
    "response_code",
    "latitude",
    "longitude",
];
const LABELS: [&str; 3] = ["transaction_id", "labelled_at", "fraud"];

fn cents(text: &str) -> Result<Cents, Box<dyn Error>> {
    Ok(Cents((text.parse::<f64>()? * 100.0).round() as i64))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [events, labels, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: features EVENTS LABELS OUT [MATURITY_DAYS]".into());
    };
    let maturity: f64 = rest.first().map_or(Ok(7.0), |days| days.parse())?;
    let settings = Settings { maturity: (maturity * 86_400e6) as i64, ..Settings::default() };
    let events = rows(events, &EVENTS)?;
    let labels = rows(labels, &LABELS)?;
    let mut waiting = Vec::with_capacity(labels.len());
    for row in &labels {
        let labelled_at = parse_moment(row.get(1).ok_or("a label has no labelled_at")?)?;
        let fraud = row.get(2).is_none_or(|fraud| matches!(fraud, "1" | "true" | "True"));
        waiting.push(Waiting { labelled_at, id: row.get(0).ok_or("a label has no transaction_id")?, fraud });
    }
    waiting.sort_by_key(|label| label.labelled_at);
    let mut parsed = Vec::with_capacity(events.len());
    for row in &events {
        let degrees = |column| row.get(column).and_then(|text| text.parse().ok());
        parsed.push(Event {
            time: parse_moment(row.get(1).ok_or("an event has no timestamp")?)?,
            amount: cents(row.get(2).ok_or("an event has no amount")?)?,
            currency: row.get(3),
            card: row.get(4),
            merchant: row.get(5),
            terminal: row.get(6),
            country: row.get(7),
            entry_mode: row.get(8),
            is_declined: row.get(9).is_some_and(|code| code != "00"),
            place: degrees(10).zip(degrees(11)),
        });
    }
    let labelled: HashSet<&str> = waiting.iter().map(|label| label.id).collect();
    let mut seen = HashMap::with_capacity(waiting.len());
    let (mut state, mut due) = (State::new(&settings), 0);
    let mut file = BufWriter::new(File::create(out)?);
    let began = Instant::now();
    for (row, event) in events.iter().zip(&parsed) {
        while let Some(label) = waiting.get(due).filter(|label| label.labelled_at <= event.time) {
            due += 1;
            if let Some((earlier, ratio)) = seen.get(label.id).copied() {
                let Event { time, merchant, terminal, .. } = earlier;
                let terminal = terminal_key(merchant, terminal);
                state.apply_label(&Label { event_time: time, terminal, ratio, fraud: label.fraud });
            }
        }
        let scored = state.score_input(event);
        let id = row.get(0).ok_or("an event has no transaction_id")?;
        if labelled.contains(id) {
            seen.insert(id, (*event, scored.carried.ratio));
        }
        for value in scored.features.0 {
            file.write_all(&value.to_le_bytes())?;
        }
    }
    file.flush()?;
    let mut print = stdout().lock();
    let names: Vec<&str> = DEFINITIONS.iter().map(|one| one.name).collect();
    writeln!(print, "{}", names.join(","))?;
    let nanos = began.elapsed().as_nanos() / events.len().max(1) as u128;
    writeln!(
        print,
        "version {}, {} events, {nanos} ns an event with writing, {:?}",
        version(),
        events.len(),
        state.counts()
    )?;
    Ok(())
}
