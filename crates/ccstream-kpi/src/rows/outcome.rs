//! What became of a transaction, by the word of its status.

/// The words, compared without case, of transactions that went through: those of card processors' exports.
pub const APPROVED: [&str; 14] = [
    "approved",
    "completed",
    "complete",
    "succeeded",
    "success",
    "successful",
    "captured",
    "authorized",
    "authorised",
    "accepted",
    "settled",
    "paid",
    "posted",
    "cleared",
];
/// The words of those that did not.
pub const DECLINED: [&str; 8] =
    ["declined", "failed", "failure", "refused", "rejected", "denied", "unsuccessful", "not approved"];

/// What became of a row, in bits; with none of them its status says nothing of that, and it has no risk.
pub type OutcomeBits = u8;
/// How many outcomes there are.
pub const OUTCOMES: usize = 16;
pub(crate) const IS_APPROVED: OutcomeBits = 1;
/// Approved or declined. A status that is neither, as of a refund or of what is pending, is in no rate.
pub(crate) const IS_DECIDED: OutcomeBits = 2;
pub(crate) const IS_DECLINED: OutcomeBits = 4;
pub(crate) const IS_RISKY: OutcomeBits = 8;

/// The outcome of a row with that status and risk flag.
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
    fn words_are_compared_without_case() {
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
    fn the_docs_have_the_same_words() {
        let docs = include_str!("../../../../docs/data.md");
        for (what, words) in [("approved", &APPROVED[..]), ("declined", &DECLINED[..])] {
            let line = format!("| {what} | `{}` |", words.join("`, `"));
            assert!(docs.contains(&line), "docs/data.md lacks: {line}");
        }
    }
}
