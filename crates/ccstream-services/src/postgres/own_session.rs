//! Checks that a connection has a session of PostgreSQL to itself, which the consumer needs. A pooler that lends a
//! session for one transaction or statement would give the consumer's settings, prepared statements and locks to other
//! clients.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::WRITING;
use super::connect::connect_with;
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// The longest time that the check may take. A pooler in session mode that has no session left does not answer.
const LIMIT: Duration = Duration::from_secs(30);
/// The number of comparisons. A pooler whose other clients are busy may by chance answer from the same session each
/// time.
const ROUNDS: usize = 4;

/// Compares the sessions that answer two connections, and changes nothing. One connection opens transactions in
/// between, because a transaction occupies a session, so that a pooler has to answer the other connection from another
/// one.
///
/// Errors: an error of the setting `database_url`, if sessions are shared; [`Error::NoSecondSession`], if the second
/// connection gets no session.
pub(crate) async fn check(url: &DatabaseUrl) -> Result<()> {
    // The connections have the settings of those that write, because the role's timeouts may be shorter than the check.
    let (one, _) = connect_with(url, &WRITING).await?;
    let other = match connect_with(url, &WRITING).await {
        Ok((other, _)) => other,
        // PostgreSQL itself refuses connections beyond its limit. A pooler would have accepted this one.
        Err(error) if error.sql_state() == Some(&SqlState::TOO_MANY_CONNECTIONS) => return Ok(()),
        Err(error) => return Err(error),
    };
    match tokio::time::timeout(LIMIT, is_own(&one, &other)).await {
        Ok(Ok(true)) => return Ok(()),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(Error::NoSecondSession { url: url.to_string(), limit: LIMIT }),
    }
    Err(Error::config(
        "database_url",
        format!(
            "{url} is a pooler that shares sessions between its clients, but the consumer needs sessions to itself: \
             use the pooler's session mode, or PostgreSQL's own port"
        ),
    ))
}

async fn is_own(one: &Client, other: &Client) -> Result<bool> {
    let step = || Error::postgres("comparing two sessions");
    let (mine, theirs) = (backend(one).await?, backend(other).await?);
    if mine == theirs {
        return Ok(false);
    }
    for _ in 0..ROUNDS {
        match other.batch_execute("BEGIN").await {
            // PgBouncer in statement mode allows no transaction.
            Err(error) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => return Ok(false),
            begun => begun.map_err(step())?,
        }
        let same_within = backend(other).await? == theirs && backend(one).await? == mine;
        other.batch_execute("ROLLBACK").await.map_err(step())?;
        // Many poolers lend the most recently returned session next: here the one that `other` has just left.
        if !same_within || backend(one).await? != mine || backend(other).await? != theirs {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the process id of the session that answers, and when it began: the id alone is ambiguous if several servers
/// are behind one address.
async fn backend(client: &Client) -> Result<String> {
    let ask =
        "SELECT pid || ' ' || extract(epoch FROM backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let answer = client.simple_query(ask).await;
    let answer = answer.map_err(Error::postgres("comparing two sessions"))?;
    let process = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    process.ok_or_else(|| Error::inconsistent("PostgreSQL did not report the process id of a session"))
}
