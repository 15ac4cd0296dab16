//! Kafka to PostgreSQL: the poll loop.
//!
//! ```text
//!  poll thread                                          writer thread
//!  poll -> validate -> Batches (rows encoded) --seal--> a transaction each (store::Store::write)
//!    ^        |  full, or lingered long enough             |
//!    |        +-- and those before are committed           |
//!    +---- positions, counters, outages  <-----------------+
//! ```
//! Batches are written while the next are filled: one, or under load one for each connection, of other
//! partitions than the others (`shares`). With both full, polling goes on for the group's sake with
//! every partition paused. What may be done when is decided in `state`, which has the
//! picture of it. Which part of a topic is stored is known from PostgreSQL's
//! offset rows alone; offsets also go to Kafka, for tools that show lag, and are never read back.

mod group;
mod ledger;
mod member;
mod poll;
mod positions;
mod shares;
mod state;
mod topic;
mod trouble;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::member::Member;
use self::poll::Poll;
use self::writer::{Command, Reply, Writer};
use crate::config::ConsumerConfig;
use crate::error::{Error, Result};
use crate::kafka::client::check_options;
use crate::postgres::{self, Counters, SchemaChange};

/// What the consumer tells whoever watches it.
#[derive(Debug, Clone)]
pub enum ConsumeEvent {
    /// The broker answered. Without the topic, it is waited for.
    ConnectedToKafka {
        /// Whether the topic is there.
        topic_found: bool,
    },
    /// PostgreSQL answered, and the tables are there.
    ConnectedToPostgres(SchemaChange),
    /// Joining the group.
    Listening,
    /// These partitions are read, from these offsets.
    Assigned(BTreeMap<i32, i64>),
    /// Something a person should know; nothing is lost.
    Warning(String),
    /// A batch is committed.
    Batch(BatchReport),
    /// PostgreSQL or Kafka is away; it is tried again until it is back.
    Waiting {
        /// Which, and why.
        reason: String,
    },
    /// It is back.
    Recovered {
        /// After so long.
        after: Duration,
    },
}

/// A committed batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchReport {
    /// What became of its messages.
    pub counted: Counters,
    /// All since the start.
    pub total: Counters,
    /// Messages that Kafka has and PostgreSQL has not yet, as of the last fetch.
    pub lag: i64,
    /// How long the transaction took.
    pub took: Duration,
}

/// What one run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumeSummary {
    /// What became of the messages.
    pub total: Counters,
    /// The rejected ones by reason.
    pub rejected: BTreeMap<&'static str, i64>,
    /// Since the first assignment.
    pub elapsed: Duration,
    /// False where the drain limit ended the run with messages read and not committed; they are
    /// read again by the next.
    pub drained: bool,
}

/// Checks the settings as a run would, librdkafka's options and the database's URL among them; connects to nothing.
pub fn check(config: &ConsumerConfig) -> Result<()> {
    config.validate()?;
    check_options(&member::client(config)?)?;
    postgres::check_url(&config.database_url)
}

/// Reads the topic into PostgreSQL until told to stop, or to the end of every partition.
///
/// Waits for a broker or database that is away; with `until_caught_up`, not for a broker that is away at the start.
/// Errors: settings, tables that cannot be used, a refused login, an error of PostgreSQL that no waiting mends (nothing of
/// the batch is stored, and nothing is lost: it is read again).
pub fn consume(
    config: &ConsumerConfig,
    stop: &CancellationToken,
    report: &mut dyn FnMut(ConsumeEvent),
) -> Result<ConsumeSummary> {
    config.validate()?;
    let mut member = Member::new(config)?;
    let Some(topic_found) = await_broker(config, &mut member, stop, report)? else {
        return Ok(ConsumeSummary { drained: true, ..ConsumeSummary::default() });
    };
    report(ConsumeEvent::ConnectedToKafka { topic_found });
    let writer = Writer::start(config)?;
    let Some(schema) = await_tables(&writer, stop, report)? else {
        return Ok(ConsumeSummary { drained: true, ..ConsumeSummary::default() });
    };
    report(ConsumeEvent::ConnectedToPostgres(schema));
    member.join()?;
    report(ConsumeEvent::Listening);
    Poll::new(config, member, writer, topic_found, report).run(stop)
}

/// Asks until the broker answers: whether the topic is there. None if told to stop.
fn await_broker(
    config: &ConsumerConfig,
    member: &mut Member,
    stop: &CancellationToken,
    report: &mut dyn FnMut(ConsumeEvent),
) -> Result<Option<bool>> {
    let mut waiting = false;
    while !stop.is_cancelled() {
        match member.find_topic() {
            Ok(false) if config.until_caught_up => {
                return Err(Error::Broker(format!("topic {:?} does not exist", config.kafka.topic)));
            }
            Ok(found) => return Ok(Some(found)),
            Err(error) if config.until_caught_up => return Err(error),
            Err(error) => {
                if !std::mem::replace(&mut waiting, true) {
                    report(ConsumeEvent::Waiting { reason: error.to_string() });
                }
            }
        }
    }
    Ok(None)
}

/// Waits until the tables are there. None if told to stop.
fn await_tables(
    writer: &Writer,
    stop: &CancellationToken,
    report: &mut dyn FnMut(ConsumeEvent),
) -> Result<Option<SchemaChange>> {
    writer.send(Command::Prepare);
    while !stop.is_cancelled() {
        match writer.reply(Duration::from_millis(100)) {
            Some(Reply::Prepared(change)) => return Ok(Some(change)),
            Some(Reply::Failed(error)) => return Err(error),
            Some(Reply::Waiting { error }) => report(ConsumeEvent::Waiting { reason: error }),
            Some(Reply::Recovered { after }) => report(ConsumeEvent::Recovered { after }),
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
