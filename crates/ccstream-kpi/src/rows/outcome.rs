//! Determines the outcome of a transaction from its status.

pub use ccstream_core::status::{APPROVED, DECLINED};

/// Holds the outcome of a row: approved, approved with an amount below zero, declined or none of them; and risky or not.
/// Other statuses, such as of pending transactions, do not count in rates.
pub type Outcome = u8;
/// The number of outcomes.
pub const OUTCOMES: usize = 8;
pub(crate) const IS_APPROVED: Outcome = 1;
pub(crate) const IS_DECLINED: Outcome = 2;
/// The row is approved, and its amount is below zero.
pub(crate) const IS_REFUND: Outcome = 3;
/// This bit is set if the row is risky.
pub(crate) const IS_RISKY: Outcome = 4;

/// Returns the outcome of a row with a status and a risk flag, whose amount is not below zero.
pub fn outcome(status: Option<&str>, is_risky: bool) -> Outcome {
    let is_of =
        |words: &[&str]| status.is_some_and(|status| words.iter().any(|word| word.eq_ignore_ascii_case(status)));
    let decided = if is_of(&APPROVED) {
        IS_APPROVED
    } else if is_of(&DECLINED) {
        IS_DECLINED
    } else {
        0
    };
    decided | if is_risky { IS_RISKY } else { 0 }
}

/// Returns the outcome of a row whose amount is below zero, from that of a row whose amount is not.
pub fn below_zero(outcome: Outcome) -> Outcome {
    if outcome & IS_REFUND == IS_APPROVED { outcome | IS_REFUND } else { outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_compared_without_case() {
        for (status, expected) in [
            (Some("COMPLETED"), IS_APPROVED),
            (Some("Approved"), IS_APPROVED),
            (Some("DECLINED"), IS_DECLINED),
            (Some("refunded"), 0),
            (Some(""), 0),
            (None, 0),
        ] {
            assert_eq!(outcome(status, false), expected, "{status:?}");
        }
        assert_eq!(outcome(None, true), IS_RISKY);
        for (status, expected) in [("paid", IS_REFUND), ("failed", IS_DECLINED), ("refunded", 0)] {
            assert_eq!(below_zero(outcome(Some(status), true)), expected | IS_RISKY, "{status}");
        }
        assert!(APPROVED.iter().all(|word| !DECLINED.contains(word)));
    }

    #[test]
    fn the_docs_list_all_statuses() {
        let docs = include_str!("../../../../docs/data.md");
        for (what, words) in [("approved", &APPROVED[..]), ("declined", &DECLINED[..])] {
            let line = format!("| {what} | `{}` |", words.join("`, `"));
            assert!(docs.contains(&line), "docs/data.md lacks: {line}");
        }
    }
}
