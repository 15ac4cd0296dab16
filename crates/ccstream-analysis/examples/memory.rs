//! Fills a state and prints the memory that the process uses: `memory CARDS MERCHANTS`. It works on Linux only.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::time::Instant;

use ccstream_analysis::{Event, Settings, State};
use ccstream_core::event::{Cents, Micros};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<usize> = env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [cards, merchants] = arguments[..] else { return Err("usage: memory CARDS MERCHANTS".into()) };
    let mut state = State::new(&Settings { cards, merchants, ..Settings::default() });
    for number in 0..cards * 2 {
        let (card, merchant) = (format!("tok_{}", number % cards), format!("Merchant {}", number * 7 % merchants));
        let event = Event {
            time: Micros(1_795_342_530_000_000 + number as i64 * 100_000),
            amount: Cents(1_000 + (number % 977) as i64),
            currency: Some("EUR"),
            card: Some(&card),
            merchant: Some(&merchant),
            entry_mode: Some("chip"),
            ..Event::default()
        };
        state.score_input(&event);
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown");
    let mut print = stdout().lock();
    writeln!(print, "{:?}", state.counts())?;
    writeln!(print, "{resident}")?;
    let began = Instant::now();
    let written = state.snapshot(usize::MAX).written;
    let bytes: usize = written.iter().map(|(_, bytes)| bytes.len()).sum();
    writeln!(print, "snapshot: {bytes} bytes in {:?}", began.elapsed())?;
    let began = Instant::now();
    let mut restored = State::new(&Settings { cards, merchants, ..Settings::default() });
    for (id, bytes) in &written {
        restored.load(*id, state.seq(), bytes)?;
    }
    writeln!(print, "loaded in {:?}", began.elapsed())?;
    Ok(())
}
