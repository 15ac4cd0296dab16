//! What can go wrong without any service: settings, files, and what the design rules out. A bad *message* is never an
//! [`Error`]: it is a [`Rejection`](crate::rejection::Rejection), which is kept and counted.

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that has nothing to do with Kafka or PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// A file cannot be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it, with the row where there is one.
        reason: String,
    },
    /// Something that the design rules out; reported rather than stored.
    #[error("internal inconsistency: {0}")]
    Inconsistent(String),
}

impl Error {
    /// An [`Error::Config`].
    ///
    /// ```
    /// use ccstream_core::Error;
    /// assert_eq!(Error::config("rate", "0 is not above zero").to_string(), "rate: 0 is not above zero");
    /// ```
    pub fn config(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Config { field, reason: reason.into() }
    }
}
