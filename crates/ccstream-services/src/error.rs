//! What can go wrong with the services and the way to them.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use ccstream_core::Error as CoreError;
use openssl::ssl::{self, ErrorCode};
use tokio_postgres::error::SqlState;

use crate::sqlstate::{Verdict, entry_of, verdict};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of ccstream. `Display` says what happened and where; [`Error::chain`] adds the causes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting, a file, or what the design rules out.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// Kafka, or the way to it, failed.
    #[error("{context}")]
    Kafka {
        /// What was being done, with the broker or topic.
        context: String,
        /// librdkafka's error.
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// The broker answered, but not with what is needed.
    #[error("{0}")]
    Broker(String),
    /// No session could be opened: PostgreSQL is unreachable, TLS or the login failed, or another program answered.
    #[error("{context}")]
    Connect {
        /// What was being done, with the server.
        context: String,
        /// The driver's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// PostgreSQL refused a statement, or the connection failed.
    #[error("{context}")]
    Postgres {
        /// What was being done.
        context: String,
        /// The driver's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// PostgreSQL did not answer in time.
    #[error("{context}: no answer from PostgreSQL within {limit:?}")]
    PostgresTimeout {
        /// What was being done.
        context: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A second connection got no session.
    #[error(
        "{url} gave a second connection no session within {limit:?}, and the consumer needs two now and then; a pooler has \
             too few: raise its number, or use PostgreSQL's own port"
    )]
    NoSecondSession {
        /// The database.
        url: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The tables are there but not as they must be.
    #[error("{0}")]
    Schema(String),
    /// There are no tables yet, or not all.
    #[error("there is no table {0} yet; start the consumer once, which makes it")]
    NoTables(String),
    /// The operating system refused a thread, a runtime or a file.
    #[error("{context}")]
    System {
        /// What was being done.
        context: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// A setting that is not usable: [`ccstream_core::Error::Config`].
    pub fn config(field: &'static str, reason: impl Into<String>) -> Self {
        CoreError::config(field, reason).into()
    }

    /// What the design rules out: [`ccstream_core::Error::Inconsistent`].
    pub(crate) fn inconsistent(what: impl Into<String>) -> Self {
        CoreError::Inconsistent(what.into()).into()
    }

    /// For `map_err`: what the system refused, with what was being done.
    pub(crate) fn system(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let context = context.into();
        move |source| Self::System { context, source }
    }

    /// For `map_err`: a Kafka error with what was being done.
    pub fn kafka(context: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let context = context.into();
        move |source| Self::Kafka { context, source }
    }

    /// For `map_err`: a PostgreSQL error with what was being done.
    pub fn postgres(context: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let context = context.into();
        move |source| Self::Postgres { context, source }
    }

    /// The driver's error, where PostgreSQL or the connection to it failed.
    fn driver(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::Connect { source, .. } | Self::Postgres { source, .. } => Some(source),
            _ => None,
        }
    }

    /// PostgreSQL's own code, where it sent one.
    pub fn sql_state(&self) -> Option<&SqlState> {
        self.driver()?.code()
    }

    /// Whether waiting can help: PostgreSQL did not answer in time, the connection failed, or the SQLSTATE is one that
    /// [`sqlstate::TABLE`](crate::sqlstate::TABLE) says to wait for. Every other error ends the program.
    ///
    /// The same batch is then written again, in a new transaction that first checks the offset row.
    pub fn is_retriable(&self) -> bool {
        match (self, self.driver()) {
            (Self::PostgresTimeout { .. } | Self::NoSecondSession { .. }, _) => true,
            (_, Some(source)) => match source.code() {
                Some(state) => verdict(state.code()) == Verdict::Wait,
                None => is_connection_failure(source),
            },
            _ => false,
        }
    }

    /// Whether it is an inconsistency, after which nothing that is held in memory can be relied on.
    pub(crate) fn is_inconsistent(&self) -> bool {
        matches!(self, Self::Core(CoreError::Inconsistent(_)))
    }

    /// The process's exit status for this error, the same in every command.
    ///
    /// 2 settings and files, 3 Kafka, 4 PostgreSQL, 5 the tables' shape, 70 an error within ccstream, 71 a refusal of
    /// the operating system (the last two as in BSD's `sysexits.h`). An error of the driver that is neither PostgreSQL's
    /// answer nor a failed connection is one within ccstream: a wrong call, or an answer that the driver cannot read.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Core(CoreError::Config { .. } | CoreError::File { .. }) => 2,
            Self::Kafka { .. } | Self::Broker(_) => 3,
            Self::Connect { .. } | Self::PostgresTimeout { .. } | Self::NoSecondSession { .. } => 4,
            Self::Postgres { source, .. } if source.code().is_some() || is_connection_failure(source) => 4,
            Self::Schema(_) | Self::NoTables(_) => 5,
            Self::Core(_) | Self::Postgres { .. } => 70,
            Self::System { .. } => 71,
        }
    }

    /// What to do where no session could be opened because nothing answers; None for other errors.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        let is_away = match self {
            Self::Connect { source, .. } => source.code().is_none() && is_connection_failure(source),
            Self::PostgresTimeout { .. } => true,
            _ => false,
        };
        is_away.then_some("start it with 'docker-compose up -d' or 'ccstream up', or name another in `database_url`")
    }

    /// The message with all its causes, and what to do.
    pub fn chain(&self) -> String {
        let advice = self.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        self.causes() + &advice
    }

    /// The message with all its causes, joined by `": "`; one that is there twice is left out.
    pub(crate) fn causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let part = describe(error);
            if !text.ends_with(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text
    }
}

/// A cause in words: PostgreSQL's "db error" says nothing, its message and code do.
fn describe(error: &(dyn StdError + 'static)) -> String {
    match error.downcast_ref::<tokio_postgres::error::DbError>() {
        Some(db) => {
            let mut text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
            for (name, part) in [("detail", db.detail()), ("hint", db.hint())] {
                if let Some(part) = part {
                    text.extend(["; ", name, ": ", part]);
                }
            }
            if let Some(entry) = entry_of(db.code().code())
                && entry.verdict == Verdict::Stop
            {
                text.extend(["; what to do: ", entry.cure]);
            }
            text
        }
        None => error.to_string(),
    }
}

/// What begins the driver's text where an io error is the cause although the connection works: bytes that it cannot
/// read or write, and a login that failed. The driver's kinds are private; only their text tells them apart.
const NO_CONNECTION_FAILURE: [&str; 3] = ["error parsing response", "error encoding message", "authentication error"];

/// Whether a driver's error without a SQLSTATE means that the connection failed.
fn is_connection_failure(error: &tokio_postgres::Error) -> bool {
    if error.is_closed() {
        return true;
    }
    let text = error.to_string();
    let mut causes = std::iter::successors(error.source(), |cause| StdError::source(*cause));
    !NO_CONNECTION_FAILURE.iter().any(|start| text.starts_with(start)) && causes.any(is_network_failure)
}

/// Whether a cause is the network's failure, in the TLS handshake too.
fn is_network_failure(cause: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        // The driver reports bytes that are no message of PostgreSQL's protocol as these two kinds.
        return !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
    }
    cause.downcast_ref::<ssl::Error>().is_some_and(is_end_of_stream)
}

/// OpenSSL's reason `SSL_R_UNEXPECTED_EOF_WHILE_READING`.
const UNEXPECTED_EOF: i32 = 294;

/// Whether the peer closed the connection within TLS. OpenSSL 1.1 reports that as a system call without an error,
/// OpenSSL 3 as an error of the protocol.
fn is_end_of_stream(error: &ssl::Error) -> bool {
    match error.code() {
        ErrorCode::ZERO_RETURN => true,
        ErrorCode::SYSCALL => error.ssl_error().is_none(),
        _ => {
            let reasons = error.ssl_error().map_or(&[][..], |stack| stack.errors());
            reasons.iter().any(|reason| reason.reason_code() == UNEXPECTED_EOF)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_named() {
        let error = Error::config("rate", "0 is not above zero");
        assert_eq!(error.chain(), "rate: 0 is not above zero");
        assert_eq!(error.exit_code(), 2);
    }
}
