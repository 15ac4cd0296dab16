//! Opens connections to PostgreSQL: plain ones for reading, and those with session settings for writing.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::target::{connector, read};
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// The longest time that opening a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Session settings that PostgreSQL 13 lacks; 14 adds the first, 17 the second. A server refuses a startup packet that
/// names a setting which it does not have.
const YOUNGER: [&str; 2] = ["idle_session_timeout", "transaction_timeout"];

/// Handle of the task that drives a connection. The task ends with the connection.
#[derive(Debug)]
pub(crate) struct Service(JoinHandle<Result<(), tokio_postgres::Error>>);

impl Service {
    /// Replaces an error that says only that the connection is closed with the reason why it closed.
    pub(crate) async fn explain(self, client: &Client, error: Error) -> Error {
        match error {
            Error::Postgres { context, source } if source.is_closed() && client.is_closed() => {
                let reason = self.0.await.ok().and_then(Result::err);
                Error::Postgres { context, source: reason.unwrap_or(source) }
            }
            error => error,
        }
    }
}

/// Connects within [`CONNECT_LIMIT`]. The session's `application_name` is `ccstream` unless the URL sets another. A
/// task of the current runtime drives the connection.
pub(crate) async fn connect(url: &DatabaseUrl) -> Result<Client> {
    connect_within(url, CONNECT_LIMIT).await
}

/// Connects like [`connect`], within a given limit.
pub(crate) async fn connect_within(url: &DatabaseUrl, limit: Duration) -> Result<Client> {
    open(url, None, limit).await.map(|(client, _)| client)
}

/// Connects with settings in the startup packet, where they override those of the role, the database and the URL. Each
/// setting is a name and a value; neither may contain a space.
///
/// They have to be in the startup packet because the role's `statement_timeout` may be too short even for a SET. A
/// pooler may refuse or ignore them there, so callers also [`set`] them after connecting.
pub(crate) async fn connect_with(url: &DatabaseUrl, settings: &[(&str, &str)]) -> Result<(Client, Service)> {
    let mut opened = open(url, Some(settings), CONNECT_LIMIT).await;
    if opened.as_ref().is_err_and(|error| error.sql_state() == Some(&SqlState::UNDEFINED_OBJECT)) {
        let older: Vec<_> = settings.iter().copied().filter(|(name, _)| !YOUNGER.contains(name)).collect();
        opened = open(url, Some(&older), CONNECT_LIMIT).await;
    }
    match opened {
        Err(error) if may_refuse_options(&error) => open(url, None, CONNECT_LIMIT).await,
        opened => opened,
    }
}

/// Returns whether the error may be a pooler's refusal of the settings in the startup packet. PgBouncer answers with
/// SQLSTATE 08P01, which it also uses for many other errors; Amazon's RDS Proxy answers with 0A000.
fn may_refuse_options(error: &Error) -> bool {
    let refusals = [SqlState::PROTOCOL_VIOLATION, SqlState::FEATURE_NOT_SUPPORTED];
    error.sql_state().is_some_and(|state| refusals.contains(state))
}

/// Opens a connection, with the given settings in the startup packet.
async fn open(url: &DatabaseUrl, settings: Option<&[(&str, &str)]>, limit: Duration) -> Result<(Client, Service)> {
    let mut target = read(url)?;
    if let Some(settings) = settings {
        add_options(&mut target.config, settings);
    }
    let context = format!("connecting to PostgreSQL at {url}");
    // The limit includes the handshake: a program other than PostgreSQL may accept the connection and never answer.
    let (client, connection) = tokio::time::timeout(limit, target.config.connect(connector(url, &target)?))
        .await
        .map_err(|_| Error::PostgresTimeout { context: context.clone(), limit })?
        .map_err(|source| Error::Connect { context, source })?;
    let service = tokio::spawn(async move {
        let ended = connection.await;
        if let Err(error) = &ended {
            tracing::debug!(%error, "PostgreSQL connection ended.");
        }
        ended
    });
    Ok((client, Service(service)))
}

/// Appends settings to the startup packet's options. They come after the URL's own, because PostgreSQL uses the last
/// value of a setting.
fn add_options(config: &mut Config, settings: &[(&str, &str)]) {
    let mut options = config.get_options().unwrap_or_default().to_owned();
    for (name, value) in settings {
        options.extend([" -c ", name, "=", value]);
    }
    config.options(options.trim_start());
}

/// Sets session settings by statements. Settings that every server has come first, because they include
/// `statement_timeout`, which could otherwise cancel the later statements.
pub(crate) async fn set(client: &Client, settings: &[(&str, &str)]) -> Result<()> {
    let mut statements = String::new();
    for (name, value) in settings.iter().filter(|(name, _)| !YOUNGER.contains(name)) {
        statements.extend(["SET ", name, " = '", value, "'; "]);
    }
    for (name, value) in settings.iter().filter(|(name, _)| YOUNGER.contains(name)) {
        let exists = format!("current_setting('{name}', true) IS NOT NULL");
        statements.extend(["SELECT set_config('", name, "', '", value, "', false) WHERE ", &exists, "; "]);
    }
    client.batch_execute(&statements).await.map_err(Error::postgres("setting up the connection"))
}
