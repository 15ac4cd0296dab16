//! Connections to PostgreSQL: plain ones, and one with settings, which writes.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::target::{connector, read};
use crate::error::{Error, Result};
use ccstream_core::settings::DatabaseUrl;

/// How long a connection may take to be opened.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Settings of a session that PostgreSQL 13 does not have, and that 17 has all: a startup packet that names one is refused
/// by a server without it.
const YOUNGER: [&str; 2] = ["idle_session_timeout", "transaction_timeout"];

/// The task that serves a connection. It ends with the connection.
#[derive(Debug)]
pub(crate) struct Service(JoinHandle<Result<(), tokio_postgres::Error>>);

impl Service {
    /// The reason why the connection ended, where an error says only that it is closed.
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

/// Connects. The server knows the session as `ccstream`; a task of the current runtime serves it.
pub(crate) async fn connect(url: &DatabaseUrl) -> Result<Client> {
    connect_within(url, CONNECT_LIMIT).await
}

/// Connects, within a limit.
pub(crate) async fn connect_within(url: &DatabaseUrl, limit: Duration) -> Result<Client> {
    open(url, None, limit).await.map(|(client, _)| client)
}

/// Connects, with settings in the startup packet, which beat those of the role, of the database and in the URL. Of each,
/// the name comes before the value; neither may have a blank.
///
/// A `statement_timeout` of the role may be shorter than the statement that would lift it. A pooler may refuse or ignore
/// them there, so that they are [`set`] after connecting as well.
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

/// Whether a pooler may have refused the startup packet for the settings in it. PgBouncer answers 08P01, as to much else;
/// Amazon's RDS Proxy 0A000.
fn may_refuse_options(error: &Error) -> bool {
    let refusals = [SqlState::PROTOCOL_VIOLATION, SqlState::FEATURE_NOT_SUPPORTED];
    error.sql_state().is_some_and(|state| refusals.contains(state))
}

/// Opens a connection, with settings in the startup packet.
async fn open(url: &DatabaseUrl, settings: Option<&[(&str, &str)]>, limit: Duration) -> Result<(Client, Service)> {
    let mut target = read(url)?;
    if let Some(settings) = settings {
        add_options(&mut target.config, settings);
    }
    let context = format!("connecting to PostgreSQL at {url}");
    // The limit is for all of it: a program that is no PostgreSQL may accept the connection and never answer.
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

/// Adds settings to the startup packet's options, after the URL's own: of two, PostgreSQL takes the later.
fn add_options(config: &mut Config, settings: &[(&str, &str)]) {
    let mut options = config.get_options().unwrap_or_default().to_owned();
    for (name, value) in settings {
        options.extend([" -c ", name, "=", value]);
    }
    config.options(options.trim_start());
}

/// Sets them in the session, those first that every server has: among them may be one that ends the statement.
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
