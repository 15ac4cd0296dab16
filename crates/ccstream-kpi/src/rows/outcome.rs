//! What became of a transaction.

/// Statuses of a transaction that went through, and of one that did not.
pub const APPROVED: [&str; 2] = ["approved", "completed"];
/// See [`APPROVED`].
pub const DECLINED: [&str; 2] = ["declined", "failed"];

/// What became of a row, in bits; with none of them it has no status and no risk.
pub type OutcomeBits = u8;
/// How many outcomes there are.
pub const OUTCOMES: usize = 16;
pub(crate) const IS_APPROVED: OutcomeBits = 1;
pub(crate) const HAS_STATUS: OutcomeBits = 2;
pub(crate) const IS_DECLINED: OutcomeBits = 4;
pub(crate) const IS_RISKY: OutcomeBits = 8;

/// The outcome of a row with that status and risk flag.
pub fn outcome(status: Option<&str>, is_risky: bool) -> OutcomeBits {
    let bit = |is: bool, bit: OutcomeBits| if is { bit } else { 0 };
    let risky = bit(is_risky, IS_RISKY);
    let Some(status) = status else { return risky };
    let (approved, declined) = (APPROVED.contains(&status), DECLINED.contains(&status));
    risky | HAS_STATUS | bit(approved, IS_APPROVED) | bit(declined, IS_DECLINED)
}
