//! Defines the errors that need no service to occur: bad settings, bad files and internal inconsistencies. A bad
//! *message* is not an [`Error`] but a [`Rejection`](crate::rejection::Rejection), which is stored and counted.

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Describes an error that involves neither Kafka nor PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is not usable.
    #[error("{field}: {reason}")]
    Config {
        /// The setting's name, which is Python's keyword.
        field: &'static str,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// A file cannot be read or used.
    #[error("{path}: {reason}")]
    File {
        /// The path of the file.
        path: String,
        /// What is wrong with the file, and in which row if it is one row.
        reason: String,
    },
    /// The program found a state that should be impossible. It stops instead of storing wrong data.
    #[error("internal inconsistency: {0}")]
    Inconsistent(String),
}

impl Error {
    /// Creates an [`Error::Config`].
    ///
    /// ```
    /// use ccstream_core::Error;
    /// assert_eq!(Error::config("rate", "0 is not above zero").to_string(), "rate: 0 is not above zero");
    /// ```
    pub fn config(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Config { field, reason: reason.into() }
    }
}
