//! This module reads transactions from Kafka again that the consumer has not stored, because the state is restored from
//! them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::Message;

use crate::consume::assigned::Assigned;
use crate::error::Result;
use crate::postgres::analysis::{Missing, Past};
use ccstream_analysis::event::{Event, Seen};
use ccstream_core::event::Micros;
use ccstream_core::settings::AnalyzerConfig;
use ccstream_core::validate::validate_until;

/// Longest wait for the next message.
const WAIT: Duration = Duration::from_secs(3);

/// Reads the messages of scored transactions at their offsets. Those that the topic no longer has are left out, as are all
/// that a broker does not return in time.
///
/// Errors: the client cannot be created.
pub(super) fn refetch(config: &AnalyzerConfig, missing: Vec<Missing>) -> Result<Vec<Past>> {
    let mut ends: BTreeMap<i32, i64> = BTreeMap::new();
    let mut starts: BTreeMap<i32, i64> = BTreeMap::new();
    for Missing { partition, offset, .. } in &missing {
        let start = starts.entry(*partition).or_insert(*offset);
        *start = (*start).min(*offset);
        let end = ends.entry(*partition).or_insert(*offset);
        *end = (*end).max(*offset);
    }
    let mut wanted: HashMap<(i32, i64), Missing> =
        missing.into_iter().map(|one| ((one.partition, one.offset), one)).collect();
    let mut topic = Assigned::new(&config.reading(), &config.kafka.topic)?;
    topic.begin(starts, &[], false)?;
    let mut found = Vec::new();
    let mut heard = Instant::now();
    while !ends.is_empty() && heard.elapsed() < WAIT {
        match topic.poll(Duration::from_millis(100)) {
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ends.remove(&partition)),
            // After an error, the client tries again by itself.
            None | Some(Err(_)) => continue,
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                if let Some(one) = wanted.remove(&(partition, offset)) {
                    found.extend(past(one, message.payload()));
                }
                if ends.get(&partition).is_some_and(|end| *end <= offset) {
                    ends.remove(&partition);
                }
            }
        }
        heard = Instant::now();
    }
    Ok(found)
}

/// Returns the transaction, if the message still has it.
fn past(missing: Missing, payload: Option<&[u8]>) -> Option<Past> {
    let transaction = validate_until(payload, Micros::END).ok()?;
    if *transaction.order_id != *missing.id {
        return None;
    }
    let event = Seen::from(&Event::from(&transaction));
    Some(Past { seq: missing.seq, id: missing.id, event, carried: missing.carried, score: None, reasons: None })
}
