//! Keeping rejected messages, in the batch's own transaction.

use tokio_postgres::Transaction;

use super::offsets::Source;
use crate::batch::RejectedMessage;
use crate::error::{Error, Result};

/// Inserts the batch's rejected messages.
pub(crate) async fn keep(transaction: &Transaction<'_>, source: &Source, messages: &[RejectedMessage]) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let partitions: Vec<i32> = messages.iter().map(|message| message.partition).collect();
    let offsets: Vec<i64> = messages.iter().map(|message| message.offset).collect();
    let keys: Vec<Option<&[u8]>> = messages.iter().map(|message| message.key.as_deref()).collect();
    let payloads: Vec<Option<&[u8]>> = messages.iter().map(|message| message.payload.as_deref()).collect();
    let masked: Vec<bool> = messages.iter().map(|message| message.masked).collect();
    let reasons: Vec<&str> = messages.iter().map(|message| message.rejection.reason.as_str()).collect();
    // PostgreSQL's text cannot hold NUL; a detail that quotes one shows its escape.
    let details: Vec<String> = messages.iter().map(|message| message.rejection.detail.replace('\0', "\\0")).collect();
    let kept = transaction
        .execute(
            "INSERT INTO rejected_events
                 (consumer_group, topic, kafka_partition, kafka_offset, message_key, payload, masked, reason, detail)
             SELECT $1, $2, b.* FROM unnest($3::int[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bool[],
                 $8::text[], $9::text[]) AS b",
            &[&source.group, &source.topic, &partitions, &offsets, &keys, &payloads, &masked, &reasons, &details],
        )
        .await
        .map_err(Error::postgres("keeping rejected messages"))?;
    if kept != messages.len() as u64 {
        return Err(Error::Inconsistent(format!("{} rejected messages became {kept} rows", messages.len())));
    }
    Ok(())
}
