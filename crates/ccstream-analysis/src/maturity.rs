//! Learns the maturity of labels: the age from which a transaction without a label counts as genuine.

use crate::numbers::DAY;

/// The share of labels that have come by then, in percent.
const SHARE: usize = 90;
/// The least and the greatest maturity, in days.
const LIMITS: (i64, i64) = (1, 20);

/// Returns the maturity in microseconds: the delay within which 90 % of the labels came, from 1 to 20 days; 7 days without
/// any delay. A delay is the time from a transaction to its label, in microseconds.
///
/// The delays should be of labels of all transactions up to one time. Those of the last weeks are shorter, since longer
/// ones have not come yet.
///
/// ```
/// use ccstream_analysis::maturity::learn;
/// const DAY: i64 = 86_400_000_000;
/// assert_eq!(learn((1..=10).map(|days| days * DAY)), 9 * DAY);
/// assert_eq!(learn([3_600_000_000]), DAY);
/// assert_eq!(learn([]), 7 * DAY);
/// ```
pub fn learn(delays: impl IntoIterator<Item = i64>) -> i64 {
    let mut delays: Vec<i64> = delays.into_iter().collect();
    if delays.is_empty() {
        return 7 * DAY;
    }
    let rank = (delays.len() * SHARE).div_ceil(100) - 1;
    let (_, delay, _) = delays.select_nth_unstable(rank);
    (*delay).clamp(LIMITS.0 * DAY, LIMITS.1 * DAY)
}
