//! Names where a secret is, or has it. It is never shown.

use std::fmt;

/// A text that must not be shown, or the place from which it is taken.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The text itself.
    Written(String),
    /// The environment variable that has it.
    Variable(String),
    /// The file that has it.
    File(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(_) => f.write_str("Written(..)"),
            Self::Variable(name) => write!(f, "Variable({name})"),
            Self::File(path) => write!(f, "File({path})"),
        }
    }
}
