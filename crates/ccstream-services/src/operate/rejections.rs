//! Implements `ccstream rejected`, which counts, shows and replays dead letters.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
pub use crate::postgres::derived::rejected::{KeptMessage, Selection};
pub use crate::postgres::derived::rejected_counts::ReasonCount;
use crate::postgres::derived::{rejected, rejected_counts};
use crate::postgres::reading::{NO_LIMIT, PAGE_LIMIT, Reader};
use crate::postgres::tables::Tables;
use crate::produce::resend;
use ccstream_core::record::Record;
use ccstream_core::settings::{DatabaseUrl, KafkaConfig, ProducerConfig};
use tokio_util::sync::CancellationToken;

/// The outcome of a replay: how many messages were replayed, and how many were left out for each reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resent {
    /// Messages that were replayed and acknowledged by the broker.
    pub sent: u64,
    /// Messages left out because a card number in them was masked, so the original is lost.
    pub masked: u64,
    /// Messages left out because they were too large to be stored whole.
    pub partial: u64,
    /// Messages left out because they have no payload.
    pub empty: u64,
    /// Messages left out because they were replayed before.
    pub replayed: u64,
}

/// Counts the dead letters by reason, the most frequent first.
pub async fn count(url: &DatabaseUrl) -> Result<Vec<ReasonCount>> {
    let mut reader = Reader::connect(url, &Tables::default()).await?;
    let reading = reader.begin(PAGE_LIMIT).await?;
    let counts = rejected_counts::count(&reading.transaction).await?;
    reading.end().await?;
    Ok(counts)
}

/// Returns the selected dead letters, newest first.
pub async fn select(url: &DatabaseUrl, selection: &Selection) -> Result<Vec<KeptMessage>> {
    let mut reader = Reader::connect(url, &Tables::default()).await?;
    let reading = reader.begin(PAGE_LIMIT).await?;
    let messages = rejected::select(&reading.transaction, selection).await?;
    reading.end().await?;
    Ok(messages)
}

/// The maximum number of messages that are held in memory at once.
const PAGE: i64 = 500;

/// Replays the selected dead letters to the topics from which they came, oldest first, and records each that the broker
/// has acknowledged.
///
/// The dead letters stay in the table. A replayed message that is rejected again becomes another dead letter; one that
/// is valid now is stored. After `stop` is cancelled, no further page of messages is sent.
///
/// Errors: the broker or the database is unavailable, or some messages were not delivered. In the latter case, all
/// others have been tried before.
pub fn replay(
    url: &DatabaseUrl,
    kafka: &KafkaConfig,
    selection: &Selection,
    stop: &CancellationToken,
) -> Result<Resent> {
    let runtime = crate::runtime()?;
    let mut reader = runtime.block_on(Reader::connect(url, &Tables::default()))?;
    let (left_out, newest) = runtime.block_on(async {
        let reading = reader.begin(NO_LIMIT).await?;
        let counted = rejected::count_left_out(&reading.transaction, selection).await?;
        reading.end().await?;
        Ok::<_, Error>(counted)
    })?;
    let mut resent = Resent {
        sent: 0,
        masked: left_out.masked as u64,
        partial: left_out.partial as u64,
        empty: left_out.empty as u64,
        replayed: left_out.replayed as u64,
    };
    // Only messages up to the newest one at the start are replayed. Otherwise a message that is rejected again
    // meanwhile would be replayed forever.
    let mut last = 0;
    let mut failures = Vec::new();
    while !stop.is_cancelled() {
        let page = runtime.block_on(async {
            let reading = reader.begin(NO_LIMIT).await?;
            let page = rejected::sendable(&reading.transaction, selection, (last, newest), PAGE).await?;
            reading.end().await?;
            Ok::<_, Error>(page)
        })?;
        let Some(end) = page.last() else { break };
        last = end.0;
        let mut by_topic: BTreeMap<String, (Vec<i64>, Vec<Record>)> = BTreeMap::new();
        for (id, topic, key, payload) in page {
            let (ids, events) = by_topic.entry(topic).or_default();
            ids.push(id);
            events.push(Record { key, payload, ..Record::default() });
        }
        for (topic, (ids, events)) in by_topic {
            let kafka = KafkaConfig { topic, ..kafka.clone() };
            let (delivered, failure) = resend(&ProducerConfig { kafka, ..ProducerConfig::default() }, &events)?;
            let delivered: Vec<i64> = delivered.into_iter().map(|place| ids[place]).collect();
            runtime.block_on(rejected::mark_replayed(&mut reader.client, &delivered))?;
            resent.sent += delivered.len() as u64;
            failures.extend(failure);
        }
    }
    match failures.first() {
        None => Ok(resent),
        Some(why) => {
            let text = format!(
                "{} messages were replayed, others could not be delivered: {why}; replay again, which sends only those that \
                 are left",
                resent.sent
            );
            Err(Error::Broker(text))
        }
    }
}
