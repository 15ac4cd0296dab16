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

mod database;
mod group;
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
mod unreadable;
mod warning;
mod writer;

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::database::{Database, Postgres};
use self::member::Member;
use self::poll::Poll;
pub use self::report::{BatchReport, ConsumeEvent, ConsumeSummary};
pub use self::status::{ConsumeStatus, PublishedStatus, RunState};
pub use self::warning::{Service, Waiting, WaitingKind, Warning, WarningKind};
use self::writer::{Command, Reply, Writer};
use crate::error::{Error, Result};
use crate::kafka::client::check_options;
use crate::postgres::{self, SchemaChange};
use crate::report::Observers;
use ccstream_core::settings::ConsumerConfig;

/// The pause between two questions to brokers that cannot be used.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a broker may refuse TLS or the login at the start: that is a wrong setting. Later it may be the broker's.
const REFUSED_LIMIT: Duration = Duration::from_secs(10);

/// Checks the settings as a run would, librdkafka's options and the database's URL among them; connects to nothing.
pub fn check(config: &ConsumerConfig) -> Result<()> {
    config.validate()?;
    check_options(&member::client(config)?)?;
    postgres::check_url(&config.database_url)
}

/// Reads the topic into PostgreSQL until told to stop, or to the end of every partition.
///
/// Waits for a broker or database that is away; with `until_caught_up`, not for a broker that is away at the start. One that
/// refuses TLS or the login at the start is waited for 10 s.
/// Errors: settings, tables that cannot be used, a refused login, an error of PostgreSQL that no waiting mends (nothing of
/// the batch is stored, and nothing is lost: it is read again).
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

/// Sets `summary` also where it ends with an error.
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
    Poll::new(config, member, writer, topic_found, observers).run(stop, summary)
}

/// Asks until the broker answers: whether the topic is there. None if told to stop.
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
                return Err(Error::Broker(format!("topic {:?} does not exist", config.kafka.topic)));
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
                // An answer that does not help may come at once.
                let _ = member.poll(ASK_AGAIN);
            }
        }
    }
    Ok(None)
}

/// Waits until the tables are there. None if told to stop.
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
