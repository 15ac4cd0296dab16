//! What can go wrong with the services and the way to them.

use std::error::Error as StdError;
use std::time::Duration;

use ccstream_core::Error as CoreError;
use openssl::ssl::ErrorCode;
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

    /// Whether it is an inconsistency, after which nothing that is held in memory can be relied on.
    pub(crate) fn is_inconsistent(&self) -> bool {
        matches!(self, Self::Core(CoreError::Inconsistent(_)))
    }

    /// The process's exit status for this error, the same in every command.
    ///
    /// 2 settings and files, 3 Kafka, 4 PostgreSQL, 5 the tables' shape, 70 an inconsistency, 71 the system
    /// (the last two as in BSD's `sysexits.h`).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Core(CoreError::Config { .. } | CoreError::File { .. }) => 2,
            Self::Kafka { .. } | Self::Broker(_) => 3,
            Self::Postgres { .. } | Self::PostgresTimeout { .. } => 4,
            Self::Schema(_) => 5,
            Self::Core(_) => 70,
            Self::System { .. } => 71,
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
