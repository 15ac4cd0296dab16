//! Whether a connection has its own session, as the consumer needs: a pooler that gives a session to one client for a
//! transaction or a statement would leave the consumer's settings, prepared statements and locks in other clients' hands.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::WRITING;
use super::connect::connect_with;
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// How long it may take. A pooler in session mode that has no session left does not answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Rounds of the comparison: a pooler whose other clients are busy may answer from the same session by chance.
const ROUNDS: usize = 4;

/// Asks by two connections whose session answers, one of them now and then in a transaction, which holds a session fast.
/// Sets nothing. Errors: a setting's, where sessions are shared; [`Error::NoSecondSession`] where there is only one.
pub(crate) async fn check(url: &DatabaseUrl) -> Result<()> {
    // As those that write are opened: a timeout of the role's may be shorter than the comparison.
    let (one, _) = connect_with(url, &WRITING).await?;
    let other = match connect_with(url, &WRITING).await {
        Ok((other, _)) => other,
        // PostgreSQL gives no more connections than it has: a pooler takes clients beyond it.
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
            "{url} is a pooler's that shares sessions between its clients, and the consumer needs its own: use the \
             pooler's session mode, or PostgreSQL's own port"
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
            // PgBouncer allows no transaction where it pools statements.
            Err(error) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => return Ok(false),
            begun => begun.map_err(step())?,
        }
        let same_within = backend(other).await? == theirs && backend(one).await? == mine;
        other.batch_execute("ROLLBACK").await.map_err(step())?;
        // The session that the other one has just left is the next that many poolers lend.
        if !same_within || backend(one).await? != mine || backend(other).await? != theirs {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The process of the session that answers, and when it began: behind one address there may be several servers.
async fn backend(client: &Client) -> Result<String> {
    let ask =
        "SELECT pid || ' ' || extract(epoch FROM backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let answer = client.simple_query(ask).await;
    let answer = answer.map_err(Error::postgres("comparing two sessions"))?;
    let process = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    process.ok_or_else(|| Error::inconsistent("PostgreSQL did not say which process answers"))
}
