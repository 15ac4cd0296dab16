//! What can go wrong with the machinery. A bad *message* is never an [`Error`]: it is a
//! [`Rejection`](crate::rejection::Rejection), which is kept and counted.

use std::error::Error as StdError;
use std::time::Duration;

use openssl::ssl::ErrorCode;
use tokio_postgres::error::SqlState;

use crate::sqlstate::{Verdict, entry_of, verdict};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of ccstream. `Display` says what happened and where; [`Error::chain`] adds the causes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is not usable.
    #[error("{field}: {reason}")]
    Config {
        /// The setting's name, as the command line and Python call it.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A file that was to be replayed cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it, with the row where there is one.
        reason: String,
    },
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
    /// PostgreSQL, or the way to it, failed.
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
    /// The tables are there but not as they must be.
    #[error("{0}")]
    Schema(String),
    /// Something that the design rules out; reported rather than stored.
    #[error("internal inconsistency: {0}")]
    Inconsistent(String),
}

impl Error {
    /// A [`Error::Config`].
    pub fn config(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Config { field, reason: reason.into() }
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

    /// PostgreSQL's own code, where it sent one.
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres { source, .. } => source.code(),
            _ => None,
        }
    }

    /// Whether waiting and trying again can help, as [`sqlstate::TABLE`](crate::sqlstate::TABLE) says;
    /// without a SQLSTATE it is the connection. The same batch is then written again, in a new transaction that first checks the offset row.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Postgres { source, .. } => match source.code() {
                Some(state) => verdict(state.code()) == Verdict::Wait,
                // No SQLSTATE: the connection itself (refused, reset, closed), never an answer.
                None => !is_config(source),
            },
            Self::PostgresTimeout { .. } => true,
            _ => false,
        }
    }

    /// The process's exit status for this error, the same in every command.
    ///
    /// 2 settings and files, 3 Kafka, 4 PostgreSQL, 5 the tables' shape, 70 an inconsistency.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } | Self::File { .. } => 2,
            Self::Kafka { .. } | Self::Broker(_) => 3,
            Self::Postgres { .. } | Self::PostgresTimeout { .. } => 4,
            Self::Schema(_) => 5,
            Self::Inconsistent(_) => 70,
        }
    }

    /// The message with all its causes, joined by `": "`; a cause that repeats is said once.
    pub fn chain(&self) -> String {
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
            if let Some(entry) = entry_of(db.code().code()) {
                if entry.verdict == Verdict::Stop {
                    text.extend(["; what to do: ", entry.cure]);
                }
            }
            text
        }
        None => error.to_string(),
    }
}

/// Errors without a SQLSTATE that no waiting mends: the URL, TLS refused, a type mismatch in our code.
fn is_config(error: &tokio_postgres::Error) -> bool {
    // A connection that broke in the middle of the TLS handshake is an outage like any other.
    let cause = error.source().and_then(|cause| cause.downcast_ref::<openssl::ssl::Error>());
    let broke = |error: &openssl::ssl::Error| {
        error.io_error().is_some() || [ErrorCode::SYSCALL, ErrorCode::ZERO_RETURN].contains(&error.code())
    };
    if cause.is_some_and(broke) {
        return false;
    }
    let text = error.to_string();
    [
        "invalid configuration",
        "error performing TLS handshake",
        "error serializing",
        "error deserializing",
        "authentication",
    ]
    .iter()
    .any(|part| text.starts_with(part))
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
