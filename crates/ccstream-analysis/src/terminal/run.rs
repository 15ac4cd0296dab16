//! Finds the run of days with known frauds of a terminal. Days are bits: bit 0 is a day, bit 1 the day before it.

/// A run ends if this number of days pass without a known fraud.
const RUN_GAP: u32 = 35;
/// A run ends after this number of days with known genuine transactions and no known fraud.
const GENUINE_DAYS: u32 = 2;

/// Returns the bits from `from` up, and none if `from` is above 63.
pub(super) fn bits_from(from: u32) -> u64 {
    u64::MAX.checked_shl(from).unwrap_or(0)
}

/// Returns the bits below `end`.
fn bits_below(end: u32) -> u64 {
    !bits_from(end)
}

/// Holds the run of known frauds, as numbers of days before a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Run {
    /// Finds the run that contains the last day with a fraud.
    pub(super) fn find(fraud: u64, genuine: u64) -> Option<Self> {
        if fraud == 0 {
            return None;
        }
        let last = fraud.trailing_zeros();
        let mut first = last;
        loop {
            let earlier = fraud & bits_from(first + 1);
            let next = earlier.trailing_zeros();
            let between = genuine & bits_from(first + 1) & bits_below(next);
            if earlier == 0 || next - first > RUN_GAP || between.count_ones() >= GENUINE_DAYS {
                return Some(Self { first, last });
            }
            first = next;
        }
    }
}
