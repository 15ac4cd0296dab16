//! Prints the transactions of the Handbook's world as CSV, without a broker: `handbook PRESET SEED START`, such as
//! `handbook handbook,days=183 1 2018-04-01`.
//!
//! The columns are the time in microseconds since 1970, the customer, the terminal, the amount in cents, and the
//! scenario of a fraud, which is 0 for a genuine transaction.

use std::env;
use std::error::Error;
use std::io::{BufWriter, Write, stdout};

use ccstream_core::generate::handbook::{Handbook, Settings};
use ccstream_core::validate::parse_moment;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [preset, seed, start] = arguments.as_slice() else { return Err("usage: handbook PRESET SEED START".into()) };
    let settings: Settings = preset.parse()?;
    let mut out = BufWriter::new(stdout().lock());
    writeln!(out, "time,customer,terminal,cents,scenario")?;
    for one in Handbook::new(seed.parse()?, parse_moment(start)?, &settings)? {
        let scenario = one.scenario.map_or(0, |scenario| scenario as u8);
        writeln!(out, "{},{},{},{},{scenario}", one.time.0, one.customer, one.terminal, one.cents.0)?;
    }
    Ok(out.flush()?)
}
