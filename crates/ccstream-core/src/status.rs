//! This module has the statuses of approved and declined transactions.

/// The statuses of approved transactions, as card processors export them. They are compared without case.
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
/// The statuses of declined transactions. They are compared without case.
pub const DECLINED: [&str; 8] =
    ["declined", "failed", "failure", "refused", "rejected", "denied", "unsuccessful", "not approved"];

/// Returns whether a transaction with this status was approved; None if it was neither approved nor declined, such as
/// a pending one.
///
/// ```
/// use ccstream_core::status::is_approved;
/// assert_eq!(is_approved("COMPLETED"), Some(true));
/// assert_eq!(is_approved("declined"), Some(false));
/// assert_eq!(is_approved("refunded"), None);
/// ```
pub fn is_approved(status: &str) -> Option<bool> {
    let is_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(status));
    if is_of(&APPROVED) { Some(true) } else { is_of(&DECLINED).then_some(false) }
}
