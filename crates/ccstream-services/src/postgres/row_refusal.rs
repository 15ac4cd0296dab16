//! Why PostgreSQL did not take a row.

const LEFT_OUT: &str = "a trigger or rule of the table orders left the row out without a word";

/// Why PostgreSQL did not take a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowRefusal {
    /// Its SQLSTATE; [`LEFT_OUT`]'s is `none`.
    pub(super) state: String,
    /// PostgreSQL's message, with its SQLSTATE and detail.
    pub(super) reason: String,
}

impl RowRefusal {
    /// With PostgreSQL's words.
    pub(super) fn new(state: &str, message: &str, detail: Option<&str>) -> Self {
        let mut reason = format!("{message} (SQLSTATE {state})");
        if let Some(detail) = detail {
            reason.extend(["; ", detail]);
        }
        Self { state: state.to_owned(), reason }
    }

    /// A trigger or rule left the row out.
    pub(super) fn left_out() -> Self {
        Self { state: "none".into(), reason: LEFT_OUT.into() }
    }
}
