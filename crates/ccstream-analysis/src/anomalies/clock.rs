//! Follows the time of the stream. Single transactions with a wrong clock do not move it.

use super::MINUTE;
use crate::bytes::{Number, Reader, Result};

/// A transaction that is later than the newest one by more than this is not believed at once.
const LEAP: i64 = 5 * MINUTE;
/// The number of transactions in a row that are believed: the stream has paused, and goes on.
const ENOUGH: u32 = 20;

/// The time that the stream has reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clock {
    reached: Option<i64>,
    /// The number of transactions in a row that are far ahead.
    ahead: u32,
}

impl Clock {
    /// Takes note of the time of a transaction. Returns whether it is believed.
    pub(super) fn see(&mut self, time: i64) -> bool {
        let is_far = self.reached.is_some_and(|reached| time > reached + LEAP);
        self.ahead = if is_far { self.ahead + 1 } else { 0 };
        if is_far && self.ahead < ENOUGH {
            return false;
        }
        self.ahead = 0;
        self.reached = self.reached.max(Some(time));
        true
    }

    /// Returns the time that the stream has reached; None before the first transaction.
    pub(super) fn reached(&self) -> Option<i64> {
        self.reached
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.reached.unwrap_or(i64::MIN).push(out);
        self.ahead.push(out);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let reached = Some(reader.time()?).filter(|reached| *reached != i64::MIN);
        Ok(Self { reached, ahead: reader.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_does_not_move_the_time_and_a_pause_does() {
        let mut clock = Clock::default();
        for second in 0..100 {
            assert!(clock.see(second * 1_000_000));
            assert!(!clock.see(second * 1_000_000 + 180 * MINUTE));
        }
        assert_eq!(clock.reached(), Some(99_000_000));
        // Late ones are believed, and do not set the clock back.
        assert!(clock.see(5));
        assert_eq!(clock.reached(), Some(99_000_000));
        let believed = (0..20).filter(|second| clock.see(600 * MINUTE + second)).count();
        assert_eq!((believed, clock.reached()), (1, Some(600 * MINUTE + 19)));
    }
}
