//! This module defines the crate's error, what users read of it, and the exit status that it leads to.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use ccstream_core::Error as CoreError;
use openssl::ssl::{self, ErrorCode};
use tokio_postgres::error::SqlState;

use crate::sqlstate::{Verdict, entry_of, verdict};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Describes what failed. `Display` has the operation that failed; [`Error::chain`] adds the causes and what to do.
///
/// ```
/// let error = ccstream_services::Error::config("rate", "0 is not above zero");
/// assert_eq!(error.chain(), "rate: 0 is not above zero");
/// assert_eq!(error.exit_code(), 2);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting or a file is not usable, or an internal check failed.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// Kafka or the connection to it failed.
    #[error("{context}")]
    Kafka {
        /// The operation that failed, with the broker or topic.
        context: String,
        /// librdkafka's error.
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// The broker answered, but what is needed is missing or unusable, such as the topic.
    #[error("{0}")]
    Broker(String),
    /// No session could be opened: PostgreSQL cannot be reached, TLS or the login failed, or another program answered.
    #[error("{context}")]
    Connect {
        /// The operation that failed, with the server.
        context: String,
        /// The driver's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// PostgreSQL refused a statement, or the connection failed.
    #[error("{context}")]
    Postgres {
        /// The operation that failed.
        context: String,
        /// The driver's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// PostgreSQL did not answer in time.
    #[error("{context}: no answer from PostgreSQL within {limit:?}")]
    PostgresTimeout {
        /// The operation that failed.
        context: String,
        /// How long PostgreSQL had to answer.
        limit: Duration,
    },
    /// A second connection got no session.
    #[error(
        "{url} did not serve a second connection within {limit:?}, and the consumer sometimes needs two; if this is a \
         pooler, raise its number of sessions, or use PostgreSQL's own port"
    )]
    NoSecondSession {
        /// The database's URL, without the password.
        url: String,
        /// How long the second connection had to answer.
        limit: Duration,
    },
    /// The tables exist, but ccstream cannot use them as they are.
    #[error("{0}")]
    Schema(String),
    /// These tables do not exist yet.
    #[error("the database lacks the tables {0}; start the consumer once, which creates them")]
    NoTables(String),
    /// The operating system refused a thread, a runtime or a file.
    #[error("{context}")]
    System {
        /// The operation that failed.
        context: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Creates the error for a setting that is not usable: see [`ccstream_core::Error::Config`].
    pub fn config(field: &'static str, reason: impl Into<String>) -> Self {
        CoreError::config(field, reason).into()
    }

    /// Creates the error for a failed internal check: see [`ccstream_core::Error::Inconsistent`].
    pub(crate) fn inconsistent(what: impl Into<String>) -> Self {
        CoreError::Inconsistent(what.into()).into()
    }

    /// Adds the operation that failed to an error of the operating system, for use with `map_err`.
    pub(crate) fn system(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let context = context.into();
        move |source| Self::System { context, source }
    }

    /// Adds the operation that failed to an error of Kafka, for use with `map_err`.
    pub fn kafka(context: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let context = context.into();
        move |source| Self::Kafka { context, source }
    }

    /// Adds the operation that failed to an error of PostgreSQL, for use with `map_err`.
    pub fn postgres(context: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let context = context.into();
        move |source| Self::Postgres { context, source }
    }

    /// Returns the driver's error, if PostgreSQL or the connection to it failed.
    fn driver(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::Connect { source, .. } | Self::Postgres { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Returns the SQLSTATE, if PostgreSQL sent one.
    pub fn sql_state(&self) -> Option<&SqlState> {
        self.driver()?.code()
    }

    /// Returns whether retrying can help: PostgreSQL did not answer in time, the connection failed, or
    /// [`sqlstate::TABLE`](crate::sqlstate::TABLE) lists the SQLSTATE as one to wait for. Any other error ends the run.
    ///
    /// A batch is retried in a new transaction, which first checks the offset row, so that nothing is written twice.
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

    /// Returns whether an internal check failed. Data in memory is not reliable after that.
    pub(crate) fn is_inconsistent(&self) -> bool {
        matches!(self, Self::Core(CoreError::Inconsistent(_)))
    }

    /// Returns the process's exit status for this error. It is the same in every command:
    ///
    /// | status | cause |
    /// |---|---|
    /// | 2 | a setting or a file |
    /// | 3 | Kafka |
    /// | 4 | PostgreSQL |
    /// | 5 | the tables, which are missing or not usable |
    /// | 70 | an error within ccstream (`EX_SOFTWARE` of `sysexits.h`) |
    /// | 71 | a refusal of the operating system (`EX_OSERR`) |
    ///
    /// An error of the driver is one within ccstream if it is neither PostgreSQL's answer nor a failed connection: the
    /// driver was called wrongly, or cannot read an answer.
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

    /// Returns what to do if PostgreSQL does not answer; None for other errors.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        let is_unavailable = match self {
            Self::Connect { source, .. } => source.code().is_none() && is_connection_failure(source),
            Self::PostgresTimeout { .. } => true,
            _ => false,
        };
        is_unavailable.then_some(
            "start PostgreSQL with 'docker-compose up -d' or 'ccstream up', or set another address in `database_url`",
        )
    }

    /// Returns the message with all its causes, and what to do.
    pub fn chain(&self) -> String {
        let advice = self.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        self.causes() + &advice
    }

    /// Returns the message with all its causes, joined by `": "`. A cause that repeats the text before it is omitted.
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

/// Returns the text of a cause. The driver's own text for PostgreSQL's errors is only "db error", so it is replaced by
/// PostgreSQL's message and SQLSTATE.
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

/// Beginnings of the driver's text if an I/O error is the cause although the connection works: bytes that the driver
/// cannot read or write, and a failed login. The driver's kinds of error are private, so only the text distinguishes
/// them.
const NO_CONNECTION_FAILURE: [&str; 3] = ["error parsing response", "error encoding message", "authentication error"];

/// Returns whether an error of the driver without a SQLSTATE means that the connection failed.
fn is_connection_failure(error: &tokio_postgres::Error) -> bool {
    if error.is_closed() {
        return true;
    }
    let text = error.to_string();
    let mut causes = std::iter::successors(error.source(), |cause| StdError::source(*cause));
    !NO_CONNECTION_FAILURE.iter().any(|start| text.starts_with(start)) && causes.any(is_network_failure)
}

/// Returns whether a cause is a failure of the network, which includes the TLS handshake.
fn is_network_failure(cause: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        // The driver uses these two kinds for bytes that do not follow PostgreSQL's protocol.
        return !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
    }
    cause.downcast_ref::<ssl::Error>().is_some_and(is_end_of_stream)
}

/// The number of OpenSSL's reason `SSL_R_UNEXPECTED_EOF_WHILE_READING`.
const UNEXPECTED_EOF: i32 = 294;

/// Returns whether the server closed the connection within TLS. OpenSSL 1.1 reports that as a system call without an
/// error, OpenSSL 3 as an error of the protocol.
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
