//! Describes why PostgreSQL did not insert a row.

use crate::error::Error;
use crate::sqlstate::{Verdict, verdict};

const LEFT_OUT: &str = "a trigger or rule of the table orders left the row out without an error";

/// The reason why PostgreSQL did not insert a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowRefusal {
    /// The SQLSTATE; `none` for a row that was left out without an error.
    pub(super) state: String,
    /// PostgreSQL's message, with its SQLSTATE and detail.
    pub(super) reason: String,
}

impl RowRefusal {
    /// Returns the refusal that `error` is; None if its SQLSTATE does not blame a row.
    pub(super) fn of(error: &Error) -> Option<Self> {
        let Error::Postgres { source, .. } = error else { return None };
        let db = source.as_db_error()?;
        let state = db.code().code();
        (verdict(state) == Verdict::Reject).then(|| Self::new(state, db.message(), db.detail()))
    }

    /// Describes a row that PostgreSQL refused with an error.
    pub(super) fn new(state: &str, message: &str, detail: Option<&str>) -> Self {
        let mut reason = format!("{message} (SQLSTATE {state})");
        if let Some(detail) = detail {
            reason.extend(["; ", detail]);
        }
        Self { state: state.to_owned(), reason }
    }

    /// Describes a row that a trigger or rule left out.
    pub(super) fn left_out() -> Self {
        Self { state: "none".into(), reason: LEFT_OUT.into() }
    }
}
