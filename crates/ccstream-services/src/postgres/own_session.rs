//! Whether a connection has its own session, as the consumer needs: a pooler that gives a session to one client for a
//! transaction or a statement would leave the consumer's settings, prepared statements and locks in other clients' hands.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::connect::connect_within;
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// How long it may take. A pooler in session mode whose sessions are all in use does not answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Rounds of the comparison: a pooler whose other clients are busy may answer from the same session by chance.
const ROUNDS: usize = 4;

/// Asks by two connections whose session answers, one of them now and then in a transaction, which holds a session fast.
/// Sets nothing. Errors: a setting's, where the session is shared.
pub(crate) async fn check(url: &DatabaseUrl, client: &Client) -> Result<()> {
    let other = connect_within(url, LIMIT).await?;
    let context = || format!("comparing two sessions of PostgreSQL at {url}");
    let compared = tokio::time::timeout(LIMIT, is_own(client, &other)).await;
    if compared.map_err(|_| Error::PostgresTimeout { context: context(), limit: LIMIT })?? {
        return Ok(());
    }
    Err(Error::config(
        "database_url",
        format!(
            "{url} is a pooler's that shares sessions between its clients, and the consumer needs its own: use the \
             pooler's session mode, or PostgreSQL's own port"
        ),
    ))
}

async fn is_own(client: &Client, other: &Client) -> Result<bool> {
    let step = || Error::postgres("comparing two sessions");
    let (mine, theirs) = (backend(client).await?, backend(other).await?);
    if mine == theirs {
        return Ok(false);
    }
    for _ in 0..ROUNDS {
        match other.batch_execute("BEGIN").await {
            // PgBouncer allows no transaction where it pools statements.
            Err(error) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => return Ok(false),
            begun => begun.map_err(step())?,
        }
        let same_within = backend(other).await? == theirs && backend(client).await? == mine;
        other.batch_execute("COMMIT").await.map_err(step())?;
        // The session that the other one has just left is the next that many poolers lend.
        if !same_within || backend(client).await? != mine || backend(other).await? != theirs {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The process of the session that answers.
async fn backend(client: &Client) -> Result<String> {
    let answer = client.simple_query("SELECT pg_backend_pid()").await;
    let answer = answer.map_err(Error::postgres("comparing two sessions"))?;
    let process = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    process.ok_or_else(|| Error::inconsistent("PostgreSQL did not say which process answers"))
}
