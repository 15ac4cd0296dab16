//! The consumer reads a topic from Kafka and writes it to PostgreSQL, each message exactly once.
//!
//! ```text
//!  poll thread                                           writer thread
//!  poll -> validate -> batches (rows encoded) --seal-->  one transaction per batch (postgres::Store::write)
//!    ^        |  when full, or after lingering              |
//!    |        +-- and the previous ones are committed       |
//!    +---- positions, counters, outages  <------------------+
//! ```
//! Batches are written while the next ones are filled. Under load there is one batch for each connection, and no
//! partition is in two of them (`shares`). When the next batches are full before the previous ones are committed, every
//! partition is paused, and polling continues only to serve the group. `state` decides which step comes next, and its
//! documentation has a diagram of the states.
//!
//! Only the offset rows in PostgreSQL tell how much of a topic is stored. Offsets are also copied to Kafka, for tools
//! that show consumer lag, and are never read back.
//!
//! If the settings ask for it, a separate thread stores a second topic at the same time (`truth`). The poll loop
//! reports what that thread does.

pub(crate) mod assigned;
mod database;
pub(crate) mod group;
mod ledger;
mod member;
#[cfg(test)]
mod memory;
mod ownership;
mod poll;
mod positions;
mod report;
mod shares;
mod state;
mod status;
mod topic;
mod trouble;
mod truth;
mod unreadable;
mod warning;
mod writer;

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::database::{Database, Postgres};
use self::member::Member;
use self::poll::Poll;
pub use self::report::{BatchReport, ConsumeEvent, ConsumeSummary, TruthReport};
pub use self::status::{ConsumeStatus, PublishedStatus, RunState};
use self::truth::TruthTask;
pub use self::warning::{Service, Waiting, WaitingKind, Warning, WarningKind};
use self::writer::{Command, Reply, Writer};
use crate::error::{Error, Result};
use crate::kafka::client::check_options;
use crate::postgres::{self, SchemaChange};
use crate::report::Observers;
use ccstream_core::settings::ConsumerConfig;

/// Pause between two attempts to reach the brokers at the start.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Time for which brokers may refuse TLS or the login at the start before the run ends with an error. At the start a
/// wrong setting is the likely cause; later the consumer waits, because the broker may be the cause.
const REFUSED_LIMIT: Duration = Duration::from_secs(10);

/// Checks the settings as a run would, including librdkafka's options and the database's URL. Opens no connection.
///
/// Errors: [`Error::Core`], if a setting is not usable.
pub fn check(config: &ConsumerConfig) -> Result<()> {
    config.validate()?;
    check_options(&member::client(config)?)?;
    postgres::check_url(&config.database_url)
}

/// Reads the topic into PostgreSQL until `stop` is cancelled or, with `until_caught_up`, until the end of every
/// partition.
///
/// Every observer receives each event of the run; the last is [`ConsumeEvent::Ended`] or [`ConsumeEvent::Failed`]. A
/// broker or database that is unavailable is retried until it is back. There are two exceptions: with
/// `until_caught_up`, a broker that is unavailable at the start is an error, and a broker that refuses TLS or the login
/// at the start is retried for 10 s only.
///
/// Errors: a setting that is not usable, tables that cannot be used, a refused login, with `until_caught_up` a topic
/// that does not exist, an error of Kafka that is not temporary, or an SQLSTATE that retrying cannot fix.
/// Nothing is lost then: the next run reads every batch again that was not committed.
pub fn consume(
    config: &ConsumerConfig,
    stop: &CancellationToken,
    observers: &mut Observers<'_, ConsumeEvent>,
) -> Result<ConsumeSummary> {
    let mut summary = ConsumeSummary::default();
    let ended = run(config, Postgres::new(config), stop, observers, &mut summary);
    observers.report(&match &ended {
        Ok(()) => ConsumeEvent::Ended(summary.clone()),
        Err(error) => {
            ConsumeEvent::Failed { exit_code: error.exit_code(), error: error.chain(), summary: summary.clone() }
        }
    });
    ended.map(|()| summary)
}

/// Runs the consumer with any database. Sets `summary` even if the run ends with an error.
fn run(
    config: &ConsumerConfig,
    database: impl Database,
    stop: &CancellationToken,
    observers: &mut Observers<'_, ConsumeEvent>,
    summary: &mut ConsumeSummary,
) -> Result<()> {
    config.validate()?;
    let mut member = Member::new(config)?;
    let Some(topic_found) = await_broker(config, &mut member, stop, observers)? else {
        summary.drained = true;
        return Ok(());
    };
    observers.report(&ConsumeEvent::ConnectedToKafka { topic_found });
    let writer = Writer::start(database, config.connections)?;
    let Some(schema) = await_tables(&writer, stop, observers)? else {
        summary.drained = true;
        return Ok(());
    };
    observers.report(&ConsumeEvent::ConnectedToPostgres(schema));
    member.join()?;
    observers.report(&ConsumeEvent::Listening);
    let truth = TruthTask::start(config)?;
    Poll::new(config, member, writer, truth, topic_found, observers).run(stop, summary)
}

/// Returns the error of a run that is to end with its topic's last message, but has no topic.
pub(crate) fn missing_topic(topic: &str) -> Error {
    let text = format!("topic {topic:?} does not exist; start the producer, which creates it, or set another `topic`");
    Error::Broker(text)
}

/// Waits until the broker answers. Returns whether the topic exists; None if `stop` was cancelled first.
fn await_broker(
    config: &ConsumerConfig,
    member: &mut Member,
    stop: &CancellationToken,
    observers: &mut Observers<'_, ConsumeEvent>,
) -> Result<Option<bool>> {
    let began = Instant::now();
    let mut waiting = String::new();
    while !stop.is_cancelled() {
        let found = member.find_topic().and_then(|found| Ok((found, member.check_advertised()?)));
        match found {
            Ok((false, _)) if config.until_caught_up => {
                return Err(missing_topic(&config.kafka.topic));
            }
            Ok((found, unreachable)) => {
                if let Some(text) = unreachable {
                    let warning = Warning::new(WarningKind::BrokersUnreachable, text);
                    observers.report(&ConsumeEvent::Warning(warning));
                }
                return Ok(Some(found));
            }
            Err(error) if config.until_caught_up => return Err(error),
            Err(error) => {
                let is_refused = member.group().log.last_refusal().is_some();
                if is_refused && began.elapsed() >= REFUSED_LIMIT {
                    return Err(error);
                }
                let text = error.to_string();
                if waiting != text {
                    let kind = if is_refused { WaitingKind::KafkaRefused } else { WaitingKind::KafkaUnavailable };
                    observers.report(&ConsumeEvent::Waiting(Waiting::new(kind, &text)));
                    waiting = text;
                }
                // A refusal may come at once, so pause before the next attempt.
                let _ = member.poll(ASK_AGAIN);
            }
        }
    }
    Ok(None)
}

/// Waits until the tables exist and have been checked. Returns what was changed in them; None if `stop` was cancelled
/// first.
fn await_tables(
    writer: &Writer,
    stop: &CancellationToken,
    observers: &mut Observers<'_, ConsumeEvent>,
) -> Result<Option<SchemaChange>> {
    writer.send(Command::Prepare);
    while !stop.is_cancelled() {
        match writer.reply(Duration::from_millis(100)) {
            Some(Reply::Prepared(change)) => return Ok(Some(change)),
            Some(Reply::Failed(error)) => return Err(error),
            Some(Reply::Waiting(waiting)) => observers.report(&ConsumeEvent::Waiting(waiting)),
            Some(Reply::Recovered { after }) => {
                observers.report(&ConsumeEvent::Recovered { service: Service::Postgres, after });
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
