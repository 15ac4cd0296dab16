//! This module describes the events that a producer would send, without a broker.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::produce::payloads::Payloads;
use crate::produce::rows::Rows;
use crate::produce::{ProduceEvent, check_settings, warn_of_overuse};
use crate::report::Observers;
use ccstream_core::describe::{Describer, Shape};
use ccstream_core::generate::{Message, Topic, World};
use ccstream_core::settings::ProducerConfig;
use ccstream_core::units::Micros;

/// Number of events that are described if no count is given.
const DEFAULT_COUNT: u64 = 500_000;
/// Number of events between two checks for a stop.
const LOOK_EVERY: u64 = 1024;

/// Describes the events that a run with these settings would send: `count` of them, or the first 500,000, or those
/// before a stop. It reports no event but a warning that cards have no habits.
///
/// Without a start time, simulated time starts now and advances at the rate.
///
/// Errors: a setting is invalid, or the file cannot be read.
pub fn describe(
    config: &ProducerConfig,
    stop: &CancellationToken,
    observers: &mut Observers<'_, ProduceEvent>,
) -> Result<Shape> {
    check_settings(config)?;
    for (name, is_given) in [
        ("labels", config.labels.is_some()),
        ("resume", config.resume.is_some()),
        ("control", config.control.is_some()),
        ("script", config.script.is_some()),
    ] {
        if is_given {
            return Err(Error::config(
                name,
                format!("a description sends nothing and takes neither labels nor commands; leave out `{name}`"),
            ));
        }
    }
    let mut payloads = if let Some(rows) = Rows::open(config)? {
        Payloads::Replayed(Box::new(rows))
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Micros(now.as_micros() as i64);
        let world = config.world(now);
        if config.preset.is_none() {
            warn_of_overuse(&world, observers);
        }
        Payloads::of(config, &World { start: world.start.or(Some(now)), ..world })?
    };
    let (mut describer, mut message) = (Describer::default(), Message::default());
    let (count, mut events) = (config.count.unwrap_or(DEFAULT_COUNT), 0u64);
    while events < count {
        let is_stopped = events.is_multiple_of(LOOK_EVERY) && stop.is_cancelled();
        if is_stopped || !payloads.next(&mut message)? {
            break;
        }
        // Labels and truths are not events.
        if message.topic == Topic::Orders {
            describer.add(&message.record);
            events += 1;
        }
    }
    Ok(describer.shape())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccstream_core::generate::Pace;

    fn shape(config: &ProducerConfig) -> Shape {
        describe(config, &CancellationToken::new(), &mut Observers::default()).unwrap()
    }

    #[test]
    fn generated_events_are_described_up_to_the_count() {
        let config =
            ProducerConfig { seed: Some(7), count: Some(3000), rate: Pace::PerSecond(2.0), ..Default::default() };
        let found = shape(&config);
        assert_eq!((found.events, found.malformed.len()), (3000, 0));
        // Simulated time advances at the rate, by about 1,500 s, although this takes only a moment.
        let span = found.last.unwrap() - found.first.unwrap();
        assert!((300_000_000..=7_500_000_000).contains(&span), "{span}");
        let start = Some(Micros(1_795_342_530_000_000));
        let fixed = ProducerConfig { start_time: start, ..config };
        assert_eq!(shape(&fixed), shape(&fixed));
        assert_eq!(shape(&fixed).first, start.map(|start| start.0));
    }

    #[test]
    fn a_replayed_file_is_described_to_its_end() {
        let path = std::env::temp_dir().join(format!("ccstream-{}-described.csv", std::process::id()));
        let rows = "timestamp,amount,merchant\n2026-01-05,1.50,a\n2026-01-06,-2,a\n2026-01-06,abc,b\n";
        std::fs::write(&path, rows).unwrap();
        let config = ProducerConfig { replay: Some(path.clone()), ..Default::default() };
        let found = shape(&config);
        assert_eq!((found.events, found.merchants.distinct, found.refunds), (2, 1, Some(0.5)));
        assert_eq!(found.malformed.get("invalid_amount"), Some(&1));
        assert_eq!((found.hours[0][0], found.hours[1][0]), (1, 1));
        assert_eq!(shape(&ProducerConfig { count: Some(1), ..config }).events, 1);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_stop_ends_it() {
        let stop = CancellationToken::new();
        stop.cancel();
        let found = describe(&ProducerConfig::default(), &stop, &mut Observers::default());
        assert_eq!(found.unwrap().events, 0);
    }
}
