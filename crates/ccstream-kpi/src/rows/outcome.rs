//! Determines the outcome of a transaction from its status.

pub use ccstream_core::status::{APPROVED, DECLINED};

/// Holds the outcome of a row as bits. If no bit is set, the row is neither approved nor declined, and not risky.
pub type OutcomeBits = u8;
/// The number of combinations of the bits.
pub const OUTCOMES: usize = 16;
pub(crate) const IS_APPROVED: OutcomeBits = 1;
/// This bit is set if the row is approved or declined. Other statuses, such as of refunds and pending transactions, do
/// not count in rates.
pub(crate) const IS_DECIDED: OutcomeBits = 2;
pub(crate) const IS_DECLINED: OutcomeBits = 4;
pub(crate) const IS_RISKY: OutcomeBits = 8;

/// Returns the outcome of a row with a status and a risk flag.
pub fn outcome(status: Option<&str>, is_risky: bool) -> OutcomeBits {
    let is_of =
        |words: &[&str]| status.is_some_and(|status| words.iter().any(|word| word.eq_ignore_ascii_case(status)));
    let bit = |is: bool, bit: OutcomeBits| if is { bit } else { 0 };
    let (approved, declined) = (is_of(&APPROVED), is_of(&DECLINED));
    bit(is_risky, IS_RISKY)
        | bit(approved || declined, IS_DECIDED)
        | bit(approved, IS_APPROVED)
        | bit(declined, IS_DECLINED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_compared_without_case() {
        for (status, expected) in [
            (Some("COMPLETED"), IS_APPROVED | IS_DECIDED),
            (Some("Approved"), IS_APPROVED | IS_DECIDED),
            (Some("DECLINED"), IS_DECLINED | IS_DECIDED),
            (Some("refunded"), 0),
            (Some(""), 0),
            (None, 0),
        ] {
            assert_eq!(outcome(status, false), expected, "{status:?}");
        }
        assert_eq!(outcome(None, true), IS_RISKY);
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
