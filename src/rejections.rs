//! What `ccstream rejected` does: counts, shows and sends again the messages that were kept.

use std::collections::BTreeMap;

use crate::config::{DatabaseUrl, KafkaConfig, ProducerConfig};
use crate::error::Result;
use crate::produce::resend;
use crate::replay::ReplayedEvent;
use crate::store::connect::connect;
use crate::store::rejected;
pub use crate::store::rejected::{KeptMessage, ReasonCount, Selection};

/// What became of a selection that was to be sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resent {
    /// Messages that the broker has again.
    pub sent: u64,
    /// Left out: a card number in them was masked, so they are not what they were.
    pub masked: u64,
    /// Left out: they have no payload.
    pub empty: u64,
    /// Left out: they were sent again before.
    pub replayed: u64,
}

/// Counts the kept messages by reason, the most frequent first.
pub fn count(url: &DatabaseUrl) -> Result<Vec<ReasonCount>> {
    crate::runtime()?.block_on(async { rejected::count(&connect(url).await?).await })
}

/// The selected messages, the newest first.
pub fn select(url: &DatabaseUrl, selection: &Selection) -> Result<Vec<KeptMessage>> {
    crate::runtime()?.block_on(async { rejected::select(&connect(url).await?, selection).await })
}

/// Sends the selected messages to the topic they came from again, oldest first, and notes that in the table.
/// They stay there: a message that is rejected again is kept again, one that is valid now is stored.
pub fn replay(url: &DatabaseUrl, kafka: &KafkaConfig, selection: &Selection) -> Result<Resent> {
    let runtime = crate::runtime()?;
    let client = runtime.block_on(connect(url))?;
    let mut resent = Resent::default();
    let mut by_topic: BTreeMap<String, Vec<(i64, ReplayedEvent)>> = BTreeMap::new();
    for message in runtime.block_on(rejected::select(&client, selection))?.into_iter().rev() {
        match message.payload {
            _ if message.masked => resent.masked += 1,
            _ if message.replayed_at.is_some() => resent.replayed += 1,
            None => resent.empty += 1,
            Some(payload) => {
                let event = ReplayedEvent { key: message.key, payload };
                by_topic.entry(message.topic).or_default().push((message.id, event));
            }
        }
    }
    for (topic, messages) in by_topic {
        let (ids, events): (Vec<i64>, Vec<ReplayedEvent>) = messages.into_iter().unzip();
        let kafka = KafkaConfig { topic, ..kafka.clone() };
        resent.sent += resend(&ProducerConfig { kafka, ..ProducerConfig::default() }, &events)?;
        runtime.block_on(rejected::mark_replayed(&client, &ids))?;
    }
    Ok(resent)
}
